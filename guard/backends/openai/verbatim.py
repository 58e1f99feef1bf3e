"""Requests that are passed on as they are, and their answers: bytes in, bytes out.

Knows HTTP, not what is asked. Rules: a path cannot leave the base URL; redirects are not followed, for they would carry
the key elsewhere; headers that belong to a connection, and cookies, stay on it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from urllib.parse import unquote

import aiohttp

from guard.backends.openai.stream import BodyStream
from guard.errors import RequestError, UpstreamDisconnected

_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "set-cookie", "alt-svc", "strict-transport-security", "server", "date"}
)


def safe_path(path: str) -> str:
    """The path, if it stays below where it is put. Raises RequestError."""
    if any(part in ("", ".", "..") for part in unquote(path).replace("\\", "/").split("/")):
        raise RequestError(f"the path {path!r} cannot be passed on", status=404, code="not_found")
    return path


class Answer:
    """See `guard.backends.VerbatimAnswer`."""

    def __init__(self, response: aiohttp.ClientResponse, stream: BodyStream, where: str) -> None:
        self._response = response
        self._stream = stream
        self._where = where

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """All but those of the connection."""
        named = {name.strip().lower() for name in self._response.headers.get("connection", "").split(",")}
        low = ((name.lower(), value) for name, value in self._response.headers.items())
        return [(name, value) for name, value in low if name not in _CONNECTION and name not in named]

    async def body(self) -> AsyncIterator[bytes]:
        """The bytes. Raises UpstreamTimeout, UpstreamDisconnected."""
        self._stream.begin()
        while data := await self._stream.read():
            yield data
        if self._stream.broken:
            raise UpstreamDisconnected(f"{self._where} broke off its answer")

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()
