"""What judgements tell about the checks and about each other.

Counts and estimates with their intervals; knows no thresholds.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import sqlalchemy as sa

from guard.store.schema import COMBINATION, INTERRUPTION, JUDGEMENT, SEGMENT, TALLY
from guard.store.segments import Segments

_Z = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckQuality:
    """How often reviewers found a check's interruptions right: with a 95 % interval (Wilson, 1927)."""

    check: str
    confirmed: int
    rejected: int
    precision: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Of the statements that should have been interrupted, the share that was: an estimate with a 95 % interval.

    `judged` segments that no check had anything against were looked at and `missed` of them found wrong; that share of
    all such `segments`, with the share of flagged ones that should not have been let pass, is what guard missed,
    against its `interruptions`, of each check as far as reviewers confirm them. Where nothing of a kind is judged,
    interruptions count as right and flagged statements as rightly let pass. The interval is that of the missed share
    alone. Clean responses are kept less often than flagged ones, so the segments lean towards those; of what is
    flagged, reviewers see the doubtful first.
    """

    value: float
    low: float
    high: float
    judged: int
    missed: int
    segments: int
    interruptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far reviewers agree: of the `pairs` of two reviewers' judgements on one subject, `agreed` are the same.

    `kappa`: what remains of the agreement beyond chance (Cohen, 1960; over all pairs of reviewers, each judgement in
    either place), None without a pair or where chance alone would agree. Unsure judgements abstain.
    """

    pairs: int
    agreed: int
    kappa: float | None
    reviewers: int


_CUT = INTERRUPTION.c.combination == COMBINATION.c.id
_BY_CHECK = sa.select(COMBINATION.c.check, sa.select(sa.func.count()).where(_CUT).scalar_subquery())


class Quality(Segments):
    """The part of `Database` that sums up judgements."""

    def quality(self) -> list[CheckQuality]:
        """Per check with a judged interruption, by name."""
        return [
            CheckQuality(
                check=check,
                confirmed=good,
                rejected=bad,
                precision=good / (good + bad),
                **dict(zip(("low", "high"), wilson(good, good + bad), strict=True)),
            )
            for check, (good, bad) in self.reviewed().items()
        ]

    def recall(self) -> Recall | None:
        """None where no clean segment was judged or nothing was counted."""
        row, review = SEGMENT.c, ("confirmed", "rejected")
        clean = sa.select(row.review, row.weight).where(row.kind == "clean", row.review.in_(review))
        flagged = sa.select(row.review, sa.func.count()).where(row.kind == "flagged").group_by(row.review)
        with self._reading() as connection:
            judged = [(review == "rejected", weight) for review, weight in connection.execute(clean)]
            passed = Counter[str]()
            for ruling, number in connection.execute(flagged):
                passed[ruling] = number
            segments = int(connection.scalar(sa.select(sa.func.sum(TALLY.c.segments))) or 0)
            cuts = Counter[str]()
            for check, number in connection.execute(_BY_CHECK):
                cuts[check] += number
        if not judged or not segments:
            return None
        right = self.reviewed()
        caught = sum(number * _share(*right.get(check, (0, 0)), otherwise=1.0) for check, number in cuts.items())
        doubtful = passed.total()
        known = doubtful * _share(passed["rejected"], passed["confirmed"], otherwise=0.0)
        quiet = max(segments - cuts.total() - doubtful, 0)
        rate, low, high = _rate(judged)
        return Recall(
            value=_recall(caught, known + rate * quiet),
            low=_recall(caught, known + high * quiet),
            high=_recall(caught, known + low * quiet),
            judged=len(judged),
            missed=sum(missed for missed, _ in judged),
            segments=segments,
            interruptions=cuts.total(),
        )

    def agreement(self) -> Agreement:
        """How far reviewers agree on what several of them judged."""
        said = JUDGEMENT.c
        # Most subjects have one judgement: those are not read.
        several = (
            sa.select(said.subject)
            .group_by(said.subject)
            .having(sa.func.min(said.reviewer) < sa.func.max(said.reviewer))
        )
        query = sa.select(said.seq, said.subject, said.reviewer, said.ruling).where(said.subject.in_(several))
        newest: defaultdict[str, dict[str, str]] = defaultdict(dict)
        with self._reading() as connection:
            # Sorted here: asked for an order, a database reads all that was ever said in it.
            for _, subject, reviewer, ruling in sorted(map(tuple, connection.execute(query))):
                newest[subject][reviewer] = ruling
            reviewers = connection.scalar(sa.select(sa.func.count(said.reviewer.distinct()))) or 0
        sure = ([ruling for ruling in rulings.values() if ruling != "unsure"] for rulings in newest.values())
        return _agreement((pair for rulings in sure for pair in combinations(rulings, 2)), reviewers)


def wilson(good: float, number: float) -> tuple[float, float]:
    """The 95 % interval of a share of which `good` of `number` were seen."""
    if not number:
        return 0.0, 1.0
    share, spread = good / number, _Z * _Z / number
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / number + spread / (4 * number)) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _rate(judged: list[tuple[bool, int]]) -> tuple[float, float, float]:
    """The missed share and its interval: one segment stands for all the clean ones of its response (Kish's size)."""
    total = sum(weight for _, weight in judged)
    rate = sum(weight for missed, weight in judged if missed) / total
    size = total**2 / sum(weight**2 for _, weight in judged)
    return rate, *wilson(rate * size, size)


def _share(some: int, others: int, *, otherwise: float) -> float:
    """`some` of all; `otherwise` where there are none."""
    return some / (some + others) if some + others else otherwise


def _recall(caught: float, missed: float) -> float:
    return caught / (caught + missed) if caught + missed else 1.0


def _agreement(pairs: Iterable[tuple[str, str]], reviewers: int) -> Agreement:
    counts = Counter(pairs)
    number = counts.total()
    agreed = sum(count for (one, other), count in counts.items() if one == other)
    said = Counter[str]()
    for pair, count in counts.items():
        for ruling in pair:
            said[ruling] += count
    chance = sum((count / (2 * number)) ** 2 for count in said.values()) if number else 1.0
    kappa = (agreed / number - chance) / (1 - chance) if chance < 1 else None
    return Agreement(pairs=number, agreed=agreed, kappa=kappa, reviewers=reviewers)
