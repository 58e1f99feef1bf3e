"""A server of bare sockets to test the backend against; and what is shown to it and to others: headers and keys."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from guard.backends import Batch, ChatRequest, Usage
from guard.backends.openai import OpenAIOptions, plugin
from guard.core.events import Delta, Event
from guard.errors import ConfigError, RequestError, UpstreamError

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Answers each request with the next reply (the last one again and again) and notes what it got. What it is asked
    to find out how it goes on with a prefilled message is noted apart, and refused."""

    replies: list[Reply] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    trials: list[Any] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().strip().split("\r\n")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                asked = json.loads(body or b"null")
                if is_trial(asked):
                    self.trials.append(asked)
                    await answer(b"{}", "400 Bad Request", "application/json")(writer)
                    continue
                self.seen.append((first, headers, asked))
                await self.replies[min(len(self.seen), len(self.replies)) - 1](writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        await self.serve(reader, writer)


def is_trial(body: Any) -> bool:
    messages = body.get("messages") if isinstance(body, dict) else None
    return (
        isinstance(messages, list)
        and bool(messages)
        and str(messages[0].get("content", "")).startswith("Repeat these codes")
    )


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.accept, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    for task in server.tasks:
        task.cancel()
    await asyncio.gather(*server.tasks, return_exceptions=True)


def data(*texts: str) -> bytes:
    return b"".join(b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % t.encode() for t in texts)


END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def answer(body: bytes, status: str = "200 OK", kind: str = "text/event-stream", extra: str = "") -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
        writer.write(head.encode() + body)

    return reply


def chunked(*parts: Any, end: bool = True) -> Reply:
    """Parts written one by one; a number is a pause in seconds; without `end` the connection is cut."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for part in parts:
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
        if end:
            writer.write(b"0\r\n\r\n")
        else:
            writer.close()

    return reply


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def backend(url: str, **options: Any) -> Any:
    made = plugin(OpenAIOptions.model_validate({"base_url": url} | options))
    await made.start()
    return made


def ask(**body: Any) -> ChatRequest:
    headers = body.pop("headers", {})
    return ChatRequest(body={"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | body, headers=headers)


async def collect(batches: AsyncIterator[Batch]) -> list[Event | Usage]:
    return [item if isinstance(item, Usage) else item[1] for batch in [b async for b in batches] for item in batch]


async def get(url: str, request: ChatRequest | None = None, **options: Any) -> list[Event | Usage]:
    made = await backend(url, **options)
    try:
        return await collect(made.begin(request or ask()).attempt(0))
    finally:
        await made.close()


def text(events: list[Event | Usage]) -> str:
    return "".join(e.text for e in events if isinstance(e, Delta))


async def test_keys_and_headers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies = [answer(data("a") + END)]
    client = {
        "authorization": "Bearer clients-key",
        "x-trace": "t",
        "host": "evil",
        "cookie": "c=1",
        "content-length": "9",
    }
    await get(server.url, ask(headers=client))
    monkeypatch.setenv("UP_KEY", "sk-configured-1")
    await get(server.url, ask(headers=client), api_key_env="UP_KEY", headers={"X-Org": "o"})
    (_, open_, _), (_, keyed, _) = server.seen
    assert open_["authorization"] == "Bearer clients-key"
    assert (keyed["authorization"], keyed["x-org"], keyed["x-trace"]) == ("Bearer sk-configured-1", "o", "t")
    assert keyed["host"] == f"127.0.0.1:{server.port}"
    assert "cookie" not in keyed


async def test_no_secret_in_what_is_shown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UP_KEY", "sk-configured-1")
    options = {"api_key_env": "UP_KEY", "headers": {"x-key": "sk-header-22"}}
    client = {"authorization": "Bearer clients-key"}
    for secret in ("sk-configured-1", "sk-header-22"):
        server.replies = [answer(f'{{"error": "bad key {secret}"}}'.encode(), "401 Unauthorized", "application/json")]
        with pytest.raises(UpstreamError) as caught:
            await get(server.url, ask(headers=client), **options)
        assert caught.value.body == b'{"error": "bad key ***"}'
    made = await backend(server.url + "?key=sk-query-333", api_key="sk-configured-1")
    assert "sk-" not in repr(made._options) + str(await made.ready()) + str(caught.value)
    await made.close()
    with pytest.raises(ValueError, match="credentials") as bad:
        OpenAIOptions.model_validate({"base_url": "http://me:sk-secret@host/v1", "api_key": ["sk-list"]})
    assert "sk-" not in str(bad.value)
    monkeypatch.delenv("UP_KEY")
    with pytest.raises(ConfigError, match="UP_KEY"):
        await backend(server.url, api_key_env="UP_KEY")


async def test_cookies_are_kept_for_nobody(server: Server) -> None:
    server.replies = [answer(data("a") + END, extra="set-cookie: who=alice\r\n")]
    made = await backend(server.url)
    for _ in range(2):
        await collect(made.begin(ask()).attempt(0))
    assert all("cookie" not in headers for _, headers, _ in server.seen)
    await made.close()


async def test_a_query_in_the_address_goes_on_every_request(server: Server) -> None:
    server.replies = [answer(data("a") + END)]
    await get(server.url + "?api-version=1")
    assert server.seen[0][0] == "POST /v1/chat/completions?api-version=1 HTTP/1.1"


async def test_what_cannot_be_written_is_the_clients_fault(server: Server) -> None:
    with pytest.raises(RequestError):
        await get(server.url, ask(user="\ud800"))
    large = ask(messages=[{"role": "user", "content": "x" * 3_000_000}])
    server.replies = [answer(data("a") + END)]
    assert text(await get(server.url, large)) == "a"


@pytest.mark.parametrize(
    ("status", "body", "options", "ok"),
    [
        ("200 OK", b'{"data": []}', {}, True),
        ("404 Not Found", b"", {}, True),
        ("401 Unauthorized", b"", {}, True),
        ("401 Unauthorized", b"", {"api_key": "wrong-key-1"}, False),
        ("500 Oops", b"", {}, False),
        ("200 OK", b"<html>", {}, False),
    ],
)
async def test_ready(server: Server, status: str, body: bytes, options: dict[str, str], ok: bool) -> None:
    server.replies = [answer(body, status)]
    made = await backend(server.url, **options)
    continuation = {"content": "unprobed", "reasoning": "unprobed", "probed": False}
    assert await made.ready() == {"ok": ok, "continuation": continuation, "base_url": server.url}
    await made.close()


async def test_ready_where_only_health_answers_and_where_nothing_does(server: Server) -> None:
    server.replies = [answer(b"", "500 Oops"), answer(b"ok")]
    made = await backend(server.url)
    assert (await made.ready())["ok"]
    await made.close()
    gone = await backend("http://127.0.0.1:9/v1")
    assert not (await gone.ready())["ok"]
    assert gone.count("four" * 3) == 3
    await gone.close()


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http:///v1", ""])
def test_an_address_is_an_address(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        OpenAIOptions(base_url=url)


def test_one_key_only() -> None:
    with pytest.raises(ValueError, match="not both"):
        OpenAIOptions.model_validate({"base_url": "http://h/v1", "api_key": "a", "api_key_env": "B"})
