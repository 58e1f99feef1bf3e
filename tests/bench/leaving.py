"""How soon the upstream is let go once a client has left, over real sockets.

Run ``python -m tests.bench.leaving [--trials 50] [--json]``, or ``make bench``. Client and upstream are this process,
on one clock; guard is a process of its own. The client leaves before the first text, in the middle of streamed
reasoning, and while text is held; the figure is the time from its close to the end of file on the upstream's socket.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.run import guard

MUST_S = 0.1
"""Within this a leaving client's upstream must be let go."""

PLACES = {
    "before the first text": b"",
    "in streamed reasoning": b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"One. Two"}}]}\n\n',
    "while text is held": b'data: {"choices":[{"index":0,"delta":{"content":"Half a sentence"}}]}\n\n',
}
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


class _Upstream:
    """Answers with a beginning and then nothing, until it is let go."""

    def __init__(self) -> None:
        self.said = b""
        self.asked = asyncio.Event()
        self.gone: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    def again(self, said: bytes) -> None:
        self.said = said
        self.asked.clear()
        self.gone = asyncio.get_running_loop().create_future()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(_HEAD + self.said)
            await writer.drain()
            self.asked.set()
            await reader.read(1)
        self.gone.set_result(asyncio.get_running_loop().time())
        writer.close()


async def _trial(upstream: _Upstream, port: int, said: bytes) -> float:
    """Seconds from the client's close to the upstream's end of file."""
    upstream.again(said)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "mock-model", "stream": True, "messages": [{"role": "user", "content": "?"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await upstream.asked.wait()
    if b"reasoning" in said:
        await reader.readuntil(b"One. Two")
    else:
        await asyncio.sleep(0.03)  # until guard has read what it sends nothing of
    left = asyncio.get_running_loop().time()
    writer.close()
    return await asyncio.wait_for(upstream.gone, 10) - left


async def _measured(folder: Path, trials: int) -> dict[str, list[float]]:
    upstream = _Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    running = guard(folder, port)
    target = await asyncio.to_thread(running.__enter__)
    try:
        at = int(target.url.split(":")[2].split("/")[0])
        return {place: [await _trial(upstream, at, said) for _ in range(trials)] for place, said in PLACES.items()}
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
        server.close()


def measure(trials: int = 50) -> dict[str, Any]:
    """Milliseconds by place: median and most."""
    with tempfile.TemporaryDirectory(prefix="guard-bench-") as folder:
        seconds = asyncio.run(_measured(Path(folder), trials))
    return {
        place: {"median_ms": 1000 * statistics.median(times), "max_ms": 1000 * max(times)}
        for place, times in seconds.items()
    }


def said_of_leaving(report: dict[str, Any]) -> tuple[str, bool]:
    """One line, and whether the bound held."""
    most = max(row["max_ms"] for row in report.values())
    good = most <= 1000 * MUST_S
    parts = "; ".join(f"{place} {row['median_ms']:.1f} (most {row['max_ms']:.1f})" for place, row in report.items())
    verdict = "ok" if good else "FAIL"
    return f"leaving: upstream let go after ms: {parts} ({verdict}, must be <= {1000 * MUST_S:g})", good


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    report = measure(args.trials)
    line, good = said_of_leaving(report)
    print(json.dumps(report) if args.json else line)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
