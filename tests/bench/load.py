"""A closed-loop streaming client that checks every answer: raw sockets, many streams, one JSON line.

Run ``python -m tests.bench.load --url URL [-c 16] [-n 100] [--chunks 256] [--delay 10] [--stamp] [--reasoning]
[--pid PROXY]`` against `mock_upstream`, or a proxy before it. C workers run requests one after the other until N
are done.

An answer fails unless its status is 200, its text equals the expected one byte for byte in the field that the upstream
wrote it in, nothing else was said in the other field, and `[DONE]` came. `identical` counts the answers whose whole
body was the upstream's, byte for byte: stamps aside, and the usage that a proxy asked for without being asked.

It reports failures, throughput, TTFT (request to first text), the gap between texts, with `--stamp` (mock and client on
one machine) the one-way latency of each delta from the mock's send to its arrival here, and with `--pid` the CPU time
and memory of that process and its children during the run.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import json
import os
import re
import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import msgspec
import uvloop

from tests.bench.mock_upstream import MARK, events, expected_text, stamped_text

_FIRST = re.compile(rb'"(?:reasoning_)?content": ?"[^"]')
_STAMP = re.compile("[0-9a-f]{8}")
_STAMP_IN_BODY = re.compile(rb"(?<![0-9a-f])[0-9a-f]{8}(?= )")
_LENGTH = re.compile(rb"content-length: *(\d+)")
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DEFERRED = 2000  # answers whose checking is kept out of the timed part

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to ask for, and how often.

    Attributes:
        delay: ms between deltas at the mock; 0: the whole answer in one write.
        stamp: deltas that tell when they were sent.
        reasoning: the text comes in `reasoning_content`.
        pid: the proxy's root process, for its CPU time.
        timeout: seconds for one answer. time_limit: no new request after this many seconds.
    """

    url: str = "http://127.0.0.1:9000/v1/chat/completions"
    model: str = "mock-model"
    concurrency: int = 16
    streams: int = 100
    chunks: int = 256
    delay: float = 0
    stamp: bool = False
    reasoning: bool = False
    pid: int | None = None
    timeout: float = 120
    time_limit: float = 240

    @property
    def field(self) -> str:
        """The field that the text comes in."""
        return "reasoning_content" if self.reasoning else "content"


# The CPU time of a process tree


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat behind the name, or nothing if it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except OSError:
        return []


def cpu_times(pids: Iterable[int]) -> tuple[float, float]:
    """CPU seconds, twice: utime+stime (10 ms ticks, ended threads too), and schedstat of the living threads (ns)."""
    ticks = nanoseconds = 0
    for pid in pids:
        stat = _stat(pid)
        ticks += int(stat[11]) + int(stat[12]) if stat else 0
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((thread / "schedstat").read_bytes().split()[0])
        except OSError:
            continue
    return ticks / _TICK, nanoseconds / 1e9


def cpu_between(before: tuple[float, float], after: tuple[float, float]) -> float:
    """The fine count where the coarse one is small and the two agree, else the coarse one."""
    coarse, fine = after[0] - before[0], after[1] - before[1]
    return fine if coarse < 2 and abs(fine - coarse) < 0.03 + coarse * 0.1 else coarse


def rss_mib(pids: Iterable[int]) -> float:
    """Resident memory of these processes."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
        except OSError:
            continue
    return pages * _PAGE / 2**20


# One answer


@dataclass(slots=True, eq=False)
class Answer:
    """The bytes of one answer and when they came: the read that ended at `ends[i]` came at `times[i]`."""

    sent: float
    raw: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    head: int = 0
    status: int = 0
    keep: bool = True
    chunked: bool = False
    length: int | None = None
    first: float | None = None
    ended: float = 0

    def body(self) -> tuple[bytes, list[int], list[int]]:
        """The body, and where each HTTP chunk's payload starts in it and in the raw bytes behind the head."""
        raw = bytes(self.raw[self.head :])
        return dechunk(raw) if self.chunked else (raw, [0], [0])


