"""Which segments state something about the world, so that evidence, facts or another sample could speak against them.

It does not know evidence beyond the request's own words, scores or policies. Everything is told from the segment, what
stands before it in its channel and the request, so it can be told while the text streams. English, but for code.

No statements are:

1. questions, greetings, thanks and offers, headings, lead-ins ("Here are the steps:"), bare list markers, citations;
2. code: fenced, a shell or diff line, a line that only a programming language would have, text all in backticks;
3. what the speaker means to do ("Okay, so I need to find the year") and talk about the answer;
4. what is put forward as a guess or for argument's sake: "I think", "maybe", "probably", "suppose", "if we assume";
5. anything in an answer to a request to make something up, or in a text that opens as a tale.

Which hedges count was measured on the 22,056 statements of 3,356 labelled answers to questions (RAGTruth), by trees of
`grounding` fitted without the answer's source, weighted so that 18 % of the answers are bad. Of all statements 6.5 %
are unsupported; with "may" 12.9 %, "could" 9.6 %, "can" 8.6 %, "might", "maybe" and "probably" together 6.6 %, "if"
6.3 %, "likely", "seems" or "appears" 5.7 %. None of these words is a reason to look away from evidence: interrupting
at 0.6 catches 24.1 % of the bad answers with 0.241 false interruptions in 1,000 clean tokens; without statements that
have "may" 23.4 % with 0.233, "can" 23.0 % with 0.232, "if" 23.3 % with 0.232. Rule 4 is about chains of thought: 10
statements of these answers fall under it, 4.5 % of them unsupported, and none of the figures changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from guard.core.types import Evidence

SOURCES = re.compile(
    r"\b(?:passages?|texts?|documents?|article|context|evidence|sources?|information|provided|given)\b", re.I
)
"""Words for what a request supplies."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+(?:[.,]\d+)*")
_CODE = re.compile(r"\s*(?:`{3}|~{3}|<[a-z/!][^>]*>\s*$)")
_CODE_LINE = re.compile(
    r"\s*(?:[$%❯]\s+\S|>>>\s|\.\.\.\s{2,}\S|diff --git |@@ -?\d|(?:\+\+\+|---) [\w./]+\s*$|#!/|#include\b"
    r"|(?:async )?def \w+\(|class \w+\s*[:({]|(?:const|let|var) [\w{\[]+[^=]*=|import [\w.{*]+(?: as \w+)?;?\s*$"
    r"|(?:public|private|static|func|fn|function) \w+[^({]*[({]|from [\w.]+ import \w|SELECT .+ FROM\b"
    r"|(?:INSERT INTO|UPDATE \w+ SET|CREATE TABLE) |(?:sudo|pip3?|npm|npx|git|docker|kubectl|curl|apt(?:-get)?|brew"
    r"|cargo|uv|conda) (?:-{1,2}\w|\w+ -|install\b|add\b|run\b|commit\b|clone\b|push\b|build\b|https?:))",
)
_CALLS = re.compile(r"\w\(|\s=\s|\+\+|--")
LONGEST_LINE = 600
"""Characters of a line of code at most: beyond, the search for its end could take as long as somebody wants it to."""
_CODED = re.compile(r"`[^`\n]+`")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.M)
_MARKUP = re.compile(r"\s*(?:#{1,6}\s|\*\*[^*]+\*\*:?\s*$|[-=_*]{3,}\s*$|\|)")
_CITED = re.compile(
    r"\W*(?:passages?|sources?|documents?|see|ref(?:erence)?s?)?[\s\d,.&()\[\]-]*(?:and\s+\d+)?\W*", re.I
)
_POLITE = re.compile(
    r"\W*(?:hello|hi|hey|sure|certainly|of course|absolutely|great question|thank(?:s| you)|you['’]re welcome|"
    r"i hope|i['’]m (?:sorry|happy|glad)|i am (?:sorry|happy|glad)|i apologi[sz]e|sorry|let me know|feel free|"
    r"please let|good luck|enjoy|okay|ok|yes|no)\b",
    re.I,
)
_PLANS = re.compile(
    r"\W*(?:(?:okay|ok|so|now|first|then|next|wait|hmm+|alright|well|but|also|maybe|perhaps|actually)\W+)*"
    r"(?:(?:let me|let['’]s|let us|i['’](?:ll|m|ve)|i (?:need|should|must|have|will|can|could|want|think|guess|wonder|"
    r"know|see|notice|remember|recall|am|was))|we (?:need|should|must|have to|want to))\b",
    re.I,
)
_ABOUT_ANSWER = re.compile(
    r"\bhere(?:['’]s| is| are)\b|\b(?:below|following)\b.{0,60}$|\blet(?:['’]s| me| us)\b|"
    r"\bi(?:['’]ll| will| can| cannot| can['’]t| could not| don['’]t| do not)\b|"
    r"\b(?:in summary|to summari[sz]e)[,:]?\s*$|\bthe (?:user|question|passages?) (?:asks?|wants?|is asking)\b",
    re.I,
)
_HEDGED = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|presumably)\b|\bhypothetically\b|\bfor (?:the sake of )?argument\b"
    r"|\b(?:i|we) (?:\w+ly )?(?:think|believe|guess|suspect|imagine|suppose|assume)\b(?! of\b)"
    r"|\bi['’]?m not (?:sure|certain)\b|\b(?:if we|let['’]?s|let us) (?:assume|suppose|say|pretend|imagine)\b"
    r"|^\W*(?:so )?(?:suppose|supposing|imagine|assum(?:e|ing) (?:that|for))\b",
    re.I,
)
_MAKE = (
    r"\b(?:write|tell|compose|invent|improvise|make up|come up with|dream up|give (?:me|us)|i(?:['’]d| would) like"
    r"|i want|i need|create|draft|sing|continue|finish|start|begin|do|another|one more)\b"
)
_MADE_UP = (
    r"(?:(?:ghost|bedtime|short|fairy|love|detective|adventure|horror|fantasy|scary|funny) (?:story|tale)|fairy ?tale"
    r"|poem|poetry|haikus?|limericks?|sonnets?|ode|ballad|couplets?|verses?|rhymes?|lyrics|sea shant(?:y|ies)|rap"
    r"|jokes?|puns?|riddles?|screenplay|skit|fan ?fic(?:tion)?|fiction|novella?|fable|myth|legend|lullaby|monologue"
    r"|slogans?|taglines?|(?:a|an|the|this|that|me|short|little|new|another|more) stor(?:y|ies)"
    r"|(?:the|a|this|next|opening) (?:scene|chapter|dialogue)"
    r"|(?:new |more |some )?ideas?(?= (?:for|to|on|how|about)\b|\W*$))"
)
_INVENTION = re.compile(
    rf"{_MAKE}[^.?!\n]{{0,80}}?\b{_MADE_UP}\b|^\W*(?:an? |some |\d+ |(?:two|three|five|ten) )?{_MADE_UP}\b"
    r"|\b(?:pretend|role-?play|make[- ]believe|stay in character|in the voice of)\b"
    r"|\b(?:imagine|suppose) (?:that )?you\b|\b(?:invent|make up|dream up|brainstorm)\b"
    r"|\b(?:a|an|some) (?:fictional|made[- ]up|imaginary) \w",
    re.I,
)
_REAL = re.compile(r"\b(?:summari[sz]e|according to|news story|story of|tl;?dr|explain|translate|analy[sz]e)\b", re.I)
_SCENE = re.compile(
    r"\b(?:you|you['’]re|act as|play)\b[^.\n]{0,60}?\b(?:text adventure|game master|dungeon master|interactive fiction"
    r"|role-?play(?:ing)?|stay in character|improv(?:isation)? (?:partner|comedy)|creative writ(?:ing|er)|fan ?fiction"
    r"|(?:short|bedtime) stor(?:y|ies))\b|\bstay in character\b"
    r"|\b(?:you are|you['’]re|act as|you (?:help|assist)) (?:an? |the )?(?:[\w-]+ ){0,2}(?:novelist|storyteller"
    r"|poet)\b",
    re.I,
)
_AGAIN = re.compile(
    r"\W*(?:please |ok(?:ay)?,? |and |now )*(?:go on|continue|keep going|carry on|more|another|again|one more|next"
    r"|longer|shorter|funnier|darker|make it|rewrite|redo|change|what happens|then what|and then|yes|great|nice"
    r"|love it)\b.{0,60}",
    re.I | re.S,
)
_TALE = re.compile(
    r"\W*(?:once upon a time|long,? long ago|there once (?:was|lived)|in a (?:land|kingdom) far)\b", re.I
)


