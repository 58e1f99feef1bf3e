"""What a session is given when it begins, and what it makes of the policy for this request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from guard.core.policy import Policy, Watch
from guard.core.types import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """What a session must know of a check."""

    name: str
    version: str
    inline: bool
    channels: frozenset[Channel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a session is given.

    Attributes:
        session, choice: name its interruptions, `{session}.{choice}.{number}`.
        prefix: an unfinished assistant turn of the client's, by channel: context, never checked.
        structured: the request has a non-text `response_format`: content is one segment and is never injected into.
        max_tokens: the request's limit on what is kept and put in together.
        stops: the request's stop strings.
        count: tokens of a text.
    """

    session: str
    choice: int
    policy: Policy
    checks: Sequence[CheckSpec]
    prefix: Mapping[Channel, str] = field(default_factory=dict)
    structured: bool = False
    max_tokens: int | None = None
    stops: Sequence[str] = ()
    count: Callable[[str], int]


def watched(config: Config) -> Mapping[Channel, Watch]:
    """The policy's channels; structured content is one segment, held whole while the policy may act on it."""
    policy = config.policy
    if policy.mode == "off":
        return {}
    watch = dict(policy.watch)
    if config.structured and "content" in watch and policy.mode == "supervise":
        watch["content"] = watch["content"].model_copy(update={"unit": "whole", "release": "checked"})
    return watch
