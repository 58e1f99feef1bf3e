"""Several checks of one segment weighed together: evidence that none of them would act on alone.

    log odds = bias + the sum, over the checks that ran, of  weight * logit(clip(score))  where one found something,
                                                       and of  silent                     where it found nothing

1. A check that did not run (not applicable, unscanned, not asked) adds nothing.
2. Weights are 0 or more: no finding, however sure, makes a statement more credible than a less sure one of its check.
3. Without a finding of any of the checks there is no probability: a correction needs one to speak of. The check that
   adds most of those that found something is the one it is attributed to; of equals, the first.
4. A score is clipped, so that one check that is always sure never outweighs all the others by itself.

Scores are those of the policy: calibrated ones where a check's entry has a calibration. Knows no sessions, no files;
how weights are fitted is `guard.evaluation.fusing`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from guard.core.calibration import Probability, logistic
from guard.core.types import Verdict

VERSION = 1
"""Of the document; another one is refused."""

CLIP = 0.001
"""A score counts as no nearer than this to 0 or 1."""


class Weighed(BaseModel):
    """What one check's answer adds to the log odds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    check_version: str
    weight: Annotated[FiniteFloat, Field(ge=0)]
    silent: FiniteFloat = 0.0
    calibrated: bool = False
    """Whether the scores that it was fitted on were calibrated ones."""


@dataclass(frozen=True, slots=True)
class Fused:
    """What the checks amount to together, and the check that it is attributed to."""

    check: str
    probability: float


class Fusion(BaseModel):
    """The document; `about` says what it was fitted on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1]
    checks: Annotated[Mapping[str, Weighed], Field(min_length=1)]
    bias: FiniteFloat
    flag_at: Probability | None
    interrupt_at: Probability | None
    about: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.interrupt_at is not None and (self.flag_at is None or self.interrupt_at < self.flag_at):
            raise ValueError(f"interrupt_at {self.interrupt_at!r} is below flag_at {self.flag_at!r}")
        return self

    def judge(self, probability: float) -> Literal["none", "flag", "interrupt"]:
        """What a probability leads to."""
        if self.interrupt_at is not None and probability >= self.interrupt_at:
            return "interrupt"
        return "flag" if self.flag_at is not None and probability >= self.flag_at else "none"

    def fuse(self, verdicts: Mapping[str, Verdict]) -> Fused | None:
        """The probability from the verdicts on one segment, by check; None where none of the checks found anything."""
        scores = {name: score for name in self.checks if (score := heard(verdicts.get(name))) is not None}
        adds = {name: self.added(name, score) for name, score in scores.items()}
        found = {name: adds[name] for name, score in scores.items() if score > 0}
        if not found:
            return None
        return Fused(max(found, key=lambda name: found[name]), logistic(self.bias + sum(adds.values())))

    def added(self, check: str, score: float) -> float:
        """What a check that ran adds; a score of 0 is no finding."""
        weighed = self.checks[check]
        return weighed.weight * evidence(score) if score > 0 else weighed.silent


def heard(verdict: Verdict | None) -> float | None:
    """The score of the surest finding, 0 without any; None where the check did not run."""
    if verdict is None or verdict.status not in ("clean", "flagged"):
        return None
    return max((finding.score for finding in verdict.findings), default=0.0)


def evidence(score: float) -> float:
    """The log odds of a score, clipped."""
    clipped = min(max(score, CLIP), 1 - CLIP)
    return math.log(clipped / (1 - clipped))