def is_claim(text: str) -> bool:
    """Whether a segment states something, by rules 1 to 4, as far as it shows it by itself."""
    bare = text.strip()
    spoken = len(_WORD.findall(bare))
    if spoken < 2 or bare.endswith((":", "?")) or is_code(text) or _MARKUP.match(text) or _is_citation(bare):
        return False
    if spoken <= 12 and _POLITE.match(bare):
        return False
    if _PLANS.match(bare) or is_hedged(bare):
        return False
    return not (_ABOUT_ANSWER.search(bare) and (spoken <= 12 or SOURCES.search(bare)))


def is_code(text: str) -> bool:
    """Whether a segment is code by itself; see `in_code` for the middle of a block."""
    bare = text.rstrip()
    if _CODE.match(text) or (len(text) <= LONGEST_LINE and _CODE_LINE.match(text)) or bare.endswith(("{", "}", "=>")):
        return True
    if bare.endswith(";") and _CALLS.search(bare):
        return True
    return "`" in text and len(_WORD.findall(_CODED.sub("", text))) < 2


def is_hedged(text: str) -> bool:
    """Whether a segment is put forward as a guess or for argument's sake."""
    return _HEDGED.search(text) is not None


def in_code(before: Iterable[str]) -> bool:
    """Whether a block of code that the channel's earlier segments opened is still open."""
    return sum(len(_FENCE.findall(text)) for text in before if "```" in text or "~~~" in text) % 2 == 1


def asks_for_invention(evidence: Evidence) -> bool:
    """Whether the request asks for a story, a poem, a joke, a role: what is then said claims nothing.

    A request to go on ("another one") is what the one before it was.
    """
    if any(passage.source == "system" and _SCENE.search(passage.text) for passage in evidence.passages):
        return True
    asked = [passage.text for passage in evidence.passages if passage.source == "user"]
    while len(asked) > 1 and _AGAIN.fullmatch(asked[-1]):
        asked.pop()
    ends = f"{asked[-1][:300]}\n{asked[-1][-150:]}" if asked else ""
    return _INVENTION.search(ends) is not None and not _REAL.search(ends)


def is_tale(opening: str) -> bool:
    """Whether a text that opens so is plainly a tale."""
    return _TALE.match(opening) is not None


def _is_citation(bare: str) -> bool:
    return len(bare) <= 40 and _CITED.fullmatch(bare) is not None
