"""A server on loopback that answers as `dialects` say; nothing of guard is in it.

A request can pin how it is answered: `cut` (how the bytes are written: whole, random, bytes) and `fail` (one of
`FAILURES`). What was asked is in `seen`.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.server.dialects import Spoken, document

HEADERS = {
    "x-request-id": "req_1",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-reset-tokens": "6m0s",
    "openai-processing-ms": "12",
    "openai-version": "2020-10-01",
    "retry-after-ms": "20",
}
JSON, HTML = "application/json", "text/html; charset=utf-8"


@dataclass(frozen=True)
class Failure:
    """An answer that is not 200."""

    status: int
    body: bytes
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


FAILURES = {
    "limit": Failure(
        429,
        b'{"error": {"message": "slow  down", "type": "tokens", "param": null, "code": "rate_limit_exceeded"}}',
        headers={"retry-after": "7", "x-ratelimit-remaining-requests": "0"},
    ),
    "bad": Failure(
        400, '{"error":{"message":"größer","type":"invalid_request_error","param":"n","code":null}}'.encode()
    ),
    "key": Failure(401, b'{"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}'),
    "detail": Failure(422, b'{"detail":[{"loc":["body","n"],"msg":"too many"}]}'),
    "string": Failure(404, b'{"error": "model \\"m\\" not found"}'),
    "vllm": Failure(400, b'{"object":"error","message":"too long","type":"BadRequestError","code":400}'),
    "page": Failure(502, b"<html>\n<h1>502 Bad Gateway</h1>\n</html>\n", HTML),
    "text": Failure(503, b"upstream connect error", "text/plain"),
    "empty": Failure(500, b"", "text/plain"),
}


@dataclass
class Upstream:
    """What was asked, and where."""

    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = [line.split(": ", 1) for line in head.decode().strip().split("\r\n")[1:]]
                size = int({name.lower(): value for name, value in lines}.get("content-length", 0))
                body = json.loads(await reader.readexactly(size))
                self.seen.append(body)
                await self._answer(body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if failure := FAILURES.get(body.get("fail", "")):
            _write(writer, failure.status, failure.kind, HEADERS | failure.headers, failure.body)
            return
        spoken = Spoken(body)
        if not body.get("stream") or spoken.dialect.whole:
            _write(writer, 200, JSON, HEADERS, json.dumps(document(spoken)).encode())
            return
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        start = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n{head}\r\n"
        writer.write(start.encode())
        stream = b"".join(sse(chunk) for chunk in spoken.chunks) + b"data: [DONE]\n\n"
        for part in parts(stream, body.get("cut", "whole"), spoken.rng):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            if body.get("cut") != "whole":
                await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def sse(chunk: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def parts(stream: bytes, cut: str, rng: random.Random) -> Iterator[bytes]:
    """The stream as it is written: whole, in random pieces or byte by byte."""
    at = 0
    while at < len(stream):
        size = {"whole": len(stream), "bytes": 1}.get(cut) or rng.randint(1, 200)
        yield stream[at : at + size]
        at += size


def _write(writer: asyncio.StreamWriter, status: int, kind: str, headers: dict[str, str], body: bytes) -> None:
    lines = {"content-type": kind, "content-length": str(len(body))} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + body)


@contextmanager
def speaking() -> Iterator[Upstream]:
    """The server, in a thread of its own."""
    upstream, loop, ready = Upstream(), asyncio.new_event_loop(), threading.Event()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(upstream.serve, "127.0.0.1", 0)

    def work() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(listen())
        upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        ready.set()
        loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
