"""Pieces of a turn as OpenAI chunks, and as one answer. Pure: bytes out, no I/O, no clock.

Rules: standard chunks only, never a named event, never a chunk without `choices`; guard's own word rides in the
`guard` field of an ordinary chunk; what the upstream sent and nobody changed goes out as the bytes it came in; the id
stays the same across attempts; reasoning is written in the form it was read in. Usage is told once, at the end: guard
asks every upstream for it, so what an upstream says of it in other chunks reaches only a client that asked too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from guard.chat.merge import Answer
from guard.chat.rest import without_usage
from guard.core.events import Finish, Piece
from guard.core.types import GuardEvent

VERSION = 1
"""Of the `guard` field."""

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": guard\n\n"
"""An SSE comment: every client ignores it."""

Chunk: TypeAlias = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_IDENTITY = ("id", "created", "model", "system_fingerprint", "service_tier")


def sse(chunk: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + _encode(chunk) + b"\n\n"


def guard_field(event: GuardEvent) -> dict[str, Any]:
    """The `guard` object of a chunk."""
    out: dict[str, Any] = {
        "v": VERSION,
        "event": event.event,
        "id": event.id,
        "channel": event.channel,
        "span": list(event.span),
        "discarded": list(event.discarded) if event.discarded else None,
        "check": event.check,
        "reason": event.reason,
        "correction": event.correction,
    }
    if event.why:
        out["why"] = event.why
    if event.retracted is not None:
        out["retracted"] = event.retracted
    return out


def error_body(
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    guard: Sequence[Mapping[str, Any]] = (),
) -> Chunk:
    """An OpenAI error object; `kind` is its `type`."""
    body: Chunk = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return body | ({"guard": list(guard)} if guard else {})


def delta_fields(piece: Piece) -> dict[str, Any]:
    """The `delta` of a chunk that carries this piece."""
    if piece.call is not None:
        return {"tool_calls": [_call(piece)]}
    if piece.tag or piece.channel != "reasoning":
        typed = piece.form == "typed" and not piece.tag
        return {"content": [{"type": "text", "text": piece.text}] if typed else piece.text}
    match piece.form:
        case "inline":
            return {"content": piece.text}
        case "typed":
            return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece.text}]}]}
        case form:
            return dict.fromkeys((form or "reasoning_content").split("+"), piece.text)


def _call(piece: Piece) -> dict[str, Any]:
    call = piece.call
    assert call is not None
    function: dict[str, Any] = {"arguments": call.arguments}
    if call.name:
        function = {"name": call.name} | function
    head: dict[str, Any] = {"index": call.index} | ({"id": call.id} if call.id else {})
    head |= {"type": "function"} if call.name else {}
    return head | ({"function": function} if call.name or call.arguments else {})


class Identity:
    """The id, time and model that all chunks of a response share: the upstream's own, once it has told them."""

    __slots__ = ("_known", "fields")

    def __init__(self, id_: str, created: int, model: str) -> None:
        self.fields: dict[str, Any] = {"id": id_, "created": created, "model": model}
        self._known = False

    def learn(self, raw: Any) -> None:
        """Take over what an upstream's chunk says. The first one that has an id or a choice decides: Azure sends one
        before it whose fields are empty."""
        if not self._known and raw is not None:
            told = payload(raw)
            self._known = bool(told.get("id") or told.get("choices"))
            self.fields |= {name: told[name] for name in _IDENTITY if told.get(name)}


def payload(raw: Any) -> dict[str, Any]:
    """The JSON of an upstream's event, `{}` where it is not one JSON object."""
    try:
        found = _decode(_data(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _data(raw: Any) -> bytes:
    if raw[:6] == b"data: " and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return bytes(raw[6:-2])
    lines = bytes(raw).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))