def dechunk(raw: bytes) -> tuple[bytes, list[int], list[int]]:
    """An HTTP chunked body: the body, its chunks' offsets in it, and those of their payloads in `raw`."""
    out: list[bytes] = []
    in_body: list[int] = []
    in_raw: list[int] = []
    at = size = 0
    while True:
        end = raw.index(b"\r\n", at)
        length = int(raw[at:end].split(b";")[0], 16)
        if length == 0:
            return b"".join(out), in_body, in_raw
        out.append(raw[end + 2 : end + 2 + length])
        in_body.append(size)
        in_raw.append(end + 2)
        size += length
        at = end + 4 + length


class Connection(asyncio.Protocol):
    """One client connection; `ask` resolves when the answer is whole."""

    def __init__(self) -> None:
        self.open = False
        self._done: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.open = cast(asyncio.Transport, transport), True

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request."""
        self._done = asyncio.get_running_loop().create_future()
        self._answer = Answer(time.monotonic())
        self._transport.write(request)
        return self._done

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now, answer = time.monotonic(), self._answer
        raw = answer.raw
        raw += data
        answer.ends.append(len(raw))
        answer.times.append(now)
        if not answer.head and not self._head(answer):
            return
        if answer.first is None and _FIRST.search(raw, max(answer.head, len(raw) - len(data) - 200)):
            answer.first = now
        if answer.chunked:
            at = len(raw) - answer.head
            if raw.endswith(b"0\r\n\r\n") and (at == 5 or (at >= 7 and raw[-7:-5] == b"\r\n")):
                self._finish()
        elif answer.length is not None and len(raw) - answer.head >= answer.length:
            self._finish()

    @staticmethod
    def _head(answer: Answer) -> bool:
        """Whether the head is whole; then it is read."""
        end = answer.raw.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(answer.raw[:end]).lower()
        answer.head = end + 4
        answer.status = int(head[9:12])
        answer.keep = b"connection: close" not in head
        answer.chunked = b"transfer-encoding: chunked" in head
        if found := _LENGTH.search(head):
            answer.length = int(found[1])
        return True

    def _finish(self) -> None:
        self._answer.ended = time.monotonic()
        if self._done is not None and not self._done.done():
            self._done.set_result(self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._done is None or self._done.done():
            return
        if self._answer.head and not self._answer.chunked and self._answer.length is None:
            self._finish()
        else:
            self._done.set_exception(ConnectionError(f"connection lost: {exc}"))


# Whether it is what the upstream sent


class WrongAnswerError(Exception):
    """The answer is not what the upstream sent."""


@functools.lru_cache(maxsize=8)
def upstream_bodies(plan: Plan) -> tuple[bytes, bytes]:
    """The body that the mock sends, with `MARK` for the stamps; and that of a proxy which asked for usage itself and
    keeps the count to itself."""
    asked = events(plan.chunks, usage=True, field=plan.field, stamp=plan.stamp)
    return b"".join(events(plan.chunks, field=plan.field, stamp=plan.stamp)), b"".join((*asked[:-2], asked[-1]))


@dataclass(slots=True)
class Stats:
    """What was seen in one run."""

    ok: int = 0
    failed: int = 0
    identical: int = 0
    events: int = 0
    ttft: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    duration: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    def fail(self, why: str) -> None:
        """An answer failed."""
        self.failed += 1
        self.errors[why[:300]] = self.errors.get(why[:300], 0) + 1


class Checker:
    """Checks whole answers and takes their times."""

    def __init__(self, plan: Plan, stats: Stats) -> None:
        self._plan = plan
        self._stats = stats
        self._good: dict[bytes, int] = {}

    def __call__(self, answer: Answer) -> None:
        stats = self._stats
        try:
            events, identical = self._check(answer)
        except (WrongAnswerError, LookupError, ValueError, AttributeError, TypeError) as error:
            stats.fail(f"{type(error).__name__}: {error}")
            return
        stats.ok += 1
        stats.identical += identical
        stats.events += events
        stats.ttft.append((answer.first or answer.ended) - answer.sent)
        stats.duration.append(answer.ended - answer.sent)

    def _check(self, answer: Answer) -> tuple[int, bool]:
        """The number of texts in it, and whether its body is the upstream's. Raises if it is wrong."""
        if answer.status != 200:
            raise WrongAnswerError(f"status {answer.status}: {bytes(answer.raw[answer.head :][:200])!r}")
        body, in_body, in_raw = answer.body()
        if (known := self._good.get(body)) is not None:
            return known, body in upstream_bodies(self._plan)
        texts = list(self._texts(body))
        whole = "".join(text for text, _ in texts)
        if self._plan.stamp:
            self._stamps_fit(whole)
            self._time(answer, texts, in_body, in_raw)
            return len(texts), _STAMP_IN_BODY.sub(MARK, body) in upstream_bodies(self._plan)
        if whole != expected_text(self._plan.chunks):
            raise WrongAnswerError(f"{len(whole)} characters are not the {self._plan.chunks} deltas: {whole[:120]!r}")
        if len(self._good) < 8:
            self._good[body] = len(texts)
        return len(texts), body in upstream_bodies(self._plan)

    def _stamps_fit(self, whole: str) -> None:
        stamps = _STAMP.findall(whole)
        if len(stamps) != self._plan.chunks or whole != stamped_text(stamps):
            raise WrongAnswerError(f"{len(stamps)} stamps for {self._plan.chunks} deltas: {whole[:120]!r}")

    def _texts(self, body: bytes) -> Iterable[tuple[str, int]]:
        """Every text and where its event starts in the body."""
        other = "content" if self._plan.reasoning else "reasoning_content"
        at, done = 0, False
        for one in body.split(b"\n\n"):
            start, at = at, at + len(one) + 2
            if not one.startswith(b"data:"):
                continue
            data = one[5:].strip()
            if data == b"[DONE]":
                done = True
                continue
            chunk = _decode(data)
            if done or chunk.get("error") or "guard" in chunk:
                raise WrongAnswerError(f"unexpected event {data[:200]!r}")
            for choice in chunk["choices"]:
                delta = choice.get("delta") or {}
                if delta.get(other):
                    raise WrongAnswerError(f"text in {other!r}: {data[:200]!r}")
                if text := delta.get(self._plan.field):
                    yield text, start
        if not done:
            raise WrongAnswerError("no [DONE]")

    def _time(
        self, answer: Answer, texts: Sequence[tuple[str, int]], in_body: Sequence[int], in_raw: Sequence[int]
    ) -> None:
        """Take the latency of every stamp: it came with the read that brought its event."""
        last = previous = None
        for text, start in texts:
            byte = start + 16  # any byte of the event: paced runs never split one
            chunk = bisect_right(in_body, byte) - 1
            came = answer.times[bisect_right(answer.ends, in_raw[chunk] + byte - in_body[chunk] + answer.head)]
            for stamp in _STAMP.findall(text):  # a proxy may merge texts
                sent = int(stamp, 16)
                if last is not None and (sent - last) & 0xFFFFFFFF > 0x7FFFFFFF:  # stamps wrap every 71.6 minutes
                    raise WrongAnswerError("deltas out of order")
                last = sent
                self._stats.latency.append((((int(came * 1e6) & 0xFFFFFFFF) - sent) & 0xFFFFFFFF) / 1e6)
            if previous is not None:
                self._stats.gaps.append(came - previous)
            previous = came


