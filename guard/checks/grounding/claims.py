"""Which segments state something that evidence could bear out, and what of a request is evidence.

It does not know words' rarity, features or scores. What is a statement at all is told by `guard.core.claims`; that the
evidence does not say something is one too, but none that the evidence could bear out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from guard.checks.grounding.wording import UNTOLD
from guard.checks.grounding.words import stemmed, stems, words
from guard.core import claims
from guard.core.types import Evidence, Passage

LEAST_EVIDENCE = 200
"""Characters beyond the last question; with fewer there is nothing to check against."""
LEAST_GIVEN = 40
"""The same of what a client calls evidence: no instruction is taken for it."""
SHORT_QUESTION = 400
"""A last user message of no more characters is the question; of a longer one, only its first and last lines are."""
_EDGE = 150
_NAMED = re.compile(
    r"\b(?:passages?|contexts?|documents?|articles?|excerpts?|transcripts?|records|search results?|knowledge base|"
    r"(?:the|this) (?:text|report|page|e-?mail|review|facts)|this (?:data|record|information)|"
    r"(?:these|those) (?:sources?|texts?|facts|notes|results|snippets)|using only (?:the|this|these)|"
    r"the following (?:[\w-]+ ){0,2}?(?:texts?|information|contents?|notes|conversation|dialogue|messages?|story|news|"
    r"facts|data|report|page|e-?mails?|reviews?|description|profile|table|json|record|log|paragraphs?|extracts?|sources?|"
    r"references?|material|abstract|paper|contract|terms|menu|recipe|schedule|handbook|manual|guide(?:lines)?|policy|"
    r"policies|faq)\b|"
    r"(?:text|information|data) (?:below|above|provided)|based (?:only|solely) on|retrieved)\b",
    re.I,
)
"""What is given to answer from. Not "the following" alone: a problem to be solved says that too."""
_PASSAGES = re.compile(
    r"\b(?:passages?|documents?|articles?|excerpts?|transcripts?|search results?|knowledge base)\b", re.I
)
_FORMULA = re.compile(r"\$[^$\n]{1,200}\$|\\\(|\\begin\{")
_HOW_MANY = re.compile(r"\bhow (?:many|much)\b[^.?!]{0,200}\?\s*$", re.I)
"""With `_FORMULA`, signs of a problem to be worked out: its answer is all numbers that it does not have."""
_ASKED = re.compile(r"\b(?:based on|according to|summari[sz]e|from this)\b", re.I)
"""In a system message these are instructions as often as not ("based on the player's last action")."""
_COURTESIES = stemmed("thanks thank please great ok okay yes hi hello way now tell give show want like know make")


def is_claim(text: str) -> bool:
    """Whether a segment states something that evidence could bear out."""
    return claims.is_claim(text) and not (UNTOLD.search(text) and claims.SOURCES.search(text))


def question_of(evidence: Evidence) -> str:
    """The question proper: the last user message, or the ends of one that brings material along."""
    asked = evidence.question.strip()
    lines = asked.splitlines()
    if len(asked) <= SHORT_QUESTION and not (len(lines) > 1 and _is_given(asked)):
        return asked
    return f"{lines[0][:_EDGE]}\n{lines[-1][-_EDGE:]}"


def gives_material(evidence: Evidence, *, by_tools: bool = True) -> bool:
    """Whether the request supplies something to answer from, and not only instructions or a long story.

    What came as evidence is. So is what a tool returned for the last question; and system and user text where it speaks
    of what is given ("the passages below"): else an ordinary answer to an ordinary prompt would be new from end to end.
    What a tool or the user brought for an earlier question is only if the last one has a word in common with all that.
    `by_tools`: whether what tools return is material at all.
    """
    last = max((at for at, one in enumerate(evidence.passages) if _is_asked(one, evidence)), default=-1)
    earlier = False
    for at, one in enumerate(evidence.passages):
        if (one.source == "tool" and not by_tools) or not _is_material(one):
            continue
        if one.source in ("evidence", "system") or at >= last:
            return True
        earlier = True
    return earlier and _is_about(evidence, evidence.passages[:last])


def _is_asked(one: Passage, evidence: Evidence) -> bool:
    return one.source == "user" and one.text == evidence.question


def _is_material(one: Passage) -> bool:
    if one.source in ("evidence", "tool"):
        return True
    if one.source == "user":
        return _is_given(one.text)
    return bool(_NAMED.search(one.text))


def _is_given(text: str) -> bool:
    """Whether a user's text brings something to answer from, and is no problem to be worked out."""
    if _PASSAGES.search(text):
        return True
    if _FORMULA.search(text):
        return False
    return bool(_NAMED.search(text) or (_ASKED.search(text) and not _HOW_MANY.search(text)))


def _is_about(evidence: Evidence, earlier: Sequence[Passage]) -> bool:
    """Whether the question may be about what came before it: it shares a word with it, or has none of content."""
    asked = {word.stem for word in words(question_of(evidence)) if word.content} - _COURTESIES
    return not asked or any(not asked.isdisjoint(stems(one.text)) for one in earlier if one.source in ("tool", "user"))


def evidence_length(evidence: Evidence) -> int:
    """The characters that a statement can be checked against, the question left out."""
    asked = len(question_of(evidence)) if any(p.text == evidence.question for p in evidence.passages) else 0
    return sum(len(passage.text.strip()) for passage in evidence.passages) - asked


def is_enough(evidence: Evidence) -> bool:
    """Whether there is something to check against."""
    given = sum(len(passage.text.strip()) for passage in evidence.passages if passage.source == "evidence")
    return given >= LEAST_GIVEN or evidence_length(evidence) >= LEAST_EVIDENCE
