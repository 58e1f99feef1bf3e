"""How two sentences differ, as numbers from 0 to 1: what a sentence says against what the same model says instead.

Pure. Each feature is one function of two readings and of the words that stood before both; `NAMES` is their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from guard.checks.resampling.reading import HARD, Clause, Kind, Reading


@dataclass(frozen=True, slots=True)
class Pair:
    """The sentence, the sample to hold against it, and the words that both follow on."""

    said: Reading
    other: Reading
    known: frozenset[str]

    @property
    def new(self) -> frozenset[str]:
        """Words of the sample that the sentence has not."""
        return self.other.keys - self.said.keys

    def changed(self, *kinds: Kind) -> bool:
        """Whether each has one of these kinds that the other has not."""
        return bool(self.other.of(*kinds) - self.said.keys) and bool(self.said.of(*kinds) - self.other.keys)

    @property
    def hard_new(self) -> bool:
        """Whether the sample brings a name, number or date that is new."""
        return bool(self.other.hard - self.said.keys - self.known)


def _replaced(pair: Pair) -> float:
    """Places where, in the same order of words, one name, number or date stands for another of its kind."""
    ours, theirs = list(pair.said.items), list(pair.other.items)
    count = 0
    blocks = SequenceMatcher(None, [i.key for i in ours], [i.key for i in theirs], autojunk=False).get_opcodes()
    for name, a, b, c, d in blocks:
        if name == "replace":
            gone = {item.kind for item in ours[a:b] if item.key not in pair.other.keys}
            come = {item.kind for item in theirs[c:d] if item.key not in pair.said.keys}
            count += bool(gone & come & HARD)
    return min(2, count) / 2


def _replaced_within(pair: Pair) -> float:
    """Places where other words stand between the same words."""
    ours, theirs = ([item.key for item in side.items if item.kind != "plain"] for side in (pair.said, pair.other))
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    within = [a > 0 and b < len(ours) and d < len(theirs) for name, a, b, _, d in blocks if name == "replace"]
    return min(2, sum(within)) / 2


def _same_subject(pair: Pair) -> bool:
    """Whether one of the first words that name neither a thing nor a number is shared."""
    ours, theirs = ([i.key for i in side.items if i.kind == "word"][:3] for side in (pair.said, pair.other))
    return bool(set(ours) & set(theirs))


def _opening(pair: Pair) -> int:
    """Words that both begin with."""
    count = 0
    for ours, theirs in zip(pair.said.items, pair.other.items, strict=False):
        if ours.key != theirs.key:
            break
        count += 1
    return count


def _other_behind(pair: Pair, *words: str) -> bool:
    """Whether something else stands behind the same word and preposition, any or one of `words`."""
    ours, theirs = pair.said.behind, pair.other.behind
    places = [place for place in ours.keys() & theirs.keys() if not words or place[1] in words]
    return any(not ours[place] & theirs[place] for place in places)


def _same_behind(pair: Pair) -> bool:
    ours, theirs = pair.said.behind, pair.other.behind
    return any(ours[place] & theirs[place] for place in ours.keys() & theirs.keys())


def _other_near(pair: Pair, *kinds: Kind) -> bool:
    """Whether the same word has another number or date with it."""
    ours, theirs = pair.said.near, pair.other.near
    return any(not ours[place] & theirs[place] for place in ours.keys() & theirs.keys() if place[1] in kinds)


def _aligned(pair: Pair) -> Clause:
    """The clause of the sentence that the sample is most about."""
    whole = Clause(pair.said.keys, pair.said.several)
    return max(pair.said.clauses, key=lambda c: len(c.keys & pair.other.keys) / (1 + len(c.keys) ** 0.5), default=whole)


def _denied(one: Reading, two: Reading) -> bool:
    """Whether one denies what the other says without any denial."""
    return not two.denied and any(len(words & two.keys) >= 2 for words in one.denied)


_FEATURES: Mapping[str, Callable[[Pair], float]] = {
    "replaced": _replaced,
    "new_here": lambda pair: _same_subject(pair) and pair.hard_new,
    "lists": lambda pair: pair.said.lists,
    "other_behind": _other_behind,
    "other_near": lambda pair: _other_near(pair, "number", "ordinal", "month", "year"),
    "only_said_denies": lambda pair: bool(pair.said.denied) and not pair.other.denied,
    "both_deny": lambda pair: bool(pair.said.denied) and bool(pair.other.denied),
    "denied": lambda pair: _denied(pair.said, pair.other) or _denied(pair.other, pair.said),
    "number_added": lambda pair: (
        bool(pair.other.of("number", "year") - pair.said.keys) and not pair.said.of("number", "year")
    ),
    "same_subject": _same_subject,
    "opening": lambda pair: min(10, _opening(pair)) / 10,
    "same_title": lambda pair: bool(pair.said.titles & pair.other.titles),
    "clause_hard_gone": lambda pair: bool((_aligned(pair).keys & pair.said.hard) - pair.other.keys),
    "number_changed": lambda pair: pair.changed("number", "ordinal"),
    "year_changed": lambda pair: pair.changed("year"),
    "adds": lambda pair: pair.said.adds or pair.other.adds,
    "more": lambda pair: pair.said.adds and pair.other.adds,
    "both_several": lambda pair: pair.said.several and pair.other.several,
    "clause_several": lambda pair: _aligned(pair).several,
    "other_for": lambda pair: _other_behind(pair, "for"),
    "other_by": lambda pair: _other_behind(pair, "by"),
    "same_behind": _same_behind,
    "replaced_within": _replaced_within,
}

NAMES: tuple[str, ...] = tuple(_FEATURES)


def features(pair: Pair) -> list[float]:
    """The numbers of a pair, in the order of `NAMES`."""
    return [float(feature(pair)) for feature in _FEATURES.values()]
