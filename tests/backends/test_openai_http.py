"""The backend against a server of bare sockets: what it sends, what it makes of answers, breaks and silence."""

import asyncio
import json
from typing import Any

import pytest

from guard.backends import ChatRequest, Usage
from guard.core.events import Finished, Opened
from guard.errors import UpstreamDisconnected, UpstreamError, UpstreamTimeout
from tests.backends.test_openai_server import END, Server, answer, ask, backend, chunked, collect, cut, data, get, text
from tests.backends.test_openai_server import server as server


async def test_a_stream_is_asked_for_whatever_the_client_wanted(server: Server) -> None:
    server.replies = [answer(data("Hel", "lo") + END)]
    events = await get(server.url, ask(stream=False, temperature=0.5, top_k=3), model="real")
    assert isinstance(events[0], Opened)
    assert text(events) == "Hello"
    assert isinstance(events[-1], Finished)
    first, headers, body = server.seen[0]
    assert first == "POST /v1/chat/completions HTTP/1.1"
    assert body == {
        "model": "real",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_k": 3,
    }
    assert headers["accept-encoding"] == "identity"
    assert "authorization" not in headers


async def test_one_batch_per_read_and_keep_alive(server: Server) -> None:
    server.replies = [chunked(data("a", "b"), 0.05, b": ping\n\n", 0.05, data("c") + END)]
    made = await backend(server.url)
    for _ in range(2):
        batches = [b async for b in made.begin(ask()).attempt(0)]
        assert [len(b) for b in batches] == [3, 2]
    assert server.connections == 1
    await made.close()


async def test_an_answer_that_is_not_streamed(server: Server) -> None:
    body = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": {"total_tokens": 2}}
    server.replies = [answer(json.dumps(body).encode(), kind="application/json; charset=utf-8")]
    events = await get(server.url)
    assert text(events) == "Hello"
    assert Usage(0, {"total_tokens": 2}) in events
    server.replies = [answer(b'{"error": {"message": "no", "code": 429}}', kind="application/json")]
    with pytest.raises(UpstreamError, match="no") as caught:
        await get(server.url)
    assert caught.value.status == 429


async def test_a_refusal_is_passed_on_as_it_is(server: Server) -> None:
    body = b'{"error": {"message": "slow down", "odd": [1]}}'
    extra = "retry-after: 7\r\nX-RateLimit-Remaining: 0\r\nx-request-id: r1\r\nset-cookie: a=b\r\nopenai-version: 1\r\n"
    server.replies = [answer(body, "429 Too Many Requests", "application/json", extra)]
    with pytest.raises(UpstreamError) as caught:
        await get(server.url)
    assert (caught.value.status, caught.value.body) == (429, body)
    assert caught.value.headers == {
        "content-type": "application/json",
        "retry-after": "7",
        "x-ratelimit-remaining": "0",
        "x-request-id": "r1",
        "openai-version": "1",
    }
    assert len(server.seen) == 1


async def test_an_endless_error_body_is_cut(server: Server) -> None:
    server.replies = [answer(b"x" * 500_000, "500 Oops", "text/plain")]
    with pytest.raises(UpstreamError) as caught:
        await get(server.url)
    assert len(caught.value.body or b"") == 65536


async def test_redirects_are_not_followed(server: Server) -> None:
    server.replies = [answer(b"", "307 Temporary Redirect", extra="location: http://127.0.0.1:1/v1\r\n")]
    with pytest.raises(UpstreamError, match="redirects"):
        await get(server.url)
    assert len(server.seen) == 1


async def test_headers_of_the_answer(server: Server) -> None:
    server.replies = [answer(data("a") + END, extra="request-id: r\r\nx-ratelimit-limit: 5\r\nserver: s\r\n")]
    made = await backend(server.url)
    turn = made.begin(ask())
    assert turn.headers == {}
    await collect(turn.attempt(0))
    assert turn.headers == {"request-id": "r", "x-ratelimit-limit": "5"}
    await made.close()


async def test_stream_options_are_left_out_where_they_are_refused(server: Server) -> None:
    refusal = answer(b'{"detail":[{"loc":["body","stream_options"]}]}', "422 Unprocessable", "application/json")
    server.replies = [refusal, answer(data("a") + END)]
    made = await backend(server.url)
    await collect(made.begin(ask()).attempt(0))
    await collect(made.begin(ask()).attempt(0))
    assert ["stream_options" in body for _, _, body in server.seen] == [True, False, False]
    await made.close()


async def test_a_refusal_that_only_repeats_the_request_is_not_about_stream_options(server: Server) -> None:
    refusal = answer(b'{"detail":[{"input":{"stream_options":{}}}]}', "422 Unprocessable", "application/json")
    server.replies = [refusal, refusal, answer(data("a") + END)]
    made = await backend(server.url)
    with pytest.raises(UpstreamError):
        await collect(made.begin(ask()).attempt(0))
    await collect(made.begin(ask()).attempt(0))
    assert ["stream_options" in body for _, _, body in server.seen] == [True, False, True]
    await made.close()


