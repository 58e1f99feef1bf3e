"""An OpenAI-compatible upstream that is never the bottleneck: pre-rendered events, one asyncio Protocol under uvloop.

Run ``python -m tests.bench.mock_upstream [--host 127.0.0.1] [--port 9000]``. It answers GET /v1/models and POST
/v1/chat/completions (streamed or not), also without the /v1. Every proxy forwards the messages, so a client steers
one request with the text of a message, ``MOCK key=value ...``:

    n=256      deltas to emit
    delay=10   ms between deltas (0: as fast as possible)
    sep=1      with delay=0: one write a delta, each in its own loop turn, instead of the whole body in one write
    stamp=1    every delta carries 8 hex digits: CLOCK_MONOTONIC in microseconds (mod 2**32) when it was handed to the
               kernel, so that a client on the same machine can tell the one-way latency of every delta; 20 deltas make
               a sentence ("The ... end. ")
    rc=1       the text goes into `reasoning_content` instead of `content`

Without `stamp` the text is `expected_text(n)`, with it `stamped_text(stamps)`: a client can check every byte.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import json
import re
import time
from collections.abc import Sequence
from typing import Any, cast

import httptools
import uvloop

WORDS = (
    " the| model| token| of| stream|ing| proxy| can| be| read|,| and| then| a| super|visor| looks| at| it|."
    '| caf\u00e9| "q"|\n| end'
).split("|")
SENTENCE = 20
"""Stamped deltas that make a sentence."""

MARK = b"@@@@@@@@"
"""Where a stamp goes."""

_STEER = re.compile(rb"MOCK((?: \w+=[\d.]+)+)")
_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: mock\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_DONE = b"data: [DONE]\n\n"
_USAGE = {"prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 0}


def token(i: int) -> str:
    """The i-th delta of an answer without stamps."""
    return WORDS[(i * 7 + i // 24) % len(WORDS)]


@functools.lru_cache(maxsize=256)
def expected_text(n: int) -> str:
    """The whole text of an answer of `n` deltas without stamps."""
    return "".join(token(i) for i in range(n))


def stamped(i: int, stamp: str) -> str:
    """The i-th delta of an answer with stamps."""
    return f"{'The ' if i % SENTENCE == 0 else ''}{stamp} {'end. ' if i % SENTENCE == SENTENCE - 1 else ''}"


def stamped_text(stamps: Sequence[str]) -> str:
    """The whole text of an answer with these stamps."""
    return "".join(stamped(i, stamp) for i, stamp in enumerate(stamps))


def event(
    delta: dict[str, Any], finish: str | None = None, usage: bool = False, total: dict[str, int] | None = None
) -> bytes:
    """One chunk as a server-sent event of about 280 bytes, with the fields that OpenAI sends."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk: dict[str, Any] = {
        "id": "chatcmpl-BmKx3v9Qm1hTzJw0c7yR5eLdNfUaG",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "mock-model",
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
        "choices": [choice],
    }
    if usage:
        chunk["usage"] = None
    if total is not None:
        chunk |= {"choices": [], "usage": total}
    return b"data: " + json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


@functools.lru_cache(maxsize=64)
def events(n: int, usage: bool = False, field: str = "content", stamp: bool = False) -> tuple[bytes, ...]:
    """All events of one answer; with `stamp`, `MARK` stands where the stamps go."""
    texts = [stamped(i, MARK.decode()) if stamp else token(i) for i in range(n)]
    out = [event({"role": "assistant", "content": "", "refusal": None}, usage=usage)]
    out += [event({field: text}, usage=usage) for text in texts]
    out.append(event({}, "stop", usage=usage))
    if usage:
        out.append(event({}, total=_USAGE | {"completion_tokens": n, "total_tokens": n + 12}))
    return (*out, _DONE)


