"""The figures of an experiment as its report reads them: checked once, rounded in one place.

Knows figures.json; knows no page and no picture. A figure that is not there is None and is written "not run".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.errors import ConfigError

NOT_RUN = "not run"
SHARE, CHANGE, COUNT = "z.2f", "+z.2f", "z,.0f"
"""Format specifications: shares, AUC and nats; differences; counts. None writes a negative zero."""

_Number = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""The 97.5 % point of Student's t for 1 to 10 degrees of freedom."""

_Z = 1.959964
"""The same of the normal distribution."""


class Value(BaseModel):
    """A figure over seeds: mean, standard deviation, how many seeds, and each seed's own."""

    model_config = ConfigDict(frozen=True)

    mean: _Number
    sd: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] = 0.0
    n: int = Field(default=1, ge=1)
    values: tuple[_Number, ...] = ()

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; 0 for one seed, which has none."""
        return self.sd if self.n > 1 else 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """The mean's 95 % interval by Student's t over seeds; None for one seed."""
        if self.n == 1:
            return None
        half = quantile(self.n - 1) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half


class Must(BaseModel):
    """A bar or a goal. `met`, like `mean`, is None where its figure was not run."""

    model_config = ConfigDict(frozen=True)

    key: str
    name: str
    op: Literal[">=", "<="]
    bound: _Number
    kind: Literal["bar", "goal"] = "bar"
    mean: _Number | None = None
    sd: _Number | None = None
    n: int | None = None
    met: bool | None = None

    @property
    def needed(self) -> str:
        """The demand, as `≥ 0.9`."""
        return f"{'≥' if self.op == '>=' else '≤'} {self.bound:g}"

    @property
    def measured(self) -> str:
        """Mean ± sd, with as many places as it takes to see on which side of the bound the mean lies."""
        if self.mean is None:
            return NOT_RUN
        places = next((p for p in range(2, 7) if round(self.mean, p) != self.bound or self.mean == self.bound), 7)
        return written(Value(mean=self.mean, sd=self.sd or 0.0, n=self.n or 1), f"z.{places}f")

    @property
    def outcome(self) -> Literal["met", "NOT met", "not run"]:
        """What came of it."""
        if self.met is None or self.mean is None:
            return "not run"
        return "met" if self.met else "NOT met"


class Experiment(BaseModel):
    """What figures.json holds; anything may be missing."""

    model_config = ConfigDict(frozen=True)

    scale: str = ""
    seeds: tuple[int, ...] = ()
    steps: dict[str, int] = {}
    cpu_s: dict[str, _Number] = {}
    stages: dict[str, _Number] = {}
    machine: str = ""
    values: dict[str, Value | None] = {}
    must: tuple[Must, ...] = ()
    notes: tuple[str, ...] = ()

    def get(self, key: str) -> Value | None:
        """A figure by its dotted name."""
        return self.values.get(key)

    def under(self, prefix: str) -> dict[str, Value]:
        """The figures below a name, without it."""
        head = f"{prefix}."
        return {key.removeprefix(head): v for key, v in self.values.items() if v is not None and key.startswith(head)}

    def written(self, key: str, spec: str = SHARE) -> str:
        """A figure as text."""
        return written(self.get(key), spec)


def read(figures: Mapping[str, Any]) -> Experiment:
    """The figures, checked. Raises ConfigError naming the first that cannot be used."""
    try:
        return Experiment.model_validate(dict(figures))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"figure {place!r} cannot be used: {first['msg']} (it is {first['input']!r:.80}); run the experiment again"
        ) from error


def written(value: Value | None, spec: str = SHARE) -> str:
    """`0.83 ± 0.01`; without the ± for one seed; "not run" for None."""
    if value is None:
        return NOT_RUN
    mean = format(value.mean, spec)
    return f"{mean} ± {format(value.sd, spec.removeprefix('+'))}" if value.n > 1 else mean


def ranged(value: Value) -> str:
    """The 95 % interval as text."""
    if value.interval is None:
        return "one seed: no interval"
    return "{} to {}".format(*(format(end, CHANGE) for end in value.interval))


def quantile(freedom: int) -> float:
    """The 97.5 % point of Student's t. Source: a table up to 10, then Abramowitz and Stegun 26.7.5 (within 0.003)."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z, terms = _Z, (4 * freedom, 96 * freedom**2)
    return z + (z**3 + z) / terms[0] + (5 * z**5 + 16 * z**3 + 3 * z) / terms[1]
