"""What the routes under `/guard/api` are asked: parameters in, a filter out.

An empty parameter is one that was not given: a form sends all its fields. One that a route does not know is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, FiniteFloat, StringConstraints, model_validator

from guard.core.records import Review, Ruling
from guard.core.types import Channel, Correct, Outcome
from guard.store import Filter
from guard.store.where import LONGEST_SEARCH

LONGEST = 10_000
"""Characters of a text that a client may send."""

Text = Annotated[str, StringConstraints(max_length=LONGEST)]
Words = Annotated[str, StringConstraints(max_length=LONGEST_SEARCH)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Wanted(BaseModel):
    """Which interruptions."""

    model: Text | None = None
    policy: Text | None = None
    check: Text | None = None
    channel: Channel | None = None
    outcome: Literal[Outcome, "open"] | None = None
    review: Review | None = None
    session: Text | None = None
    conversation: Text | None = None
    user: Text | None = None
    since: FiniteFloat | None = None
    until: FiniteFloat | None = None
    score_min: Score | None = None
    score_max: Score | None = None
    late: bool | None = None
    correct: Correct | None = None
    q: Words | None = None

    @model_validator(mode="before")
    @classmethod
    def _given(cls, data: Any) -> Any:
        return {k: v for k, v in data.items() if v != ""} if isinstance(data, Mapping) else data

    def filter(self, *, before: str | None = None, limit: int | None = None) -> Filter:
        """As the store is asked."""
        named = {name: getattr(self, name) for name in Wanted.model_fields if name != "q"}
        return Filter(**named, text=self.q, before=before, limit=limit)


class Paged(Wanted):
    """A page of them."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    before: Text | None = None


class Exported(Wanted):
    """Those to write out, and as what."""

    format: Name = "prompt_completion"
    unreviewed: bool = False


class Said(BaseModel):
    """A judgement as a reviewer sends it."""

    subject: Name
    ruling: Ruling
    reviewer: Name
    label: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    reason: Text | None = None
    correction: Text | None = None
    note: Text = ""


class By(BaseModel):
    """Who asks for something to be taken back."""

    reviewer: Name