def _framed(data: bytes) -> bytes:
    """An HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@functools.lru_cache(maxsize=64)
def _pieces(n: int, usage: bool, field: str) -> tuple[bytes, tuple[bytes, ...], bytes]:
    """Head and first event, the deltas, the rest: framed."""
    framed = [_framed(one) for one in events(n, usage, field)]
    return _HEAD + framed[0], tuple(framed[1 : n + 1]), b"".join(framed[n + 1 :]) + b"0\r\n\r\n"


@functools.lru_cache(maxsize=64)
def _burst(n: int, usage: bool, field: str) -> bytes:
    first, deltas, rest = _pieces(n, usage, field)
    return first + b"".join(deltas) + rest


@functools.lru_cache(maxsize=16)
def _template(usage: bool, field: str) -> tuple[tuple[bytes, bytes], ...]:
    """What stands before and behind the stamp, for each delta of a sentence."""
    framed = (_framed(event({field: stamped(i, MARK.decode())}, usage=usage)) for i in range(SENTENCE))
    parts = (one.partition(MARK) for one in framed)
    return tuple((before, after) for before, _, after in parts)


@functools.lru_cache(maxsize=64)
def _plain(n: int, field: str) -> bytes:
    message = {"role": "assistant", "content": "", field: expected_text(n)}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    answer = {
        "id": "chatcmpl-mock",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "mock-model",
        "choices": [choice],
        "usage": _USAGE | {"completion_tokens": n, "total_tokens": n + 12},
    }
    return _response(json.dumps(answer).encode())


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\nserver: mock\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


_MODEL = {"id": "mock-model", "object": "model", "created": 1760000000, "owned_by": "mock"}
_MODELS = _response(json.dumps({"object": "list", "data": [_MODEL]}).encode())
_HEALTHY = _response(b'{"ok":true}')
_NOT_FOUND = _response(b'{"error":{"message":"not found"}}', b"404 Not Found")


class Mock(asyncio.Protocol):
    """One keep-alive connection, one request after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._handle: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        if self._handle is not None:
            self._handle.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    # What httptools calls

    def on_message_begin(self) -> None:
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        path = self._url.split(b"?")[0]
        if path.endswith(b"/chat/completions"):
            self._complete()
        elif path.endswith(b"/models"):
            self._transport.write(_MODELS)
        else:
            self._transport.write(_HEALTHY if path == b"/health" else _NOT_FOUND)

    # Answers

    def _complete(self) -> None:
        options = {"n": 256.0, "delay": 0.0, "sep": 0.0, "stamp": 0.0, "rc": 0.0}
        if steer := _STEER.search(self._body):
            pairs = (pair.split(b"=") for pair in steer[1].split())
            options |= {name.decode(): float(value) for name, value in pairs}
        request = json.loads(self._body)
        usage = bool((request.get("stream_options") or {}).get("include_usage"))
        field = "reasoning_content" if options["rc"] else "content"
        self._n, self._i, self._delay = int(options["n"]), 0, options["delay"] / 1000
        if not request.get("stream"):  # as a real server: nothing before the last token is there
            self._handle = self._loop.call_later(self._n * self._delay, self._transport.write, _plain(self._n, field))
        elif not (options["delay"] or options["sep"] or options["stamp"]):
            self._transport.write(_burst(self._n, usage, field))
        else:
            first, self._deltas, self._rest = _pieces(self._n, usage, field)
            self._stamps = _template(usage, field) if options["stamp"] else None
            self._transport.write(first)
            self._start = self._loop.time()
            self._schedule()

    def _schedule(self) -> None:
        if self._delay:
            self._handle = self._loop.call_at(self._start + self._delay * (self._i + 1), self._tick)
        else:
            self._handle = self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        if self._closed:
            return
        i = self._i
        if i >= self._n:
            self._transport.write(self._rest)
            self._handle = None
            return
        if self._stamps is None:
            self._transport.write(self._deltas[i])
        else:
            before, after = self._stamps[i % SENTENCE]
            self._transport.write(b"%s%08x%s" % (before, (time.monotonic_ns() // 1000) & 0xFFFFFFFF, after))
        self._i = i + 1
        self._schedule()


async def serve(host: str, port: int) -> None:
    """Serve until cancelled."""
    server = await asyncio.get_running_loop().create_server(Mock, host, port, backlog=4096)
    print(f"mock upstream on http://{host}:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    args = parser.parse_args()
    gc.disable()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(args.host, args.port))


if __name__ == "__main__":
    main()