def _choices(chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [choice for choice in chunk.get("choices") or () if isinstance(choice, dict)]


class StreamEncoder:
    """Encodes one streamed response. `include_usage`: the client asked for a last chunk with the usage."""

    def __init__(self, identity: Identity, *, include_usage: bool = False) -> None:
        self._identity = identity
        self._include_usage = include_usage
        self._spoken: set[int] = set()

    def piece(self, choice: int, piece: Piece) -> bytes:
        """One piece as it goes over the wire."""
        if piece.raw is not None and piece.guard is None:
            self._identity.learn(piece.raw)
            if piece.text or piece.call is not None:
                self._spoken.add(choice)
            elif choice not in self._spoken:
                self._spoken |= _roles(piece.raw)
            # What nearly every delta is: bytes that nobody looks into; searching from the end is twice as fast.
            if self._include_usage or piece.raw.rfind(b'"usage"') < 0:
                return bytes(piece.raw)
            return unasked(piece.raw)
        chunk = self._chunk(choice, self._role(choice) | delta_fields(piece), None, piece.logprobs)
        return sse(chunk | ({"guard": guard_field(piece.guard)} if piece.guard else {}))

    def finish(self, choice: int, finish: Finish) -> bytes:
        """The end of a choice; an error frame if it failed."""
        if finish.error is not None:
            return sse(error_body(finish.error, kind="upstream_error", code=str(finish.status)))
        if finish.raw is not None:
            self._identity.learn(finish.raw)
            return bytes(finish.raw) if self._include_usage else unasked(finish.raw)
        return sse(self._chunk(choice, self._role(choice), finish.reason))

    def end(self, usage: Mapping[str, Any]) -> bytes:
        """The usage chunk, if the client asked for it, and `[DONE]`."""
        told = sse(self._head() | {"choices": [], "usage": usage}) if self._include_usage else b""
        return told + DONE

    def _role(self, choice: int) -> dict[str, Any]:
        """The role, for the first delta of a choice."""
        known = choice in self._spoken
        self._spoken.add(choice)
        return {} if known else {"role": "assistant"}

    def _head(self) -> Chunk:
        return {"object": "chat.completion.chunk", **self._identity.fields}

    def _chunk(self, choice: int, delta: Mapping[str, Any], reason: str | None, logprobs: Any = None) -> Chunk:
        entry = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self._head() | {"choices": [entry]}


def unasked(raw: Any) -> bytes:
    """The upstream's bytes without `usage` (null, as a rule), for a client that did not ask for any."""
    same = bytes(raw)
    try:
        return same if b'"usage"' not in same else without_usage(_data(same)) or same
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return same


def _roles(raw: Any) -> set[int]:
    """The choices that a chunk gives a role."""
    return {choice.get("index") or 0 for choice in _choices(payload(raw)) if (choice.get("delta") or {}).get("role")}


class Collector:
    """The same pieces as one `chat.completion`: the non-streamed answer is the collected stream."""

    def __init__(self, identity: Identity, n: int) -> None:
        self._identity = identity
        self._answer = Answer(n)
        self._reasons: list[str | None] = [None] * n
        self.events: list[dict[str, Any]] = []
        self.error: Finish | None = None

    def piece(self, choice: int, piece: Piece) -> None:
        """Take a piece of a choice."""
        self._identity.learn(piece.raw)
        if piece.guard is not None:
            self.events.append({**guard_field(piece.guard), "choice": choice})
        elif piece.raw is not None:
            chunk = payload(piece.raw)
            self._answer.take(chunk if piece.call is None else _same_call(chunk, piece))
            return
        if piece.text or piece.call is not None:
            self._answer.delta(choice, delta_fields(piece), piece.logprobs)

    def finish(self, choice: int, finish: Finish) -> None:
        """The choice is over."""
        self._reasons[choice] = finish.reason
        if finish.error is not None:
            self.error = self.error or finish
        if finish.raw is not None:
            self._identity.learn(finish.raw)
            self._answer.take(payload(finish.raw))

    def answer(self, usage: Mapping[str, Any]) -> Chunk:
        """The whole response; `guard` lists what was told on the way, in order."""
        choices = [self._answer.choice(index, reason) for index, reason in enumerate(self._reasons)]
        head = {"object": "chat.completion", **self._identity.fields, **self._answer.top}
        guard = {"guard": {"v": VERSION, "events": self.events}} if self.events else {}
        return head | {"choices": choices, "usage": usage} | guard


def _same_call(chunk: Chunk, piece: Piece) -> Chunk:
    """A chunk's one call with the index it was given and its arguments as text, whatever they came as."""
    choice = chunk["choices"][0]
    call: dict[str, Any] = choice["delta"]["tool_calls"][0]
    read = _call(piece)
    told = {"index": read["index"]} | ({"function": read["function"]} if "function" in read else {})
    return chunk | {"choices": [choice | {"delta": choice["delta"] | {"tool_calls": [call | told]}}]}
