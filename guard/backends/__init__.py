"""What a backend is: one way to reach a policy model a file; the file's name is its name in guard.yaml.

A backend module defines a class of this shape and ``plugin = ThatClass``. A backend knows how to ask and how to
continue; it does not know policies, checks or clients. It translates foreign errors to `UpstreamError` or
`RequestError` once, at its own edge.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from guard.core.events import Event
from guard.core.types import Channel, Resume


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A client's chat request, read once.

    Attributes:
        body: the request as the client sent it, without guard's own fields; `model` is the upstream's name for it.
            Fields that guard does not know are in it and must be passed on.
        headers: request headers that may go upstream (lower-case names), Authorization included where it passes.
        prefix: an unfinished assistant turn at the end of the client's messages, by channel; empty if there is none.
        n: how many choices attempt 0 must carry.
        id, created: identity of the response (`chatcmpl-...`, unix seconds) for upstreams that do not make their own.
        prompt: the text to go on from, for a raw completion, which has no messages; else None.
        top_logprobs: how many alternatives guard itself wants with every token (`Token.top`), whatever the client
            asked for; the client is told what it asked for. 0: none, and no log-probabilities either.
    """

    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: Mapping[Channel, str] = field(default_factory=dict)
    n: int = 1
    id: str = ""
    created: int = 0
    prompt: str | None = None
    top_logprobs: int = 0

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The conversation as sent, the client's unfinished assistant turn included; empty for a raw completion."""
        messages: Sequence[Mapping[str, Any]] = self.body.get("messages", ())
        return messages

    @property
    def max_tokens(self) -> int | None:
        """`max_completion_tokens`, else `max_tokens`, else None."""
        limit = self.body.get("max_completion_tokens")
        return limit if limit is not None else self.body.get("max_tokens")


@dataclass(frozen=True, slots=True)
class Usage:
    """The upstream's token counts for an attempt, as its `usage` object."""

    attempt: int
    counts: Mapping[str, Any]


Item: TypeAlias = tuple[int, Event] | Usage
"""An event of the choice with that index, or the attempt's usage."""

Batch: TypeAlias = Sequence[Item]
"""All that one read of the upstream brought, in order; never empty."""


class Turn(Protocol):
    """One chat request at one upstream: attempt 0 and the attempts that continue its cut choices.

    It may hold state between attempts (token ids, a key-value cache); `close` lets go of it.
    """

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers of attempt 0 worth passing on (rate limits, request id); empty until it has begun."""
        ...

    def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
        """Run one upstream call and yield what it brings.

        `number` 0 carries all `n` choices and has no `resume`; a later one continues `choice` alone. The first event
        of each choice is `Opened`, the last `Finished` (a stream that ends without it is `UpstreamDisconnected`).
        Every event carries `number`. Closing the iterator cancels the call: no further token is computed or read.

        Raises:
            UpstreamError: the upstream refused or broke; before the first yield, its status can still be sent.
            RequestError: the request cannot be served here.
        """
        ...

    async def close(self) -> None:
        """Cancel what still runs and free what is held. Safe to call twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbatim:
    """A request that is passed on as it is.

    Attributes:
        path: behind the upstream's base URL, as the client wrote it (percent-encoding included), no leading slash.
        query: as the client wrote it.
        headers: the client's that may go upstream, lower-case names.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class VerbatimAnswer(Protocol):
    """Its answer, as it came: nothing decoded."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """What may go to a client, in order; lower-case names."""
        ...

    def body(self) -> AsyncIterator[bytes]:
        """The bytes, as reads bring them. Raises UpstreamError if they end too early."""
        ...

    def close(self) -> None:
        """Let go of it. Safe to call twice."""
        ...


@runtime_checkable
class Forwarder(Protocol):
    """What a backend may have besides: a server behind it that answers more than chats."""

    @property
    def keyed(self) -> bool:
        """Whether requests go out with a key of guard's own, not the client's."""
        ...

    async def forward(self, request: Verbatim) -> VerbatimAnswer:
        """Pass a request on; returns once the answer has begun. Raises UpstreamError."""
        ...

    async def models(self, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """The entries of its `/models`; none if it cannot be reached."""
        ...


Seconds = Annotated[float, Field(gt=0)]


class Timeouts(BaseModel):
    """Patience with an upstream, in seconds.

    `connect_s`: name, TCP and TLS. `first_token_s`: from the request to the first event. `idle_s`: between two reads,
    keep-alive comments included. `total_s`: a whole attempt.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect_s: Seconds = 5
    first_token_s: Seconds = 60
    idle_s: Seconds = 60
    total_s: Seconds = 900


class Options(BaseModel):
    """Base of a backend's own options in guard.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Backend(Protocol):
    """One policy model that can be asked.

    `Options` validates what stands in guard.yaml for it; `__init__(options)` does no I/O, `start` does.
    """

    Options: ClassVar[type[Options]]

    def __init__(self, options: Any) -> None: ...

    async def start(self) -> None:
        """Load or connect. Raises ConfigError or UpstreamError."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...

    def begin(self, request: ChatRequest) -> Turn:
        """A turn for this request. Raises RequestError for what this backend cannot do."""
        ...

    def count(self, text: str) -> int:
        """Tokens of `text`: exact with a tokenizer, else about four characters a token."""
        ...

    async def ready(self) -> Mapping[str, Any]:
        """For /readyz: ``{"ok": bool, "continuation": ..., ...}``; never raises, never says a secret."""
        ...


def estimate_tokens(text: str) -> int:
    """A tokenizer-free count: four characters a token, at least one for any text (OpenAI's rule of thumb)."""
    return -(-len(text) // 4)
