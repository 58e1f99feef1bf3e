"""Released pieces as the stream events of OpenAI's Responses, and as one Response.

Pure: bytes out, no I/O, no clock. Knows the response around the output, not the items in it. Rules:
  Every event is named (`event:`) and numbered, as OpenAI does; the last holds the whole response; no `[DONE]`.
  The id that `response.created` told stays to the end, whatever an upstream's chunks say theirs is.
  guard's own word is the `guard` field of a delta, and once more, all of it, of the whole response.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from guard.core.events import Finish, Piece
from guard.server import wire
from guard.server.responses_output import Output, Told

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ERRORS = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
_DEFAULTS: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
}

_encode = msgspec.json.Encoder().encode


def sse(event: Mapping[str, Any]) -> bytes:
    """One server-sent event, under its own name."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))


def usage_fields(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Chat's `usage` in the words of a Response; `guard` stays as it is."""
    told = {
        "input_tokens": usage.get("prompt_tokens", 0),
        "input_tokens_details": _details(usage, "prompt_tokens_details", "cached_tokens", "cache_write_tokens"),
        "output_tokens": usage.get("completion_tokens", 0),
        "output_tokens_details": _details(usage, "completion_tokens_details", "reasoning_tokens"),
        "total_tokens": usage.get("total_tokens", 0),
    }
    return told | ({"guard": usage["guard"]} if "guard" in usage else {})


def _details(usage: Mapping[str, Any], name: str, *counts: str) -> dict[str, int]:
    details = usage.get(name)
    found = details if isinstance(details, Mapping) else {}
    return {count: value if isinstance(value := found.get(count), int) else 0 for count in counts}


class _Response:
    """One response as it comes about."""

    def __init__(self, identity: wire.Identity, echo: Mapping[str, Any]) -> None:
        known = identity.fields
        suffix = str(known["id"]).removeprefix("chatcmpl-").removeprefix("resp_")
        self.output = Output(suffix)
        self.guard: list[dict[str, Any]] = []
        self._finish = Finish("stop")
        self._head = {"id": f"resp_{suffix}", "object": "response", "created_at": known["created"]}
        self._settings = {"model": known["model"], "background": False} | _DEFAULTS | dict(echo)

    def take(self, choice: int, piece: Piece) -> list[Told]:
        """A piece was released."""
        if piece.guard is not None:
            self.guard.append({**wire.guard_field(piece.guard), "choice": choice})
        return self.output.take(piece)

    def finish(self, finish: Finish) -> list[Told]:
        """The turn is over."""
        self._finish = finish
        return self.output.end(complete=self.status == "completed")

    @property
    def status(self) -> str:
        """How it ended."""
        if self._finish.error is not None:
            return "failed"
        return "incomplete" if self._finish.reason in _INCOMPLETE else "completed"

    def begun(self) -> dict[str, Any]:
        """The response before its output."""
        return self._told("in_progress")

    def ended(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The whole response."""
        finish, status = self._finish, self.status
        details = {"reason": _INCOMPLETE[finish.reason]} if status == "incomplete" else None
        code = _ERRORS.get(finish.status, "server_error")
        error = {"code": code, "message": finish.error} if status == "failed" else None
        out = {"output": self.output.listed(), "usage": usage_fields(usage)}
        guard = {"guard": {"v": wire.VERSION, "events": self.guard}} if self.guard else {}
        return self._told(status, error=error, incomplete_details=details, **out) | guard

    def _told(self, status: str, **fields: Any) -> dict[str, Any]:
        empty: dict[str, Any] = {"error": None, "incomplete_details": None, "output": [], "usage": None}
        return self._settings | self._head | {"status": status} | empty | fields


class ResponsesEncoder:
    """Encodes one streamed response. `echo`: the request's settings, as its Response repeats them."""

    def __init__(self, identity: wire.Identity, echo: Mapping[str, Any]) -> None:
        self._response = _Response(identity, echo)
        self._number = 0

    def piece(self, choice: int, piece: Piece) -> bytes:
        """One piece as it goes over the wire."""
        return self._begin() + self._events(self._response.take(choice, piece))

    def finish(self, choice: int, finish: Finish) -> bytes:
        """The items' ends; an error is told by `end`."""
        return self._begin() + self._events(self._response.finish(finish))

    def end(self, usage: Mapping[str, Any]) -> bytes:
        """`response.completed`, `response.incomplete` or `response.failed`."""
        response = self._response.ended(usage)
        return self._begin() + self._events([{"type": f"response.{response['status']}", "response": response}])

    def _begin(self) -> bytes:
        if self._number:
            return b""
        names = ("response.created", "response.in_progress")
        return self._events({"type": name, "response": self._response.begun()} for name in names)

    def _events(self, told: Iterable[Told]) -> bytes:
        return b"".join([self._event(event) for event in told])

    def _event(self, told: Told) -> bytes:
        number, self._number = self._number, self._number + 1
        return sse({"type": told["type"], "sequence_number": number} | told)


class ResponsesCollector:
    """The same pieces as one Response: what the stream's last event would hold."""

    def __init__(self, identity: wire.Identity, echo: Mapping[str, Any]) -> None:
        self._response = _Response(identity, echo)
        self.events = self._response.guard
        self.error: Finish | None = None

    def piece(self, choice: int, piece: Piece) -> None:
        """Take a piece."""
        self._response.take(choice, piece)

    def finish(self, choice: int, finish: Finish) -> None:
        """The turn is over."""
        self._response.finish(finish)
        if finish.error is not None:
            self.error = self.error or finish

    def answer(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The whole response."""
        return self._response.ended(usage)
