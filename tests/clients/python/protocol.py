"""How a client's process is spoken with: one JSON job a line on stdin, one JSON line of what the client got on stdout.

A job is `{kind, url, key, model, question, stream, watch}`. `kind`: `ask`, `tools`, `structured` or `leave`; `watch`:
where guard lists its interruptions, for a client that is to leave once there is one. What was received is `{content,
reasoning, calls, object, events}` as far as this client shows it, or `{error, message}` with the name of the exception
that it raised. Knows no client; needs nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

Job = Mapping[str, Any]
Got = dict[str, Any]
Handler = Callable[[Job], Got]

PATIENCE_S = 40
WEATHER = {"Paris": "rain", "Oslo": "snow"}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "town": {"type": "string"}},
    "required": ["name", "town"],
    "additionalProperties": False,
}
WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER[city]


def calls_of(pairs: list[tuple[str, Any]]) -> list[Got]:
    """Tool calls as they are compared: names, and arguments as objects."""
    return [{"name": n, "arguments": json.loads(a) if isinstance(a, str) else a} for n, a in pairs]


def serve(ask: Handler, tools: Handler, structured: Handler, leave: Handler) -> None:
    """Answer jobs until stdin ends."""
    jobs, out = sys.stdin, os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # What a library prints is no answer, and what it reads is no job.
    sys.stdin, sys.stdout = io.StringIO(), sys.stderr
    handlers = {"ask": ask, "tools": tools, "structured": structured, "leave": leave}
    signal.signal(signal.SIGALRM, _too_long)
    for line in jobs:
        job = json.loads(line)
        print(json.dumps(_answer(handlers[job["kind"]], job)), file=out, flush=True)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"nothing came for {PATIENCE_S} s")


def _answer(handler: Handler, job: Job) -> Got:
    signal.alarm(PATIENCE_S)
    try:
        return handler(job)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is what it gave its user
        return {"error": type(error).__name__, "message": str(error)[:500]}
    finally:
        signal.alarm(0)


async def cancel(asked: Coroutine[Any, Any, object], watch: str) -> Got:
    """Ask, and cancel once what was asked has been interrupted."""
    before = await asyncio.to_thread(newest, watch)
    asking = asyncio.create_task(asked)
    while await asyncio.to_thread(newest, watch) == before:
        await asyncio.sleep(0.02)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return {"left": asking.cancelled()}


def die(ask: Callable[[], object], watch: str) -> Got:
    """Ask in a process of its own, and kill that once what it asked has been interrupted."""
    before = newest(watch)
    child = os.fork()
    if not child:
        try:
            ask()
        finally:
            os._exit(0)
    try:
        while newest(watch) == before:
            time.sleep(0.02)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"left": True}


def newest(watch: str) -> list[str]:
    """The id of the newest interruption on guard's record; `watch` is the address of the list."""
    with urllib.request.urlopen(watch, timeout=10) as page:
        return [str(row["id"]) for row in json.load(page)["data"][:1]]
