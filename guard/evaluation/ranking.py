"""Curves over scores: how well a score puts what is wrong above what is right, at every threshold.

Weighted throughout, so that one implementation serves the sample, another base rate and the bootstrap. Knows no rows
and no checks. Equal scores are one threshold: nothing can tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Whole: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Precision and recall where everything with a score of at least `threshold` is flagged; thresholds fall."""

    threshold: Floats
    precision: Floats
    recall: Floats
    f1: Floats


class Ranking:
    """Scores and labels of a sample; every method takes one weight for each of them."""

    def __init__(self, scores: Sequence[float], wrong: Sequence[bool]) -> None:
        self._wrong = np.asarray(wrong, dtype=bool)
        self._levels, self._level = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)

    def _by_level(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weight of the wrong and of the right at each level of the score, rising."""
        size = len(self._levels)
        wrong: Floats = np.bincount(self._level, weights * self._wrong, size)  # type: ignore[assignment]  # weighted
        right: Floats = np.bincount(self._level, weights * ~self._wrong, size)  # type: ignore[assignment]
        return wrong, right

    def auroc(self, weights: Floats) -> float | None:
        """The chance that something wrong scores above something right, ties counting half; None with one class."""
        wrong, right = self._by_level(weights)
        pairs = wrong.sum() * right.sum()
        if pairs <= 0:
            return None
        below = np.cumsum(right) - right
        return float((wrong * (below + right / 2)).sum() / pairs)

    def curve(self, weights: Floats) -> Curve | None:
        """Every threshold; None where nothing is wrong."""
        wrong, right = self._by_level(weights)
        total = wrong.sum()
        hit, flagged = np.cumsum(wrong[::-1]), np.cumsum((wrong + right)[::-1])
        some = (wrong + right)[::-1] > 0  # a level that no draw has is no threshold
        if total <= 0:
            return None
        hit, flagged = hit[some], flagged[some]
        return Curve(
            threshold=self._levels[::-1][some],
            precision=hit / flagged,
            recall=hit / total,
            f1=2 * hit / (flagged + total),
        )

    def best(self, weights: Floats) -> tuple[float, float] | None:
        """The threshold with the best F1, and that F1: what re-calibration on this very sample could reach. A score of
        0 is no finding, so no threshold flags it; None where there is no other."""
        curve = self.curve(weights)
        if curve is None or not (found := curve.threshold > 0).any():
            return None
        at = int(np.argmax(np.where(found, curve.f1, -1.0)))
        return float(curve.threshold[at]), float(curve.f1[at])


class Ordered:
    """Values that belong to rows, for weighted quantiles: the least value with that share of the weight at or below."""

    def __init__(self, values: Sequence[float], rows: Sequence[int]) -> None:
        order = np.argsort(np.asarray(values, dtype=np.float64), kind="stable")
        self._values = np.asarray(values, dtype=np.float64)[order]
        self._rows: Whole = np.asarray(rows, dtype=np.intp)[order]

    def quantiles(self, weights: Floats, shares: Sequence[float]) -> list[float | None]:
        """One value for each share; None where there is no weight. `weights` are the rows'."""
        upto = np.cumsum(weights[self._rows])
        if not len(upto) or upto[-1] <= 0:
            return [None] * len(shares)
        # A hair below, lest rounding of the sum skip the value that reaches the share exactly.
        places = np.searchsorted(upto, np.asarray(shares) * upto[-1] * (1 - 1e-12))
        return [float(self._values[min(int(place), len(self._values) - 1)]) for place in places]
