"""The statements of a sentence that can be contradicted, for `guard.checks.contradiction`: subject, attribute, value.

It knows one sentence, no others. Rules: only plain statements about a name or a definite thing; nothing from questions,
conditions, cases, examples, quotations and what others are said to think; nothing from formulas and sums; no counts
beside a word of change. A subject is compared by its words' stems without articles; an attribute is the verb and
what stands around the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from guard.checks.contradiction.amounts import Kind, Value
from guard.checks.contradiction.patterns import BORN, FORMS, UNIT, VERB

MOST = 600
"""Characters of a segment beyond which it is no sentence."""
_FORMULA = re.compile(r"[=<>^≤≥≠≈∈⊂→\\{}|]|\$[^$\d]|\w_\w|\b[a-zA-Z]\s*[-+*/]\s*\w|\d\s*[-+*/×÷]\s*\d|<<|`")
_UNSAID = re.compile(
    r"[?\"“”«»]|\b(?:if|unless|suppose|supposing|assum\w+|imagine|let|let['’]s|whether|case|would|could|might|(?-i:may)|should"
    r"|perhaps|maybe|probably|possibl\w+|either|alternative\w*|option\w*|hypothe\w+|scenario|example|instance|e\.g"
    r"|contradict\w*|claim\w*|believ\w*|said|says|according|rumou?r\w*|myth|some|others?|another|wrong\w*|incorrect\w*"
    r"|false|guess\w*|thought|think|not only)\b",
    re.IGNORECASE,
)
_CHANGES = re.compile(
    r"\b(?:originally|initially|formerly|previously|used to|first|second|third|again|sometimes|usually|often|except"
    r"|depending|until|since|before|after|later|now|currently|when|while|then|once|new|next|no longer|still|yet|each"
    r"|every|per|more|fewer|less|left|remain\w*|in fact|instead|rather|updat\w+|chang\w+|moved|postponed|rescheduled"
    r"|total|about|around|approximately|roughly|nearly|almost|over|under|least|most|or)\b",
    re.IGNORECASE,
)
_REVISION = re.compile(
    r"\b(?:wait|actually|correction|sorry|apolog\w+|my mistake|i (?:made|was wrong|misspoke|meant|mean)"
    r"|let me (?:re|check|correct|verify|fix)\w*|re-?(?:check|consider|examine|evaluate|calculate|read)\w*|scratch that"
    r"|on second thou\w+|that(?:['’]s| is) (?:not right|wrong|incorrect)|strike that|hmm+)\b|^\s*no\b[,.:]",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"[;:]\s|,?\s(?:and|but|so|because|which|who|although)\s|,\s(?!\d{4}\b)|\s[-–—]\s|\n")
_NOT_PLAIN = (_FORMULA, _UNSAID, _CHANGES)
_LIST = re.compile(r"(?:,|\s(?:and|&))\s(?:and\s|on\s|at\s|in\s)?(?:\d|[A-Z])")
_DEICTIC = re.compile(r"\b(?:this|these|those|such|here)\b", re.IGNORECASE)
_CIRCUMSTANCE = re.compile(
    r"\W*(?:for|at|in|on|by|with|from|during|under|of|among|to|through)\s[^,]{1,80},", re.IGNORECASE
)
_PRONOUN = re.compile(
    r"^(?:he|she|it|they|this|that|these|those|we|i|you|there|one|who|what|which|here|his|her|its|their|our|my|your|both"
    r"|all|many|some|each|most|several|none|nobody|answer|the (?:answer|result|number|sum|value|total|product"
    r"|difference|remainder|other|same|next|first|last|remaining|rest|following|problem|question|step|equation|statement|only|above"
    r"|latter|former))\b",
    re.IGNORECASE,
)
_VERBAL = re.compile(
    r"\b(?:is|was|are|were|be|has|had|have|will|did|does|do|can|that|which|who|if|when|of course|to|by|from)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
_ARTICLES = frozenset("the a an in on at of very also quite really just exactly only total".split())


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement. `is_named`: its subject is a name; `text` is the piece of the sentence that says it."""

    subject: tuple[str, ...]
    attribute: tuple[str, ...]
    value: Value
    is_named: bool
    text: str
    start: int
    end: int


def revises(text: str) -> bool:
    """Whether the sentence takes something back."""
    return _REVISION.search(text) is not None


def claims(text: str) -> tuple[Claim, ...]:
    """What the sentence states, in order."""
    if len(text) > MOST or not VERB.search(text) or any(other.search(text) for other in _NOT_PLAIN):
        return ()
    found = {claim.start: claim for claim in _born(text)}
    circumstance = _CIRCUMSTANCE.match(text)
    around = _stems(circumstance[0]) if circumstance else ()
    for start, piece in _pieces(text):
        if claim := _claim(piece, start, around):
            found.setdefault(claim.start, claim)
    return tuple(found[start] for start in sorted(found))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The clauses and their places, without those that begin an enumeration."""
    start = 0
    for found in [*_SPLIT.finditer(text), None]:
        end = found.start() if found else len(text)
        piece = text[start:end]
        lead = len(piece) - len(piece.lstrip(" \t*-•\n"))
        if not _LIST.match(text, end) and not _DEICTIC.search(piece):
            yield start + lead, piece[lead:].rstrip(" .!*\n")
        start = found.end() if found else end


def _born(text: str) -> Iterator[Claim]:
    for found in BORN.finditer(text):
        yield _made("date", found, found.start(), text[found.start() : found.end()], True)


def _claim(piece: str, start: int, around: tuple[str, ...]) -> Claim | None:
    for kind, pattern in FORMS:
        found = pattern.match(piece)
        if found is None:
            continue
        subject = found["s"]
        if subject.lower() != "there" and (_PRONOUN.match(subject) or _VERBAL.search(subject)):
            return None
        is_named = subject.lower() != "there" and _is_name(subject)
        if not is_named and not re.match(r"the\s|there$", subject, re.IGNORECASE):
            return None
        claim = _made(kind, found, start, piece, is_named)
        return replace(claim, attribute=(*around, *claim.attribute))
    return None


def _is_name(subject: str) -> bool:
    """Whether a name stands in it: a capital letter behind the first word, or a first word that is no common one."""
    words = re.sub(r"^[Tt]he\s", "", subject).split()
    capital = [word for word in words if word[:1].isupper() and len(word) > 2]
    return bool(capital) and (
        len(capital) > 1 or capital[0] != words[0] or subject[:4].lower() == "the " or len(words) == 1
    )


def _made(kind: Kind, found: re.Match[str], start: int, piece: str, is_named: bool) -> Claim:
    groups = found.groupdict()
    value = groups["v"].strip()
    if kind == "polarity":
        value = "no" if value else "yes"
    tail = groups.get("t") or ""
    if kind == "number" and is_named and (unit := UNIT.match(tail)):
        tail = unit[0]
    attribute = (*_stems(groups["a"]), kind, *_stems(tail))
    return Claim(_stems(groups["s"]), attribute, Value(kind, value), is_named, piece, start, start + len(piece))


def _stems(text: str) -> tuple[str, ...]:
    words = [word.lower() for word in _WORD.findall(text)]
    return tuple(_stem(word) for word in words if word not in _ARTICLES)


def _stem(word: str) -> str:
    if word in ("was", "were", "are"):
        return {"was": "was", "were": "was", "are": "is"}[word]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
