"""Whoever leaves an answer of litellm's is seen to leave by the provider."""

import asyncio

import pytest

from tests.backends.litellm_wire import (
    CLAUDE,
    GEMINI,
    KEY,
    PLAIN,
    QUIET,
    ask,
    claude,
    made,
    plain,
)
from tests.backends.test_openai_server import Server
from tests.backends.test_openai_server import server as server

pytestmark = QUIET


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)


@pytest.mark.parametrize(("model", "parts"), [(CLAUDE, claude({"text": "one"})), (PLAIN, plain({"content": "one"}))])
async def test_who_leaves_is_seen_to_leave(server: Server, model: str, parts: list[bytes]) -> None:
    async def forever(writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        writer.write(head + b"".join(parts[:5]))
        while True:
            writer.write(b": waiting\n\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.replies = [forever]
    backend = await made(server.url, model)
    stream = backend.begin(ask()).attempt(0)
    async with asyncio.timeout(5):
        await anext(stream)
        await stream.aclose()
        await server.left.wait()
    turn = backend.begin(ask())
    server.left.clear()
    stream = turn.attempt(0)
    async with asyncio.timeout(5):
        await anext(stream)
        await turn.close()
        await server.left.wait()
        await stream.aclose()
    await backend.close()


@pytest.mark.parametrize("model", [CLAUDE, GEMINI, PLAIN])
@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"]
)
async def test_who_leaves_before_the_first_word_is_seen_to_leave(server: Server, model: str, head: bytes) -> None:
    asked = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        asked.set()

    server.replies = [silent]
    backend = await made(server.url, model)
    first = asyncio.ensure_future(anext(backend.begin(ask()).attempt(0)))
    async with asyncio.timeout(5):
        await asked.wait()
        first.cancel()
        await server.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await first
    await backend.close()


@pytest.mark.parametrize("n", [1, 2])
async def test_who_is_cancelled_twice_is_seen_to_leave(server: Server, n: int) -> None:
    async def forever(writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        writer.write(head + b"".join(claude({"thinking": "one"}, stop=None)))
        while True:
            writer.write(b'event: ping\ndata: {"type": "ping"}\n\n')
            await writer.drain()
            await asyncio.sleep(0.01)

    server.replies = [forever]
    backend = await made(server.url)
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in backend.begin(ask(n)).attempt(0):
            begun.set()

    reading = asyncio.create_task(read())
    async with asyncio.timeout(10):
        await begun.wait()
        for _ in range(3):  # as a leaving client does to what reads, and then the end of the run
            reading.cancel()
            await asyncio.sleep(0)
        await server.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await backend.close()
