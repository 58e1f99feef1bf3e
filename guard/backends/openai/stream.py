"""Reading the body of one answer, with patience that has an end.

Knows sockets and clocks, not what the bytes mean. Rules: one timer a stream, looked at again when it rings and never
re-armed by a read; time in which nobody asks for data is not the server's; a broken connection reads as the end,
for whether that is too early only the events tell.
"""

from __future__ import annotations

import asyncio

import aiohttp

from guard.backends import Timeouts
from guard.errors import UpstreamTimeout

GRACE_S = 0.25
"""How long a server may take to close a stream that it has called done, so that its connection can be used again."""


class BodyStream:
    """The bytes of one answer, as reads bring them.

    Args:
        response: an answer whose body has not been read.
        where: the upstream's name in messages.
        started: when the attempt began, in the loop's time.

    `broken` is set when the end was not the server's regular one.
    """

    def __init__(self, response: aiohttp.ClientResponse, timeouts: Timeouts, *, where: str, started: float) -> None:
        self._response = response
        self._content = response.content
        self._where = where
        self._loop = asyncio.get_running_loop()
        self._total = (started + timeouts.total_s, timeouts.total_s, "total_s")
        self._first = (started + timeouts.first_token_s, timeouts.first_token_s, "first_token_s")
        self._idle_s = timeouts.idle_s
        self._begun = False
        self.broken = False
        self._late: UpstreamTimeout | None = None
        self._waiting: float | None = None
        self._timer = self._loop.call_at(min(self._total[0], self._first[0]), self._ring)

    async def read(self) -> bytes:
        """What has come, at least one byte; b"" at the end. Raises UpstreamTimeout."""
        self._waiting = self._loop.time()
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError, UpstreamTimeout):
            if self._late is not None:
                raise self._late from None
            self.broken = True
            return b""
        finally:
            self._waiting = None

    def begin(self) -> None:
        """The first event has come: from now on only silence counts."""
        self._begun = True
        self._timer.cancel()
        self._timer = self._loop.call_at(min(self._total[0], self._loop.time() + self._idle_s), self._ring)

    async def drain(self) -> None:
        """Read the little that may follow the end, so that the connection goes back to the pool."""
        self._timer.cancel()
        self._timer = self._loop.call_later(GRACE_S, self._response.close)
        while await self.read():
            pass

    def close(self) -> None:
        """Stop the clock, and the server unless it was done."""
        self._timer.cancel()
        self._response.close()

    def _ring(self) -> None:
        now = self._loop.time()
        at, limit, name = min(self._total, self._patience(now))
        if now < at:
            self._timer = self._loop.call_at(at, self._ring)
            return
        self._late = UpstreamTimeout(f"{self._where} sent nothing further within {limit:g} s ({name})")
        self._content.set_exception(self._late)
        self._response.close()  # now: a client that does not read keeps the turn from reading, and the server at work

    def _patience(self, now: float) -> tuple[float, float, str]:
        if not self._begun:
            return self._first
        since = now if self._waiting is None else self._waiting
        return since + self._idle_s, self._idle_s, "idle_s"
