"""From a check's scores to probabilities, and from a budget of false interruptions to a threshold.

Pure functions of numbers. Rows of one source stay together wherever data is split, since what is learnt on one answer
to a context says too much about another. Weights express a base rate.

1. Isotonic: the probability never falls as the score rises (pool adjacent violators), straight between its points.
   Platt: a logistic curve, for samples too small to bear steps. Which of them is taken is decided by log loss out of
   the fold.
2. A threshold for a budget is the lowest one at which false interruptions for each 1,000 clean tokens stay within it.
   What it costs is told out of the fold, never on the rows it was chosen on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guard.core import calibration as core
from guard.core.calibration import Method
from guard.evaluation.ranking import Floats, Whole

METHODS: tuple[Method, ...] = ("isotonic", "platt")
Bools: TypeAlias = NDArray[np.bool_]
_LEAST = 1e-6  # no probability is surer than this of being 0 or 1
_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A curve from score to probability.

    `isotonic`: `points` are (score, probability), rising, straight in between and flat outside.
    `platt`: `points` is one pair (slope, intercept) of the logistic curve.
    """

    method: Method
    points: tuple[tuple[float, float], ...]

    def probability(self, scores: Sequence[float] | Floats) -> Floats:
        """The probability that a statement with this score is wrong."""
        return np.array(
            [core.probability(self.method, self.points, float(score)) for score in scores], dtype=np.float64
        )

    @property
    def falls(self) -> bool:
        """Whether a higher score means a lower probability: such a curve calibrates nothing."""
        return self.method == "platt" and self.points[0][0] < 0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"method": self.method, "points": [list(point) for point in self.points]}


def fit(method: Method, scores: Floats, wrong: Bools, weights: Floats) -> Calibration:
    """The curve of these scores. With one label among them isotonic is sure of it; Platt is as sure as their number
    allows. Raises ValueError where there are none."""
    if not weights.sum() > 0:
        raise ValueError("there are no statements with a finding")
    points = _isotonic(scores, wrong, weights) if method == "isotonic" else (_platt(scores, wrong, weights),)
    return Calibration(method=method, points=points)


def _isotonic(scores: Floats, wrong: Bools, weights: Floats) -> tuple[tuple[float, float], ...]:
    levels, level = np.unique(scores, return_inverse=True)
    total, hit = np.bincount(level, weights), np.bincount(level, weights * wrong)
    blocks: list[list[float]] = []  # weight, weight wrong, first score, last score
    for score, weight, part in zip(levels.tolist(), total.tolist(), hit.tolist(), strict=True):
        if weight <= 0:
            continue
        blocks.append([weight, part, score, score])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][0] >= blocks[-1][1] * blocks[-2][0]:
            weight, part, _, last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + weight, blocks[-1][1] + part, blocks[-1][2], last]
    ends = [((first, part / weight), (last, part / weight)) for weight, part, first, last in blocks]
    return tuple(dict.fromkeys(point for pair in ends for point in pair))


def _platt(scores: Floats, wrong: Bools, weights: Floats) -> tuple[float, float]:
    """Newton's method on log loss, with Platt's targets: they keep what can be parted from going to infinity."""
    hit, miss = weights[wrong].sum(), weights[~wrong].sum()
    target = np.where(wrong, (hit + 1) / (hit + 2), 1 / (miss + 2))
    design = np.column_stack([scores, np.ones_like(scores)])
    found = np.array([0.0, np.log((hit + 1) / (miss + 1))])
    for _ in range(_STEPS):
        p = logistic(design @ found)
        gradient = design.T @ (weights * (p - target))
        curvature = design.T @ (design * (weights * p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        found = found - step / max(1.0, float(np.abs(step).max()) / 5)
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(found[0]), float(found[1])


def logistic(x: Floats) -> Floats:
    """1 / (1 + e^-x) of each."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -700, 700))), dtype=np.float64)


def log_loss(probability: Floats, wrong: Bools, weights: Floats) -> float:
    """Mean negative log-likelihood, in nats."""
    p = np.clip(probability, _LEAST, 1 - _LEAST)
    return float(-(weights * np.where(wrong, np.log(p), np.log(1 - p))).sum() / weights.sum())


def folds(groups: Whole, count: int, seed: int) -> Iterator[tuple[Bools, Bools]]:
    """(training, held out) masks; all of a group is on one side, and each is held out once.

    Raises ValueError with fewer groups than folds.
    """
    names = np.unique(groups)
    if len(names) < count:
        raise ValueError(f"{count} folds need as many sources; there are {len(names)}")
    shuffled = np.random.default_rng(seed).permutation(names)
    for fold in range(count):
        held = np.isin(groups, shuffled[fold::count])
        yield ~held, held


def out_of_fold(
    method: Method, scores: Floats, wrong: Bools, weights: Floats, splits: Sequence[tuple[Bools, Bools]]
) -> Floats:
    """The probability of each statement under a curve that has not seen its source."""
    found = np.zeros(len(scores))
    for train, held in splits:
        found[held] = fit(method, scores[train], wrong[train], weights[train]).probability(scores[held])
    return found


def best_method(losses: Mapping[Method, float]) -> Method:
    """The one with the least loss; of equals, the first."""
    return min(losses, key=lambda method: losses[method])


def threshold_for(budget: float, scores: Floats, false: Floats, clean_tokens: float) -> float | None:
    """The lowest of the scores at which interrupting everything from it on costs at most `budget` false interruptions
    for 1,000 clean tokens; None where even the highest costs more. `false` is the weight of each statement as a false
    interruption: 0 where it is wrong."""
    if not len(scores):
        return None
    levels, level = np.unique(scores, return_inverse=True)
    above = np.cumsum(np.bincount(level, false)[::-1])[::-1]
    within = 1000 * above <= budget * clean_tokens * (1 + 1e-12)
    return float(levels[int(np.argmax(within))]) if within.any() else None


def threshold_for_f1(scores: Floats, wrong: Bools, weights: Floats, missed: float) -> float | None:
    """The score from which flagging everything gives the best F1 over statements; None without any. `missed` is the
    weight of wrong statements that have no score, and so cannot be flagged."""
    if not len(scores):
        return None
    levels, level = np.unique(scores, return_inverse=True)
    hit = np.cumsum(np.bincount(level, weights * wrong)[::-1])[::-1]
    flagged = np.cumsum(np.bincount(level, weights)[::-1])[::-1]
    return float(levels[int(np.argmax(2 * hit / (flagged + weights[wrong].sum() + missed)))])