# The run


def request_bytes(plan: Plan, url: SplitResult) -> bytes:
    """One request, head and body."""
    steer = f"MOCK n={plan.chunks} delay={plan.delay:g} stamp={int(plan.stamp)} rc={int(plan.reasoning)}"
    body = json.dumps({"model": plan.model, "messages": [{"role": "user", "content": steer}], "stream": True}).encode()
    head = [
        f"POST {url.path} HTTP/1.1",
        f"host: {url.netloc}",
        "content-type: application/json",
        "accept: */*",
        f"content-length: {len(body)}",
        "authorization: Bearer sk-bench",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Run:
    """One plan being carried out."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._url = urlsplit(plan.url)
        self._request = request_bytes(plan, self._url)
        self._stats = Stats()
        self._check = Checker(plan, self._stats)
        self._left = plan.streams
        self._deferred: list[Answer] = []

    async def __call__(self) -> dict[str, Any]:
        """Carry it out; returns the report."""
        plan = self._plan
        pids = tree(plan.pid) if plan.pid else []
        before, own, start = cpu_times(pids), time.process_time(), time.monotonic()
        self._deadline = start + plan.time_limit
        await asyncio.gather(*(self._work() for _ in range(min(plan.concurrency, plan.streams))))
        wall = time.monotonic() - start
        own, cpu = time.process_time() - own, cpu_between(before, cpu_times(pids))
        for answer in self._deferred:
            self._check(answer)
        return self._report(wall, own) | (self._cpu(cpu, wall, pids) if pids else {})

    async def _work(self) -> None:
        connection: Connection | None = None
        while self._left > 0 and time.monotonic() < self._deadline:
            self._left -= 1
            try:
                if connection is None or not connection.open:
                    connection = await self._connect()
                async with asyncio.timeout(self._plan.timeout):
                    answer = await connection.ask(self._request)
            except OSError as error:  # ConnectionError and TimeoutError are too
                self._stats.fail(f"{type(error).__name__}: {error}")
                if connection is not None:
                    connection.close()
                connection = None
                continue
            if self._plan.stamp and len(self._deferred) < _DEFERRED:
                self._deferred.append(answer)
            else:
                self._check(answer)
            if not answer.keep:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        host, port = self._url.hostname or "127.0.0.1", self._url.port or 80
        return (await loop.create_connection(Connection, host, port))[1]

    def _report(self, wall: float, own: float) -> dict[str, Any]:
        plan, stats = self._plan, self._stats
        out = asdict(plan) | {
            "ok": stats.ok,
            "failed": stats.failed,
            "identical": stats.identical,
            "errors": stats.errors,
            "wall_s": round(wall, 3),
            "streams_per_s": round(stats.ok / wall, 1),
            "chunks_per_s": round(stats.ok * plan.chunks / wall),
            "events_per_stream": round(stats.events / stats.ok, 2) if stats.ok else None,
            "load_cpu_s": round(own, 3),
        }
        times = {"ttft": stats.ttft, "gap": stats.gaps, "latency": stats.latency, "duration": stats.duration}
        for name, values in times.items():
            out[f"{name}_p50_ms"], out[f"{name}_p99_ms"] = percentile_ms(values, 0.5), percentile_ms(values, 0.99)
        return out

    def _cpu(self, cpu: float, wall: float, pids: Sequence[int]) -> dict[str, Any]:
        ok, chunks = self._stats.ok, self._stats.ok * self._plan.chunks
        return {
            "cpu_s": round(cpu, 4),
            "cpu_us_per_chunk": round(cpu / chunks * 1e6, 3) if chunks else None,
            "cpu_us_per_stream": round(cpu / ok * 1e6, 1) if ok else None,
            "cpu_util": round(cpu / wall, 3),
            "rss_mib": round(rss_mib(pids), 1),
        }


def percentile_ms(values: Sequence[float], share: float) -> float | None:
    """A percentile of seconds, in milliseconds."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3, 3)


async def load(plan: Plan) -> dict[str, Any]:
    """Carry out a plan; returns the report."""
    return await Run(plan)()


def arguments(plan: Plan) -> list[str]:
    """The command line that says this plan."""
    out: list[str] = []
    for name, value in asdict(plan).items():
        if value is True:
            out.append(f"--{name}")
        elif value is not False and value is not None:
            out.append(f"--{name.replace('_', '-')}={value}")
    return out


def main() -> None:
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=plan.url)
    parser.add_argument("--model", default=plan.model)
    parser.add_argument("-c", "--concurrency", type=int, default=plan.concurrency)
    parser.add_argument("-n", "--streams", type=int, default=plan.streams)
    parser.add_argument("--chunks", type=int, default=plan.chunks)
    parser.add_argument("--delay", type=float, default=plan.delay, help="ms between deltas at the mock (0: burst)")
    parser.add_argument("--stamp", action="store_true", help="stamped deltas: measure one-way latency")
    parser.add_argument("--reasoning", action="store_true", help="the text comes in reasoning_content")
    parser.add_argument("--pid", type=int, help="proxy's root process: report its tree's CPU time")
    parser.add_argument("--timeout", type=float, default=plan.timeout, help="seconds for one answer")
    parser.add_argument("--time-limit", type=float, default=plan.time_limit, help="no new request after these seconds")
    plan = Plan(**vars(parser.parse_args()))
    gc.disable()
    print(json.dumps(uvloop.run(load(plan))))


if __name__ == "__main__":
    main()
