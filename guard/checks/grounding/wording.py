"""Features of how a statement is worded: hedges, denials and firmness against the unit that says most of it, talk about
the passages, advice and fillers, and yes/no fields of a JSON record.

It does not know which words are new. A denial is a difference only against a unit that says much the same.
"""

from __future__ import annotations

import re

from guard.checks.grounding.passages import Index, Unit
from guard.checks.grounding.statement import EMPTY, Statement
from guard.checks.grounding.words import DENIALS, FIRM, HEDGES, OPPOSITES, stemmed

NAMES = (
    "denied best_denied denied_alone denial_lost opposed firm firm_alone hedged hedge_lost meta untold connects "
    "advice cause example cites vary lead_in listed commas quoted brackets "
    "record field_yes field_no field_unknown no_alone unknown_told"
).split()
_META = stemmed(
    "passage passages provided given context information mention mentions mentioned text source document documents "
    "article question"
)
_ADVICE = stemmed(
    "should must consult recommend recommended important ensure best essential crucial help helps allow allows provide "
    "provides"
)
_CAUSES = stemmed("because since therefore cause causes")
_EXAMPLES = stemmed("including like instance example")
_VARIES = stemmed("vary varies depend depends depending specific individual factor factors various different")
_ADVISES = ("need to", "make sure")
_CAUSING = (
    "due to", "as a result", "lead to", "leads to", "so that", "in order to", "which can", "which may", "which help",
    "which make", "to ensure", "to prevent", "to avoid", "to make", "to help", "to keep", "to remove",
)  # fmt: skip
UNTOLD = re.compile(
    r"\b(?:not?|never|neither|nor|without)\b[\w, ]{0,40}?\b(?:mention|provide|specif|contain|stat|explicit|enough|"
    r"directly|clear|possible|give|include|discuss|address|answer|information|details?)|"
    r"n['’]t\s+(?:\w+\s+){0,2}?(?:mention|provide|specif|contain|state|say|give|include|discuss|address|answer)|"
    r"\bunable to\b|\bcannot (?:be )?(?:determin|answer)",
    re.I,
)
"""A statement that the evidence does not say something."""
_CONNECTS = re.compile(
    r"^\W*(?:\d+[.)]\s*)?(?:overall|in summary|in conclusion|therefore|thus|additionally|furthermore|moreover|it is "
    r"important|it['’]s important|however|note|please note|remember|also|finally|by following|based on|according to|"
    r"to summarize|so)\b",
    re.I,
)
_CITES = re.compile(r"\bpassages?\s+\d|\[\d+\]", re.I)
_LIST = re.compile(r"\s*(?:[-*•+]+\s+|\(?(?:\d{1,3}|[A-Za-z])[.)]\s+)")
_ALIKE = 0.4
"""A unit that says this share of a statement says much the same."""


def features(said: Statement, index: Index) -> list[float]:
    """The numbers named in `NAMES`."""
    denied = is_denied(said)
    return [*_polarity(said, index, denied), *_manner(said, denied), *_fields(said, index, denied)]


def is_denied(said: Statement) -> bool:
    """Whether the statement denies something."""
    return not DENIALS.isdisjoint(said.stems) or "n't" in said.text or "n’t" in said.text


def _polarity(said: Statement, index: Index, denied: bool) -> list[float]:
    near = [unit for number in said.best if (unit := index.units[number])]
    best = near[0] if near else EMPTY
    hedged, firm = not HEDGES.isdisjoint(said.stems), not FIRM.isdisjoint(said.stems)
    alike = bool(said.covers) and said.covers[0] >= _ALIKE
    return [
        denied,
        best.denied,
        denied and not any(unit.denied for unit in near),
        alike and best.denied and not denied,
        _opposed(said, best),
        firm,
        firm and all(FIRM.isdisjoint(unit.stems) for unit in near),
        hedged,
        alike and not hedged and not HEDGES.isdisjoint(best.stems),
    ]


def _opposed(said: Statement, best: Unit) -> int:
    """Words whose opposite, and not they, stand in the unit that says most of it."""
    own = said.stems & OPPOSITES.keys()
    if not own:
        return 0
    there = set(best.stems)
    return sum(not (OPPOSITES[word] - said.stems).isdisjoint(there) for word in own - there)


def _manner(said: Statement, denied: bool) -> list[float]:
    text, own = said.text, said.stems
    low = text.lower()
    return [
        not _META.isdisjoint(own),
        denied and UNTOLD.search(text) is not None,
        _CONNECTS.match(text) is not None,
        not _ADVICE.isdisjoint(own) or any(phrase in low for phrase in _ADVISES),
        not _CAUSES.isdisjoint(own) or any(phrase in low for phrase in _CAUSING),
        not _EXAMPLES.isdisjoint(own) or "such as" in low,
        ("passage" in low or "[" in low) and _CITES.search(text) is not None,
        not _VARIES.isdisjoint(own),
        low.rstrip().endswith(":"),
        _LIST.match(text) is not None,
        text.count(","),
        '"' in text or "“" in text,
        "(" in text,
    ]


def _fields(said: Statement, index: Index, denied: bool) -> list[float]:
    if not index.is_record:
        return [0.0] * 6
    told = [unit.value for unit in index.keyed if unit.key <= said.stems]
    no, unknown = told.count("no"), told.count("unknown")
    return [1.0, told.count("yes"), no, unknown, no > 0 and not denied, unknown > 0 and not UNTOLD.search(said.text)]
