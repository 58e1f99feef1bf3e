"""What a check is. One check a file; the file's name is its name in `policies/*.yaml`.

A check module defines a class of this shape and ``plugin = ThatClass``; nothing else has to be edited. A check
returns evidence (`Finding`s with scores); it never decides: thresholds live in the policy. It keeps no state of its
own between segments: what went before is in `Context`, from which discarded and corrected text is already gone, so
that a corrected claim leaves every check's memory by construction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ConfigDict

from guard.core.types import Channel, Evidence, Finding, Segment, Spelled

TEXT: frozenset[Channel] = frozenset({"reasoning", "content"})
"""The channels a check of prose looks at."""


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The check had nothing to check against; `why` in a few words, counted and shown as they are."""

    why: str


Result: TypeAlias = tuple[Finding, ...] | NotApplicable
"""Findings, none if the segment is clean; or why the check could not say."""


Spend: TypeAlias = Callable[[int], None]
"""Told how many tokens a model was asked to read and write for a check, also where its answer was not awaited."""

Ask: TypeAlias = Callable[[Mapping[Channel, str], int, int], Awaitable[Sequence[str]]]
"""`await ask(prefix, n, max_tokens)`: n samples, at temperature 1, of how the policy model goes on from an assistant's
turn that stands as `prefix` says, each in the prefix's last channel. Raises GuardError."""


def _uncounted(tokens: int) -> None:
    """Where nobody counts."""


def _untold(segment: Segment) -> Spelled:
    """Where nobody knows tokens."""
    del segment
    return ()


class Supervisor(Protocol):
    """A model that judges, as a check sees it. Cancelling `ask` cancels the call."""

    async def ask(
        self, messages: Sequence[Mapping[str, str]], *, schema: Mapping[str, Any], max_tokens: int, spend: Spend
    ) -> str:
        """The text of its answer to chat messages, sampled greedily and meant to fit the JSON schema `schema`.

        It need not fit: a server may ignore or refuse a schema, so the answer is untrusted. Raises GuardError.
        """
        ...


@runtime_checkable
class Scoring(Protocol):
    """What a supervisor may have besides: a cheap look before it is asked for its whole answer."""

    async def score(
        self, messages: Sequence[Mapping[str, str]], *, schema: Mapping[str, Any], spend: Spend
    ) -> Mapping[str, float] | None:
        """How likely an answer that fits `schema` begins with each value that its first property may have.

        The first property is a string with an `enum`. Probabilities are the model's own and sum to at most 1; what is
        missing it would give to words that are none of these. One pass over the messages, nothing is sampled. None
        where its backend cannot tell. Raises GuardError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a check may look at beside the segment.

    Attributes:
        evidence: what the request supplies to check against.
        standing: gives `kept`; asked only by checks that look, since it costs as much as the turn is long.
        memo: one dictionary a check and choice, for caching what is costly to work out from `evidence` or `kept`;
            key by segment id where it depends on a segment.
        preceding: gives `before`; asked only by checks that look.
        tokens: `tokens(segment)`: how the policy model spelled this segment or one of `kept`, with log-probabilities
            where they are known (`guard.core.spelling`); () where its tokens are not. Looked up when it is called.
        ask: how the policy model goes on if it is asked again, off the stream; None where it cannot be asked.
        spend: to be told the tokens of a supervisor's call; `ask` does so itself.
    """

    evidence: Evidence
    memo: dict[str, Any] = field(default_factory=dict)
    standing: Callable[[], tuple[Segment, ...]] = tuple
    preceding: Callable[[], Mapping[Channel, str]] = dict
    tokens: Callable[[Segment], Spelled] = _untold
    ask: Ask | None = None
    spend: Spend = _uncounted

    @property
    def kept(self) -> tuple[Segment, ...]:
        """The segments before this one that still stand, oldest first."""
        return self.standing()

    @property
    def before(self) -> Mapping[Channel, str]:
        """The turn up to the segment's start as the policy model has it, by channel in order, what guard wrote too."""
        return self.preceding()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the server's configuration gives to checks: paths of facts files and the supervisor model, if there is one
    (`facts` and `supervisor` in guard.yaml). The supervisor can be asked once the server has started."""

    facts: tuple[Path, ...] = ()
    supervisor: Supervisor | None = None


class Params(BaseModel):
    """Base of a check's parameters: what stands beside `check:` in a policy, validated."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(Protocol):
    """One way to tell that a statement is confabulated.

    Class attributes:
        version: changes when the same text could be scored differently; stored with every verdict.
        inline: True if `examine` is a plain function that takes microseconds: it then runs before the text's last
            characters are released. False: `examine` is a coroutine and runs beside the stream within a deadline.
        channels: the channels it looks at.
        Params: its parameters.

    An instance may have a `version` and an `inline` of its own, where its parameters decide: with `inline` False what
    `examine` returns is awaited, whether or not it is a coroutine function.

    `__init__(params, resources)` loads what it needs and raises `ConfigError` if it cannot. One instance serves all
    requests, from one event loop; several `examine` coroutines may be in flight.
    """

    version: ClassVar[str]
    inline: ClassVar[bool]
    channels: ClassVar[frozenset[Channel]]
    Params: ClassVar[type[Params]]

    def __init__(self, params: Any, resources: Resources) -> None: ...

    def examine(self, segment: Segment, context: Context) -> Result | Awaitable[Result]:
        """Look at one segment. An exception becomes `unscanned(error)`; it never reaches the client."""
        ...


@runtime_checkable
class Skippable(Protocol):
    """What a check may have besides: it loads without what it needs, and is then skipped."""

    @property
    def skipped(self) -> str:
        """What is missing, in a few words, as /readyz shows it; "" if nothing is."""
        ...


Checks: TypeAlias = Mapping[str, Check]
"""The loaded checks of a policy by name."""
