"""Requests that are passed on as they are, and their answers: bytes in, bytes out.

Knows HTTP, not what is asked. Rules: a path cannot leave the base URL; redirects are not followed, for they would carry
the key elsewhere; headers that belong to a connection, and cookies, stay on it; so do those that tell a browser or a
proxy what it may do, for that is guard's to say; no secret is in an error, not even one that the server echoes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from urllib.parse import unquote

import aiohttp

from guard.backends.openai.stream import BodyStream
from guard.errors import RequestError, UpstreamDisconnected

_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "set-cookie", "alt-svc", "strict-transport-security", "server", "date", "x-sendfile"}
)
_TO_OTHERS = ("access-control-", "x-accel-", "cross-origin-", "content-security-policy")

ERROR_LIMIT = 64 << 10
"""Bytes of an error body that are passed on."""


def safe_path(path: str) -> str:
    """The path, if it stays below where it is put. Raises RequestError."""
    plain = path
    while (again := unquote(plain)) != plain:  # a proxy behind may decode twice
        plain = again
    if any(part.partition(";")[0] in ("", ".", "..") for part in plain.replace("\\", "/").split("/")):
        raise RequestError(f"the path {path!r} cannot be passed on", status=404, code="not_found")
    return path


class Answer:
    """See `guard.backends.VerbatimAnswer`."""

    def __init__(
        self, response: aiohttp.ClientResponse, stream: BodyStream, where: str, scrub: Callable[[bytes], bytes]
    ) -> None:
        self._response = response
        self._stream = stream
        self._where = where
        self._scrub = scrub

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """All but those of the connection."""
        named = {name.strip().lower() for name in self._response.headers.get("connection", "").split(",")}
        if self.status >= 400:  # its body is scrubbed
            named.add("content-length")
        low = ((name.lower(), value) for name, value in self._response.headers.items())
        stays = _CONNECTION | named
        return [(name, value) for name, value in low if name not in stays and not name.startswith(_TO_OTHERS)]

    async def body(self) -> AsyncIterator[bytes]:
        """The bytes. Raises UpstreamTimeout, UpstreamDisconnected."""
        self._stream.begin()
        if self.status >= 400:
            yield self._scrub(await self._error())
        else:
            while data := await self._stream.read():
                yield data
        if self._stream.broken:
            raise UpstreamDisconnected(f"{self._where} broke off its answer")

    async def _error(self) -> bytes:
        body = bytearray()
        while len(body) < ERROR_LIMIT and (data := await self._stream.read()):
            body += data
        return bytes(body[:ERROR_LIMIT])

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()
