"""Upstreams that repeat secrets, send what is no text, or go on for a client that does not read."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from guard.backends import Batch
from guard.chat.reader import SHOWN
from guard.errors import UpstreamError, UpstreamTimeout
from guard.server import wire
from tests.backends.test_openai_server import END, Server, answer, ask, backend, chunked, data, text
from tests.backends.test_openai_server import server as server

KEY = {"authorization": "Bearer clients-key/1"}


def whole(stream: bytes) -> list[bytes]:
    return [stream]


def by_byte(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def in_sevens(stream: bytes) -> list[bytes]:
    return [stream[at : at + 7] for at in range(0, len(stream), 7)]


CUTS = (whole, by_byte, in_sevens)


async def into(events: list[Any], batches: AsyncIterator[Batch]) -> None:
    async for batch in batches:
        events += [item[1] for item in batch if isinstance(item, tuple)]


async def heard(url: str, **options: Any) -> tuple[list[Any], UpstreamError]:
    """What came before the error, and the error."""
    made = await backend(url, **options)
    events: list[Any] = []
    with pytest.raises(UpstreamError) as caught:
        await into(events, made.begin(ask(headers=KEY)).attempt(0))
    await made.close()
    return events, caught.value


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (b'data: {"error": {"message": "bad key Bearer clients-key/1"}}\n\n', "bad key Bearer ***"),
        (b'data: {"error": {"message": "bad key Bearer clients-key\\/1"}}\n\n', "bad key Bearer ***"),
        (b'data: {"error": "' + b"x" * (SHOWN - 5) + b'clients-key/1"}\n\n', "x***"),
        (b"data: oops clients-key/1\n\n", "oops ***"),
        (b"data: " + b"x" * (SHOWN - 5) + b"clients-key/1\n\n", "x***"),
        (b'data: {"error": "no ?key=sk-query-1%2B, sk-query-1+"}\n\n', "no ?key=***, ***"),
    ],
)
async def test_no_secret_is_in_an_error_behind_text(server: Server, cut: Any, event: bytes, shown: str) -> None:
    server.replies = [chunked(*cut(data("Hi") + event))]
    events, error = await heard(server.url + "?key=sk-query-1%2B")
    assert text(events) == "Hi"
    assert shown in str(error)
    for secret in ("clien", "sk-query"):
        assert secret not in str(error) + repr(error.body)


async def test_the_version_in_an_address_is_no_secret(server: Server) -> None:
    server.replies = [answer(b"api-version 2024-02-01 is old; sk-query-1", "400 Bad Request")]
    _, error = await heard(server.url + "?api-version=2024-02-01&key=sk-query-1")
    assert error.body == b"api-version 2024-02-01 is old; ***"


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"a" * 20000 + b"\r\n\r\n", b"sk-query-1\r\n\r\n"]
)
async def test_what_is_no_http_is_told_without_the_address(server: Server, reply: bytes) -> None:
    async def broken(writer: asyncio.StreamWriter) -> None:
        writer.write(reply)

    server.replies = [broken]
    _, error = await heard(server.url + "?key=sk-query-1")
    assert "cannot be reached" in str(error)
    seen: BaseException | None = error
    while seen is not None:
        assert "sk-query-1" not in str(seen)
        seen = seen.__cause__


NO_TEXT: tuple[tuple[bytes, str], ...] = (
    (b'data: {"choices":[{"index":0,"delta":{"content":"a\xff\xfe"}}]}\n\n', "Hi"),
    (b'data: {"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"a":"\xff"}}\n\n', "Hi"),
    (b'data: {"choices":[{"index":0,"delta":{"content":"a","odd":"\xff","reasoning":"b"}}]}\n\n', "Hiba"),
)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("event", "said"), NO_TEXT)
async def test_text_before_what_is_no_text_comes_out(server: Server, cut: Any, event: bytes, said: str) -> None:
    server.replies = [chunked(*cut(data("Hi") + event + END))]
    events, error = await heard(server.url)
    assert text(events) == said
    assert "sent an event that cannot be read" in str(error)


async def test_text_before_what_is_nested_without_end_comes_out(server: Server) -> None:
    server.replies = [answer(data("Hi") + b'data: {"usage":' + b'{"a":' * 100_000 + b"\n\n" + END)]
    events, error = await heard(server.url)
    assert text(events) == "Hi"
    assert "sent an event that cannot be read" in str(error)


async def test_an_answer_that_is_no_text_is_an_error(server: Server) -> None:
    server.replies = [answer(b'{"choices":[{"message":{"content":"\xff"}}]}', kind="application/json")]
    _, error = await heard(server.url)
    assert "cannot be read" in str(error)


@pytest.mark.parametrize("junk", [b'{"\xff": 1, "usage": {}}', b'{"usage":' * 100_000])
def test_chunks_that_cannot_be_read_are_passed_on_as_they_are(junk: bytes) -> None:
    raw = b"data: " + junk + b"\n\n"
    assert wire.payload(raw) == {}
    assert wire.unasked(raw) == raw


async def test_a_server_is_left_when_the_total_is_over_even_if_nobody_reads(server: Server) -> None:
    server.replies = [chunked(data("a"), *[data("b") * 1000] * 100_000)]
    made = await backend(server.url, timeouts={"total_s": 0.2, "idle_s": 30})
    attempt = made.begin(ask()).attempt(0)
    assert await anext(attempt)
    await server.left.wait()  # while this client does not read
    with pytest.raises(UpstreamTimeout, match="total_s"):
        await into([], attempt)
    await made.close()