async def test_a_broken_connection_is_tried_once_more(server: Server) -> None:
    server.replies = [cut, answer(data("a") + END)]
    assert text(await get(server.url)) == "a"
    server.seen.clear()
    server.replies = [cut]
    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1") as caught:
        await get(server.url)
    assert caught.value.status == 502
    assert len(server.seen) == 2


async def test_nobody_there() -> None:
    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1:9 cannot be reached"):
        await get("http://127.0.0.1:9/v1")


async def test_a_connection_that_breaks_in_the_answer(server: Server) -> None:
    server.replies = [chunked(data("a", "b"), end=False)]
    made = await backend(server.url)
    got: list[Any] = []
    batches = made.begin(ask()).attempt(0)
    got += [item[1] for item in await anext(batches)]
    with pytest.raises(UpstreamDisconnected):
        await anext(batches)
    assert text(got) == "ab"
    assert len(server.seen) == 1
    await made.close()


async def test_half_a_document(server: Server) -> None:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"choices": [')
        writer.close()

    server.replies = [reply]
    with pytest.raises(UpstreamDisconnected):
        await get(server.url)


async def test_errors_before_the_first_event_still_have_their_status(server: Server) -> None:
    server.replies = [answer(b': hi\n\ndata: {"error": {"message": "full", "code": 529}}\n\n')]
    made = await backend(server.url)
    with pytest.raises(UpstreamError) as caught:
        await anext(made.begin(ask()).attempt(0))
    assert caught.value.status == 529
    await made.close()


@pytest.mark.parametrize(
    ("parts", "limit"),
    [
        ((5.0,), {"first_token_s": 0.1}),
        ((b": ping\n\n", 5.0), {"first_token_s": 0.1}),
        ((data("a"), 5.0), {"idle_s": 0.1}),
        ((*[data("a"), 0.05] * 40,), {"total_s": 0.3, "idle_s": 0.2}),
    ],
)
async def test_silence_has_an_end(server: Server, parts: Any, limit: dict[str, float]) -> None:
    server.replies = [chunked(*parts)]
    with pytest.raises(UpstreamTimeout, match=next(iter(limit))) as caught:
        await asyncio.wait_for(get(server.url, timeouts=limit), 3)
    assert caught.value.status == 504


async def test_a_server_that_does_not_even_answer(server: Server) -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    server.replies = [silent]
    with pytest.raises(UpstreamTimeout, match="first_token_s"):
        await get(server.url, timeouts={"first_token_s": 0.1})
    assert len(server.seen) == 1


async def test_a_slow_client_is_not_a_silent_server(server: Server) -> None:
    server.replies = [chunked(data("a"), 0.05, data("b") + END)]
    made = await backend(server.url, timeouts={"idle_s": 0.1})
    got: list[Any] = []
    async for batch in made.begin(ask()).attempt(0):
        await asyncio.sleep(0.4)
        got += [item[1] for item in batch]
    assert text(got) == "ab"
    await made.close()


async def test_comments_keep_a_stream_alive(server: Server) -> None:
    server.replies = [chunked(data("a"), *[0.05, b": ping\n\n"] * 8, data("b") + END)]
    assert text(await get(server.url, timeouts={"idle_s": 0.2})) == "ab"


async def test_a_stream_left_open_after_done(server: Server) -> None:
    server.replies = [chunked(data("a") + END, 30.0)]
    assert text(await asyncio.wait_for(get(server.url), 2)) == "a"


@pytest.mark.parametrize("how", ["iterator", "turn"])
async def test_closing_closes_the_connection(server: Server, how: str) -> None:
    server.replies = [chunked(*[data("a"), 0.01] * 500)]
    made = await backend(server.url)
    turn = made.begin(ask())
    batches = turn.attempt(0)
    await anext(batches)
    await (batches.aclose() if how == "iterator" else turn.close())
    await asyncio.wait_for(server.left.wait(), 2)
    if how == "turn":
        with pytest.raises(UpstreamDisconnected):
            await collect(batches)
    await turn.close()
    await made.close()


async def test_a_document_too_large(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.backends.openai.reading.WHOLE_LIMIT", 10)
    server.replies = [answer(b"x" * 99, kind="application/json")]
    with pytest.raises(UpstreamError, match="more than 10 bytes"):
        await get(server.url)


async def test_tags_are_text_where_reasoning_has_a_field(server: Server) -> None:
    server.replies = [answer(data("<think>a</think>") + END)]
    assert text(await get(server.url, reasoning="field")) == "<think>a</think>"
    assert text(await get(server.url, reasoning="inline")) == "a"


async def test_all_choices_in_the_first_attempt(server: Server) -> None:
    both = (data("a") + END.split(b"\n\n")[0] + b"\n\n").replace(b'"index":0', b'"index":1')
    server.replies = [answer(data("b") + both + END)]
    made = await backend(server.url)
    request = ChatRequest(body=ask().body, n=2)
    batches = [item for batch in [b async for b in made.begin(request).attempt(0)] for item in batch]
    assert server.seen[0][2]["n"] == 2
    assert [item[0] for item in batches] == [0, 1, 0, 1, 1, 0]
    await made.close()
