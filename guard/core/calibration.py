"""What `guard eval --calibrate` wrote about one check, as a policy uses it: a curve from scores to probabilities.

1. The curve is applied to a finding's score before any threshold sees it. Isotonic: straight between its points, flat
   outside. Platt: one pair (slope, intercept) of a logistic curve. A higher score is never made the lower one.
2. The thresholds are probabilities. They count where the policy names none of its own; where the two cross, the
   file's gives way.

Knows no files, no policy and no check. How a curve is fitted is `guard.evaluation.calibration`'s.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from guard.core.types import Finding

VERSION = 1
"""Of the document; another one is refused."""

Method = Literal["isotonic", "platt"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Curve(BaseModel):
    """A curve that never falls, from a check's score to the probability that the statement is wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: Method
    points: Annotated[tuple[tuple[FiniteFloat, FiniteFloat], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.method == "platt":
            if len(self.points) != 1 or self.points[0][0] < 0:
                raise ValueError(f"a platt curve is one pair with a slope of 0 or more, not {self.points!r}")
            return self
        if any(not 0 <= probability <= 1 for _, probability in self.points):
            raise ValueError(f"the probabilities of {self.points!r} must lie between 0 and 1")
        if any(b[0] <= a[0] or b[1] < a[1] for a, b in pairwise(self.points)):
            raise ValueError(f"the points {self.points!r} must rise")
        return self

    def probability(self, score: float) -> float:
        """The probability that a statement with this score is wrong."""
        return probability(self.method, self.points, score)


class Thresholds(BaseModel):
    """Probabilities from which on a statement is flagged or interrupted; None: never."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    flag_at: Probability | None = None
    interrupt_at: Probability | None = None


class Calibration(BaseModel):
    """The document. What it tells besides (its data, its metrics) is kept, so that it counts for the policy's hash."""

    model_config = ConfigDict(extra="allow", frozen=True)
    version: Literal[1]
    check: str
    check_version: str
    calibration: Curve
    thresholds: Thresholds

    def applied(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """The findings with probabilities for scores."""
        return tuple(replace(each, score=self.calibration.probability(each.score)) for each in findings)

    def filled(self, named: Mapping[str, Any]) -> dict[str, float | None]:
        """`flag_at` and `interrupt_at`: those that the policy names, and the document's for the others."""
        own = self.thresholds
        flag_at, interrupt_at = own.flag_at, own.interrupt_at
        if "flag_at" in named:
            flag_at = named["flag_at"]
            if interrupt_at is not None and "interrupt_at" not in named:
                interrupt_at = None if flag_at is None else max(interrupt_at, flag_at)
        if "interrupt_at" in named:
            interrupt_at = named["interrupt_at"]
        if interrupt_at is not None and "flag_at" not in named:
            flag_at = interrupt_at if flag_at is None else min(flag_at, interrupt_at)
        return {"flag_at": flag_at, "interrupt_at": interrupt_at}


def probability(method: Method, points: Sequence[tuple[float, float]], score: float) -> float:
    """What a curve of these points makes of a score. Fitting calls it too: a threshold is one of its very values."""
    if method == "platt":
        slope, intercept = points[0]
        return logistic(slope * score + intercept)
    at = bisect_right(points, score, key=lambda point: point[0])
    if at in (0, len(points)):
        return points[max(0, at - 1)][1]
    (left, low), (right, high) = points[at - 1], points[at]
    return min(high, low + (high - low) * (score - left) / (right - left))


def logistic(x: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    return 1 / (1 + math.exp(-min(max(x, -700.0), 700.0)))
