"""Which segments state something about the world that evidence could bear out, and what of a request is evidence.

It does not know words' rarity, features or scores. No statements are: questions, greetings and offers, headings and
lead-ins ("Here are the steps:"), bare list markers and citations, code, what the speaker means to do ("Okay, so I need
to find the year"), talk about the answer, and saying that the evidence does not say something.
"""

from __future__ import annotations

import re

from guard.checks.grounding.wording import UNTOLD
from guard.checks.grounding.words import WORD
from guard.core.types import Evidence

LEAST_EVIDENCE = 200
"""Characters beyond the last question; with fewer there is nothing to check against."""
SHORT_QUESTION = 400
"""A last user message of no more characters is the question; of a longer one, only its first and last lines are."""
_EDGE = 150
_CODE = re.compile(r"\s*(?:`{3}|~{3}|<[a-z/!][^>]*>\s*$)")
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
_GIVEN = re.compile(
    r"\b(?:passages?|contexts?|documents?|articles?|excerpts?|transcripts?|records?|search results?|knowledge base|"
    r"(?:the|this) (?:following|text|data|report|page|e-?mail|review|facts)|"
    r"(?:text|information|data) (?:below|above|provided)|"
    r"based (?:only |solely )?on|according to|summari[sz]e|from this|retrieved)\b",
    re.I,
)
_SOURCES = re.compile(
    r"\b(?:passages?|texts?|documents?|article|context|evidence|sources?|information|provided|given)\b", re.I
)


def is_claim(text: str) -> bool:
    """Whether a segment states something that evidence could bear out."""
    bare = text.strip()
    spoken = len(WORD.findall(bare))
    if spoken < 2 or bare.endswith((":", "?")) or _CODE.match(text) or _MARKUP.match(text) or _is_citation(bare):
        return False
    if spoken <= 12 and _POLITE.match(bare):
        return False
    if _PLANS.match(bare):
        return False
    if _ABOUT_ANSWER.search(bare) and (spoken <= 12 or _SOURCES.search(bare)):
        return False
    return not (UNTOLD.search(bare) and _SOURCES.search(bare))


def _is_citation(bare: str) -> bool:
    return len(bare) <= 40 and _CITED.fullmatch(bare) is not None


def question_of(evidence: Evidence) -> str:
    """The question proper: the last user message, or the ends of one that brings material along."""
    asked = evidence.question.strip()
    if len(asked) <= SHORT_QUESTION:
        return asked
    lines = asked.splitlines()
    return f"{lines[0][:_EDGE]}\n{lines[-1][-_EDGE:]}"


def gives_material(evidence: Evidence) -> bool:
    """Whether the request supplies something to answer from, and not only instructions or a long story.

    What came as evidence or from a tool is. System and user text is where it speaks of what is given ("the passages
    below", "based on the following"): else an ordinary answer to an ordinary prompt would be new from end to end.
    """
    return any(one.source in ("evidence", "tool") or _GIVEN.search(one.text) for one in evidence.passages)


def evidence_length(evidence: Evidence) -> int:
    """The characters that a statement can be checked against, the question left out."""
    asked = len(question_of(evidence)) if any(p.text == evidence.question for p in evidence.passages) else 0
    return sum(len(passage.text.strip()) for passage in evidence.passages) - asked
