"""Features of how a statement lies on the evidence: how much one unit says of it, and whether what it puts together
stands together there (a number beside its thing, a name beside its attribute, two words in one sentence).

It does not know where the statement stands or what was said before.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from guard.checks.grounding.passages import Index
from guard.checks.grounding.statement import Statement, content_of, union_of
from guard.checks.grounding.words import STOP_STEMS

NAMES = (
    "best second third jaccard away_best all passage away_passage passages order uncovered uncovered_3 "
    "pairs pairs_n pairs_near triples number_pair numbers_away capital_pair capitals_away"
).split()
NEAR = 4
"""Content words on each side of a number or a name that it must stand together with."""
MOST = 40
"""Words of a statement that are compared in order, and numbers and names that are looked at; more are left out."""


def features(said: Statement, index: Index) -> list[float]:
    """The numbers named in `NAMES`."""
    return [*_covered(said, index), *_together(said, index), *_beside(said, index)]


def _covered(said: Statement, index: Index) -> list[float]:
    weights, total = said.weights, said.total
    best = said.covers[0] if said.covers else 0.0
    two = _share(said, union_of(index, said.best[:2]))
    union = union_of(index, said.best)
    three = _share(said, union)
    first = content_of(index, said.best[0]) if said.best else frozenset()
    everything = sum(weight for word, weight in weights.items() if word in index.masks) / total
    passages = _passages(said, index)
    top = max(passages, default=0.0)
    row = [said.words[at].stem for at in said.content]
    return [
        best,
        two - best,
        three,
        len(first & weights.keys()) / max(1, len(first | weights.keys())),
        everything - best,
        everything,
        top,
        everything - top,
        sum(share > 0.5 for share in passages),
        _in_order(row[:MOST], index, said.best) / (min(len(row), MOST) or 1),
        _run_outside(row, first),
        _run_outside(row, union),
    ]


def _share(said: Statement, stems: frozenset[str]) -> float:
    return sum(weight for word, weight in said.weights.items() if word in stems) / said.total


def _passages(said: Statement, index: Index) -> list[float]:
    """The share of the statement's weight that each passage has."""
    found = [(index.masks.get(word, 0), weight) for word, weight in said.weights.items()]
    return [sum(weight for mask, weight in found if mask & span) / said.total for span in index.spans]


def _in_order(row: Sequence[str], index: Index, best: Sequence[int]) -> int:
    """The most words of the statement that the best unit has in the same order."""
    unit = index.units[best[0]] if best else None
    if unit is None:
        return 0
    wanted = set(row)
    other = [word for word in unit.stems if word in wanted and word not in STOP_STEMS][:MOST]
    line = [0] * (len(other) + 1)
    for word in row:
        corner = 0
        for at, theirs in enumerate(other, 1):
            above = line[at]
            line[at] = corner + 1 if word == theirs else max(above, line[at - 1])
            corner = above
    return line[-1]


def _run_outside(row: Sequence[str], stems: frozenset[str]) -> int:
    best = run = 0
    for word in row:
        run = 0 if word in stems else run + 1
        best = max(best, run)
    return best


def _together(said: Statement, index: Index) -> list[float]:
    """Neighbouring content words, both known, that no unit has together."""
    masks = [index.masks.get(said.words[at].stem, 0) for at in said.content]
    known = [mask for mask in masks if mask]
    pairs = list(pairwise(known))
    apart = sum(not one & other for one, other in pairs)
    far = sum(not one & (other | other << 1 | other >> 1) for one, other in pairs)
    threes = list(zip(known, known[1:], known[2:], strict=False))
    return [
        apart / max(1, len(pairs)),
        apart,
        far / max(1, len(pairs)),
        sum(not one & two & three for one, two, three in threes) / max(1, len(threes)),
    ]


def _beside(said: Statement, index: Index) -> list[float]:
    """How well the known numbers and names stand together with the words around them; 1 where there are none."""
    row = [said.words[at] for at in said.content]
    numbers = [at for at, word in enumerate(row) if word.digit and word.stem in index.masks]
    names = [at for at, word in enumerate(row) if word.capital and at and word.stem in index.masks]
    stems = [word.stem for word in row]
    around = union_of(index, said.best[:2])
    return [
        min((_pair(at, stems, said, index) for at in numbers[:MOST]), default=1.0),
        sum(stems[at] not in around for at in numbers),
        min((_pair(at, stems, said, index) for at in names[:MOST]), default=1.0),
        sum(stems[at] not in around for at in names),
    ]


def _pair(at: int, stems: Sequence[str], said: Statement, index: Index) -> float:
    """The largest share of the words around that stands in one unit with this word."""
    near = [
        word
        for word in dict.fromkeys([*stems[max(0, at - NEAR) : at], *stems[at + 1 : at + 1 + NEAR]])
        if word != stems[at]
    ]
    total = sum(said.weights[word] for word in near)
    if not total:
        return 1.0
    best = 0.0
    for unit in index.postings.get(stems[at], ())[:64]:
        here = content_of(index, unit)
        best = max(best, sum(said.weights[word] for word in near if word in here) / total)
    return best
