"""What a reference, an address or an identifier amounts to, for `guard.checks.citation`.

Rules: what is supplied in any form is right. What is not is wrong to the degree that a source is said to hold it:
where the sources number their parts, a number beyond them is; where they have things of the kind and the statement
names a source, an unknown one is. A part "of" something that the sources do not name is another document's.
"""

from __future__ import annotations

import re

from guard.checks.citation.attribution import ABSENT, SURE, WEAK, cites_a_source, is_missed, makes_it
from guard.checks.citation.cited import Cited
from guard.checks.citation.sources import Sources
from guard.core.types import Finding

_OF_ANOTHER = re.compile(r"\W{0,3}\s?(?:of|in|under|to|from)\s(?:the\s|its\s)?(?:[a-z]+\s)?([A-Z][\w.-]+)")
AROUND = 160
"""Characters on both sides of what is named in which a source may be."""
_COUNTED = frozenset({"page", "paragraph", "figure", "table"})
"""Parts that a plain text does not number where they stand."""
_WORDS = {"doi": "DOI", "arxiv": "arXiv id", "isbn": "ISBN", "pmid": "PMID", "rfc": "RFC", "cve": "CVE number"}
_COMMON_KNOWLEDGE = frozenset({"rfc", "cve"})


def misnamed(one: Cited, text: str, sources: Sources) -> Finding | None:
    """The finding about something that `text` names, or None."""
    if is_missed(text[: one.start]):
        return None
    # "the text in section 4" names a source beside the part itself.
    cue = cites_a_source(text[max(0, one.start - AROUND) : one.start] + " it " + text[one.end : one.end + AROUND])
    match one.kind:
        case "label":
            return _label(one, sources)
        case "mark":
            return _mark(one, sources)
        case "part":
            return _part(one, text, cue, sources)
        case "path":
            score = _path(one, text, sources)
        case "url":
            score = _url(one, cue, sources)
        case _:
            score = _identifier(one, cue, sources)
    if not score or sources.holds(one):
        return None
    return _nowhere(one, score if sources.are_retrieved else min(score, WEAK), sources)


def _label(one: Cited, sources: Sources) -> Finding | None:
    known = sources.labels.get(one.noun, set())
    if len(known) < 2 or not known & {"0", "1"} or one.value in known or int(one.value) <= sources.count:
        return None
    return _no_such(one, f"{one.noun} {one.value}", SURE if sources.are_retrieved else WEAK)


def _mark(one: Cited, sources: Sources) -> Finding | None:
    known = sources.labels["["]
    highest = max(map(int, known), default=0)
    if int(one.value) <= max(highest, sources.count) or one.value == "0":
        return None
    if len(known) > 1 and "1" in known:
        return _no_such(one, f"source [{one.value}]", SURE)
    return _no_such(one, f"source [{one.value}]", WEAK) if sources.count > 1 else None


def _part(one: Cited, text: str, cue: bool, sources: Sources) -> Finding | None:
    if sources.has_number(one.noun, one.value):
        return None
    other = _OF_ANOTHER.match(text, one.end)
    if other and not sources.names(other[1]):
        return None
    known = bool(sources.labels.get(one.noun)) or ("." in one.value and any("." in n for n in sources.labels[""]))
    if not known and (not cue or one.noun in _COUNTED):
        return None
    score = SURE if known and cue else ABSENT if cue else WEAK
    return _no_such(one, f"{one.noun} {one.value}", score if sources.are_retrieved else WEAK)


def _path(one: Cited, text: str, sources: Sources) -> float:
    if not sources.of("path") or makes_it(text):
        return 0.0
    return ABSENT if ":" in text[one.start : one.end] or sources.slip_for(one) else WEAK


def _url(one: Cited, cue: bool, sources: Sources) -> float:
    if cue:
        return ABSENT
    return WEAK if sources.has_host(one.value) else 0.0


def _identifier(one: Cited, cue: bool, sources: Sources) -> float:
    has_such = bool(sources.of(one.kind))
    if one.kind == "record":
        return SURE if sources.slip_for(one) else ABSENT if has_such and cue else WEAK
    if cue and (has_such or one.kind not in _COMMON_KNOWLEDGE):
        return ABSENT
    return WEAK if has_such else 0.0


def _no_such(one: Cited, name: str, score: float) -> Finding:
    return Finding(
        score=score,
        reason=f"there is no {name} in what is given.",
        subject=name,
        start=one.start,
        end=one.end,
    )


def _nowhere(one: Cited, score: float, sources: Sources) -> Finding:
    noun = _WORDS.get(one.kind, f"{one.noun} number" if one.kind == "record" else one.noun)
    true = sources.slip_for(one)
    return Finding(
        score=score,
        reason=f"the {noun} {one.value} stands in no source.",
        correction=f"The {noun} given is {true}." if true else "",
        evidence=true,
        subject=f"{noun} {one.value}",
        start=one.start,
        end=one.end,
    )
