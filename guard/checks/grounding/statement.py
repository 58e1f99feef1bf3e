"""One statement beside the evidence: which of its words the evidence has, and which units say most of it.

It does not know features or scores; `features` counts what is found here, `telling` puts it into words. The best units
are found by the rarity of the words they share with the statement; ties go to the unit that adds least beside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from guard.checks.grounding.passages import Index, Unit
from guard.checks.grounding.words import NUMBER_WORDS, Word, words

_LEAD = re.compile(r"\s*(?:[-*•+]+\s+|\(?(?:\d{1,3}|[A-Za-z])[.)]\s+|#+\s+)?")
_CITES = re.compile(
    r"\(?\b(?:passages?|documents?|sources?)\s+\d+(?:\s*(?:,|and|&|-)\s*(?:passages?\s+)?\d+)*\)?|\[\d+\]", re.I
)
KEPT = 3
"""How many of the best units are looked at."""
COMMON = 400
"""A word that more units have does not help to find the best one, and would take long to follow."""
EMPTY = Unit("", -1, False)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What training learned of words: `rarity` (log, of English text), and `hint`: how much more often than other new
    words this one was made up (log odds). Words that are not in them get `unseen` and 0."""

    rarity: Mapping[str, float] = field(default_factory=dict)
    hint: Mapping[str, float] = field(default_factory=dict)
    unseen: float = 8.0


@dataclass(slots=True, eq=False)
class Statement:
    """A segment's words and what the evidence has of them; lists run along `words`.

    `known`: the evidence has the word; `soft`: it has one that begins alike; `novel`: a content word it has not.
    `stems` are those of all its words. `best` are the numbers of the units that say most of it, with `covers` the share
    of its weight each says alone.
    """

    text: str
    words: list[Word]
    known: list[bool]
    soft: list[bool]
    rare: list[float]
    content: list[int]
    weights: dict[str, float]
    total: float
    best: list[int]
    covers: list[float]
    stems: frozenset[str]

    @property
    def novel(self) -> list[Word]:
        """The content words that the evidence has not."""
        return [self.words[at] for at in self.content if not self.known[at]]


def read(text: str, index: Index, lexicon: Lexicon) -> Statement:
    """The statement that a segment makes; its list marker and the passages it cites are no part of it."""
    found = _said(text)
    masks, numbers, prefixes = index.masks, index.numbers, index.prefixes
    known = [
        w.stem in masks or (w.digit and w.stem in numbers) or NUMBER_WORDS.get(w.stem, "") in numbers for w in found
    ]
    soft = [k or (len(w.stem) >= 5 and w.stem[:5] in prefixes) for w, k in zip(found, known, strict=True)]
    rarity, unseen = lexicon.rarity, lexicon.unseen
    content = [at for at, w in enumerate(found) if w.content]
    weights = {found[at].stem: index.rarities.get(found[at].stem, index.unseen) for at in content}
    total = sum(weights.values())
    best, covers = _best(weights, total, index)
    rare = [rarity.get(w.stem, unseen) if not w.digit else unseen for w in found]
    return Statement(
        text, found, known, soft, rare, content, weights, total or 1.0, best, covers, frozenset(w.stem for w in found)
    )


def _said(text: str) -> list[Word]:
    lead = _LEAD.match(text)
    start = lead.end() if lead else 0
    cited = [found.span() for found in _CITES.finditer(text)]
    if not start and not cited:
        return words(text)
    return [
        word
        for word in words(text)
        if word.start >= start and not any(first <= word.start < last for first, last in cited)
    ]


def _best(weights: Mapping[str, float], total: float, index: Index) -> tuple[list[int], list[float]]:
    said: dict[int, float] = {}
    for word, weight in weights.items():
        found = index.postings.get(word, ())
        for unit in found if len(found) <= COMMON else ():
            said[unit] = said.get(unit, 0.0) + weight
    if not said:
        return [], []
    top = sorted(said, key=lambda unit: (-said[unit], len(content_of(index, unit)), text_of(index, unit)))[:KEPT]
    return top, [said[unit] / total for unit in top]


def content_of(index: Index, number: int) -> frozenset[str]:
    """The content stems of a unit."""
    return (index.units[number] or EMPTY).content


def text_of(index: Index, number: int) -> str:
    """The text of a unit."""
    return (index.units[number] or EMPTY).text


def union_of(index: Index, numbers: Sequence[int]) -> frozenset[str]:
    """The content stems of several units."""
    return frozenset().union(*(content_of(index, number) for number in numbers))
