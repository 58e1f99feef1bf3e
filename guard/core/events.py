"""The alphabet of a session: what can happen to it (events) and what it asks for (commands).

Everything that changes a session is in an event, so the list of events a session received replays it exactly.
`attempt` numbers the upstream calls of a choice: 0 is the first, n the one after the n-th cut.

All are values. Three of them are made for every delta and are for that reason alone not frozen, which would take five
times as long to build (1.9 against 0.4 microseconds): `Delta`, `Piece`, `Emit`. Nobody changes them either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from guard.core.types import (
    Channel,
    Closing,
    Continuation,
    Finding,
    GuardEvent,
    Interruption,
    Resume,
    Segment,
    Summary,
    Token,
)

# Events: from the driver to the session ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt has begun; `continuation` says how a cut turn is continued (None for attempt 0). `echoes`: the answer
    repeats the client's unfinished turn before it goes on, so it stands for the whole of it."""

    attempt: int
    continuation: Continuation | None = None
    echoes: bool = False


@dataclass(slots=True)
class Delta:
    """Text of one channel. `raw` is the upstream's own chunk, passed on untouched if the delta is not changed;
    `form` is the field the text came in, so that it goes out the same way; `tokens` where the upstream tells."""

    attempt: int
    channel: Literal["reasoning", "content"]
    text: str
    raw: Any = None
    form: str = ""
    tokens: tuple[Token, ...] = ()
    logprobs: Any = None


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """A fragment of a tool call, as OpenAI streams them: `id` and `name` come with the first one of an index."""

    attempt: int
    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    raw: Any = None


@dataclass(frozen=True, slots=True)
class Extra:
    """A chunk that carries no text (the role, an unknown field) or text of no channel (an inline tag): sent on in its
    place. `tag` is "open" or "close" for an inline reasoning tag; a second opening tag is dropped."""

    attempt: int
    raw: Any = None
    text: str = ""
    tag: Literal["", "open", "close"] = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The upstream ended the choice and said why (`stop`, `length`, `tool_calls`, ...)."""

    attempt: int
    reason: str
    raw: Any = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt broke. `error` travels to the client unless the text it broke in is discarded anyway."""

    attempt: int
    error: str
    status: int = 502


@dataclass(frozen=True, slots=True)
class Checked:
    """A check ran: its findings, possibly none."""

    segment: int
    check: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A check did not run: `unscanned` (it failed or was late) or `not_applicable` (nothing to check against)."""

    segment: int
    check: str
    status: Literal["unscanned", "not_applicable"]
    why: str


@dataclass(frozen=True, slots=True)
class HoldExpired:
    """Text of this segment has been withheld for the channel's `max_hold_ms`."""

    segment: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """The interruption is durable (or, with `error`, could not be made so)."""

    id: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """Nobody is listening any more."""


Event: TypeAlias = (
    Opened | Delta | ToolDelta | Extra | Finished | Failed | Checked | Unchecked | HoldExpired | Recorded | ClientLeft
)

# Commands: from the session to the driver -------------------------------------------------------------------------


@dataclass(slots=True)
class Piece:
    """One thing to send: the upstream's chunk as it came (`raw`), or text to put into one.

    With `raw` None the driver encodes `text` in `channel` (in `form`, the field the upstream uses), with `guard`
    and `logprobs` beside it. A piece without text carries only its `guard`. `tag`: the text is an inline reasoning
    tag, sent as content and part of no channel.
    """

    channel: Channel
    text: str
    raw: Any = None
    form: str = ""
    guard: GuardEvent | None = None
    logprobs: Any = None
    call: ToolDelta | None = None
    tag: bool = False


@dataclass(slots=True)
class Emit:
    """Send these to the client, in this order; from now on they cannot be taken back."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class RunCheck:
    """Run a check on a segment and answer with `Checked` or `Unchecked`: if it is inline, as soon as the other
    commands of the list are done and before any other event; else within its deadline, while the stream goes on."""

    segment: Segment
    check: str


@dataclass(frozen=True, slots=True)
class StartHold:
    """Answer with `HoldExpired(segment)` after `ms` milliseconds."""

    segment: int
    ms: int


@dataclass(frozen=True, slots=True)
class DropChecks:
    """These segments were discarded: their checks may be cancelled (their verdicts would be ignored)."""

    segments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    """Stop reading this attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Record:
    """Make the interruption durable, then answer `Recorded`."""

    interruption: Interruption


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """Continue the turn."""

    attempt: int
    resume: Resume


@dataclass(frozen=True, slots=True)
class Finish:
    """The one end of the choice. `raw` is the upstream's own finish chunk where nothing about it changed."""

    reason: str
    raw: Any = None
    error: str | None = None
    status: int = 200
    closings: tuple[Closing, ...] = ()
    summary: Summary | None = None


Command: TypeAlias = Emit | RunCheck | StartHold | DropChecks | CancelAttempt | Record | OpenAttempt | Finish
