"""One entry under `checks:` of a policy: what a check's findings amount to.

Thresholds, the calibration that scores pass through before them, and what goes with a check from policy to policy. It
does not know segments, other checks or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from guard.core.calibration import Calibration
from guard.core.types import Channel, Finding

Score = Annotated[float, Field(ge=0, le=1)]
Act = Literal["none", "flag", "interrupt"]


class CheckUse(BaseModel):
    """One entry under `checks:`. What the policy decides is here; everything else is the check's own `params`.

    `used_at` is the gate of premises: a finding from it on, but below `interrupt_at`, interrupts once a later segment
    builds on what it is about (`guard.core.premise`), at most `max_late_segments` later. It is off unless named, and
    no shipped policy names it, because it was measured and does not pay. On 3,356 answers to questions (RAGTruth,
    training half, which the check was fitted on; bad answers weighted to 18 %) with the lexical `grounding`: 6.0 % of
    the findings that are right are built on within three segments, 4.3 % of the false ones. Interrupting from 0.7 on,
    and from 0.3 once used, is right in 84.6 % and catches 20.3 % of the bad answers; from 0.68 on without waiting,
    88.2 % and 20.4 %. From 0.5 on, and 0.1 once used: 71.3 % and 41.7 %; from 0.46 on: 74.9 % and 41.4 %. So it was in
    each of 24 pairs but one (0.7 with 0.5 within three segments: 89.5 % and 18.7 %, against 89.0 % and 18.9 %).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    check: str
    calibration: Calibration | None = None
    """In a policy file, the name of a file that `guard eval --calibrate` wrote, beside it."""
    flag_at: Score | None = 0.5
    """None, with `interrupt_at` None: the check's findings are stored, and only a fusion acts on them."""
    used_at: Score | None = None
    interrupt_at: Score | None = 0.85
    """None: this check flags and never interrupts by itself."""
    deadline_ms: Annotated[int, Field(gt=0)] = 1000
    only_if: tuple[str, ...] = ()
    channels: tuple[Channel, ...] | None = None
    params: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather_params(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "params" in data:
            return data
        own = {k: v for k, v in data.items() if k in cls.model_fields}
        return own | {"params": {k: v for k, v in data.items() if k not in cls.model_fields}}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.calibration is not None:
            if self.calibration.check != self.check:
                raise ValueError(f"the calibration is of check {self.calibration.check!r}, not of {self.check!r}")
            named = {name: getattr(self, name) for name in self.model_fields_set & {"flag_at", "interrupt_at"}}
            self.__dict__.update(self.calibration.filled(named))  # frozen for everyone else
        if self.flag_at is None:
            if self.interrupt_at is not None or self.used_at is not None:
                raise ValueError("flag_at null makes a check an input only: interrupt_at must be null, and no used_at")
            return self
        if self.interrupt_at is not None and self.interrupt_at < self.flag_at:
            raise ValueError(f"interrupt_at {self.interrupt_at!r} is below flag_at {self.flag_at!r}")
        highest = 1.0 if self.interrupt_at is None else self.interrupt_at
        if self.used_at is not None and not self.flag_at <= self.used_at <= highest:
            raise ValueError(
                f"used_at {self.used_at!r} is not between flag_at {self.flag_at!r} and "
                f"interrupt_at {self.interrupt_at!r}"
            )
        return self

    def read(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """The findings with calibrated scores, where there is a calibration."""
        return findings if self.calibration is None else self.calibration.applied(findings)

    def judge(self, findings: tuple[Finding, ...]) -> Act:
        """What these findings amount to under this policy's thresholds."""
        score = max((f.score for f in findings), default=-1.0)
        if self.interrupt_at is not None and score >= self.interrupt_at:
            return "interrupt"
        return "flag" if self.flag_at is not None and score >= self.flag_at else "none"

    def premises(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Those that interrupt once a later segment builds on them, the surest first."""
        if self.used_at is None:
            return ()
        return tuple(sorted((f for f in findings if f.score >= self.used_at), key=lambda f: -f.score))
