"""The connections that providers are asked over, and what was seen on them.

Imported only once litellm is loaded (httpx comes with it). litellm's own connections follow redirects with the prompt
and the key, let an abandoned answer run until the garbage collector finds it, and hide what went wrong behind errors of
its own; so it is given these. Rules:
  Redirects are not followed. No cookies. Time limits are the operator's.
  What an exchange saw, its status, headers, error body or broken connection, is noted for whoever asked.
  Closing an exchange closes its connection at once, and awaits nothing: whoever closes is often being cancelled, twice.
  A request is sent again once, where the connection broke before the answer began; clients on top may not add to that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

import aiohttp
import httpx
from yarl import URL

from guard.backends.litellm.options import Timeouts
from guard.errors import UpstreamDisconnected, UpstreamError, UpstreamTimeout

TRIES = 2
"""How often a request is sent at most."""

_HOPS = ("transfer-encoding", "connection", "keep-alive")

ERROR_LIMIT = 64 << 10
"""Bytes of an error body that are read."""


@dataclass(slots=True)
class Exchange:
    """One call: what the provider said, as far as it was seen.

    `failure` is what the network did to it, ready to be raised; `refusal` is the body of an answer that is none; `sent`
    counts requests. `ending` is a word that a whole answer holds, where litellm makes up the same finish with and
    without it.
    """

    where: str
    ending: bytes = b""
    sent: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    refusal: bytes = b""
    failure: UpstreamError | None = None
    responses: list[aiohttp.ClientResponse] = field(default_factory=list)
    _tail: bytes = b""

    @property
    def ended(self) -> bool:
        """Whether the provider has said that its answer is whole, as far as can be seen here."""
        return self.ending in self._tail

    def passed(self, data: bytes) -> None:
        """Look at bytes of the answer."""
        if self.ending and not self.ended:
            joint = self._tail + data
            self._tail = self.ending if self.ending in joint else joint[-len(self.ending) :]

    def close(self) -> None:
        """Let go of the connection. Safe to call twice."""
        while self.responses:
            self.responses.pop().close()


current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
"""The exchange that a request belongs to: litellm hands transports nothing of its caller's."""


class Line(httpx.AsyncBaseTransport):
    """Connections under litellm's clients; it outlives them, and `shut` ends it."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and note what becomes of it."""
        exchange = current.get() or Exchange(where=request.url.host)
        request.headers["accept-encoding"] = "identity"
        try:
            response = await self._send(exchange, request)
        except (aiohttp.ClientError, OSError) as error:
            exchange.failure = exchange.failure or _unreachable(exchange.where, error, self._timeouts)
            raise httpx.TransportError(str(exchange.failure)) from None
        exchange.status, exchange.headers = response.status, dict(response.headers)
        exchange.responses.append(response)
        if 300 <= response.status < 400:
            exchange.failure = UpstreamError(f"{exchange.where} redirects ({response.status}), which is not followed")
            raise httpx.TransportError("a redirect is not followed")
        return await self._answer(exchange, request, response)

    async def _send(self, exchange: Exchange, request: httpx.Request) -> aiohttp.ClientResponse:
        content = await request.aread()
        while True:
            exchange.sent += 1
            try:
                return await self._pool().request(
                    request.method,
                    URL(str(request.url), encoded=True),
                    headers=request.headers,
                    data=content or None,
                    allow_redirects=False,
                )
            except aiohttp.ClientConnectionError as error:
                if exchange.sent >= TRIES or isinstance(error, TimeoutError):
                    raise

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect_s),
                auto_decompress=False,  # the response's own headers tell httpx to
            )
        return self._session

    async def _answer(
        self, exchange: Exchange, request: httpx.Request, response: aiohttp.ClientResponse
    ) -> httpx.Response:
        headers = [pair for pair in response.headers.items() if pair[0].lower() not in ("content-length", *_HOPS)]
        if response.status >= 400:
            refused = httpx.Response(response.status, headers=headers, content=await _some(response), request=request)
            exchange.refusal = refused.content
            return refused
        stream = _Watched(response, exchange, self._timeouts.idle_s)
        return httpx.Response(response.status, headers=headers, stream=stream, request=request)

    async def aclose(self) -> None:
        """Nothing: litellm closes clients that it thinks are its own."""

    async def shut(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


class _Watched(httpx.AsyncByteStream):
    """The body of an answer; a connection that breaks under it is noted."""

    def __init__(self, response: aiohttp.ClientResponse, exchange: Exchange, idle_s: float) -> None:
        self._response = response
        self._exchange = exchange
        self._idle_s = idle_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        patience = None  # until the first read it is first_token_s that counts
        while data := await self._read(patience):
            patience = self._idle_s
            self._exchange.passed(data)
            yield data

    async def _read(self, patience: float | None) -> bytes:
        where = self._exchange.where
        try:
            async with asyncio.timeout(patience):
                return await self._response.content.readany()
        except TimeoutError:
            self._exchange.failure = UpstreamTimeout(f"{where} sent nothing further within {self._idle_s:g} s (idle_s)")
        except (aiohttp.ClientError, OSError) as error:
            said = str(error) or type(error).__name__
            self._exchange.failure = UpstreamDisconnected(f"{where} broke off its answer: {said}")
        raise httpx.ReadError(str(self._exchange.failure))

    async def aclose(self) -> None:
        self._response.close()


def _unreachable(where: str, error: Exception, times: Timeouts) -> UpstreamError:
    if isinstance(error, TimeoutError):
        return UpstreamTimeout(f"{where} could not be connected to within {times.connect_s:g} s (connect_s)")
    return UpstreamError(f"{where} cannot be reached: {_said(error)}")


def _said(error: Exception) -> str:
    """The error in its own words, without the address: its query may hold a key."""
    if isinstance(error, aiohttp.ClientResponseError):
        return " ".join(error.message.split()) or type(error).__name__
    return str(error) if isinstance(error, (aiohttp.ClientConnectionError, OSError)) else type(error).__name__


async def _some(response: aiohttp.ClientResponse) -> bytes:
    """An error's body as far as it comes within two seconds and `ERROR_LIMIT`; the connection is let go."""
    body = bytearray()
    try:
        async with asyncio.timeout(2):
            while len(body) < ERROR_LIMIT and (data := await response.content.readany()):
                body += data
    except (aiohttp.ClientError, OSError):  # TimeoutError is one; the status is known, the body only explains it
        pass
    finally:
        response.close()
    return bytes(body[:ERROR_LIMIT])
