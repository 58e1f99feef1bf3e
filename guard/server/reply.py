"""One HTTP response, fed by the sessions behind it: streamed as it comes, or gathered and sent whole.

Knows the responder and an encoder, not what is encoded. Rules:
  The head is sent with the first piece, so that a failure before it has a status of its own.
  While nothing goes out of a stream that has begun upstream, an SSE comment does, every `keep_alive_s` seconds: proxies
  and clients cut silent connections. It costs one timer a response, looked at again when it rings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from guard.core.events import Finish, Piece
from guard.relay import Out
from guard.server import wire
from guard.server.http import Responder


class Encoder(Protocol):
    """Writes a streamed response: each method returns what goes over the wire."""

    def piece(self, choice: int, piece: Piece) -> bytes:
        """One piece of a choice."""
        ...

    def finish(self, choice: int, finish: Finish) -> bytes:
        """The end of a choice; an error frame if it failed."""
        ...

    def end(self, usage: Mapping[str, Any]) -> bytes:
        """What closes the stream, once every choice has its finish."""
        ...


class Collecting(Protocol):
    """Gathers the same pieces for a response that is not streamed; `events` is what was told on the way."""

    events: list[dict[str, Any]]

    def piece(self, choice: int, piece: Piece) -> None:
        """Take a piece of a choice."""
        ...

    def finish(self, choice: int, finish: Finish) -> None:
        """The choice is over."""
        ...

    def answer(self, usage: Mapping[str, Any]) -> wire.Chunk:
        """The whole response."""
        ...


class Reply:
    """Writes what relays release.

    Args:
        headers: the upstream's headers worth passing on, once it has answered.
        begun: whether upstream has begun to answer; until then the status is open.
        stream: as it comes, with `encoder`; else whole, from `collector`.
    """

    def __init__(
        self,
        responder: Responder,
        encoder: Encoder,
        collector: Collecting,
        *,
        stream: bool,
        keep_alive_s: float,
        headers: Callable[[], Mapping[str, str]],
        begun: Callable[[], bool],
    ) -> None:
        self._responder = responder
        self._encoder = encoder
        self._collector = collector
        self._streams = stream
        self._headers = headers
        self._begun = begun
        self._keep_alive_s = keep_alive_s
        self._loop = asyncio.get_running_loop()
        self._sent = self._loop.time()
        self._sending = False
        self._timer = self._loop.call_later(keep_alive_s, self._ring) if stream else None
        self._comment: asyncio.Task[None] | None = None
        self.finishes: list[Finish] = []

    async def take(self, out: Sequence[Out]) -> None:
        """Send or keep what was released."""
        if not self._streams:
            self._collect(out)
        elif parts := self._encoded(out):
            await self._send(b"".join(parts))

    async def end(self, usage: Mapping[str, Any]) -> str:
        """Close the response; returns how it went: a status, or `client_left`."""
        self.close()
        failed = next((finish for finish in self.finishes if finish.error is not None), None)
        if any(finish.reason == "client_left" for finish in self.finishes):
            return "client_left"
        if failed is not None and not self._responder.started:
            events = self._collector.events
            body = wire.error_body(failed.error or "", kind="upstream_error", code=str(failed.status), guard=events)
            await self._responder.json(failed.status, body, self._headers())
        elif self._streams:
            await self._responder.end(self._encoder.end(usage))
        else:
            await self._responder.json(200, self._collector.answer(usage), self._headers())
        return "200" if failed is None else str(failed.status)

    def close(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()

    def _encoded(self, out: Sequence[Out]) -> list[bytes]:
        parts: list[bytes] = []
        for choice, item in out:
            if type(item) is Finish:
                self.finishes.append(item)
                if item.error is not None and not self._responder.started and not parts:
                    continue  # nothing was sent: the error can still have a status of its own
                parts.append(self._encoder.finish(choice, item))
            else:
                parts.append(self._encoder.piece(choice, item))  # type: ignore[arg-type]
        return parts

    def _collect(self, out: Sequence[Out]) -> None:
        for choice, item in out:
            if type(item) is Finish:
                self.finishes.append(item)
                self._collector.finish(choice, item)
            else:
                self._collector.piece(choice, item)  # type: ignore[arg-type]

    async def _send(self, body: bytes) -> None:
        self._sending = True
        try:
            await self._responder.stream(body, self._headers())
        finally:
            self._sending = False
            self._sent = self._loop.time()

    def _ring(self) -> None:
        """Silent for long enough? A client that does not take what was sent needs no comment."""
        due = self._sent + self._keep_alive_s
        if self._loop.time() >= due and self._begun() and not self._sending:
            self._comment = self._loop.create_task(self._send(wire.KEEP_ALIVE))
            due = self._loop.time() + self._keep_alive_s
        self._timer = self._loop.call_at(max(due, self._loop.time() + self._keep_alive_s / 10), self._ring)
