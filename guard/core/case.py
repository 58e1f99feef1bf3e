"""A case that proves a policy, as it stands under `cases:` of its file. It knows no checks; playing it is another's."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from guard.core.types import Channel


class Case(BaseModel):
    """`guard check` plays `text` to the policy and compares.

    What is to happen is said in one of two ways: by the claims in `interrupted`, or by `expect`.

    Attributes:
        text: what the model says; in `tool_calls`, the arguments of its call, a JSON object.
        tool: the function that it calls; only in `tool_calls`.
        evidence: what the request supplies to check against.
        interrupted: the claims that must be interrupted, each a part of `text`, in order; none if empty.
        expect: `clean`: nothing is interrupted. `interrupt`: one statement is, and no other.
        segment: that statement, a part of `text`; None: any.
        reason: what the reason that guard gives must contain, in any letter case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    text: str
    channel: Channel = "reasoning"
    tool: str | None = None
    evidence: tuple[str, ...] = ()
    interrupted: tuple[str, ...] = ()
    expect: Literal["interrupt", "clean"] | None = None
    segment: str | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.expect is not None and self.interrupted:
            raise ValueError(f"case {self.name!r}: interrupted and expect say the same in two ways; keep one of them")
        for name in ("segment", "reason"):
            if getattr(self, name) is not None and self.expect != "interrupt":
                raise ValueError(f"case {self.name!r}: {name} belongs to expect: interrupt")
        for claim in (*self.interrupted, self.segment or ""):
            if claim.strip() not in self.text:
                raise ValueError(f"case {self.name!r}: {claim!r} is no part of its text")
        if (self.tool is None) is (self.channel == "tool_calls"):
            raise ValueError(f"case {self.name!r}: channel: tool_calls and tool: NAME go together")
        return self
