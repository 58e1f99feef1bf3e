"""`logprobs: true` of an upstream: guard asks and reads, the client sees what it would have seen without."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.core.events import Delta
from guard.core.types import Resume
from tests.backends.test_openai_server import END, Server, answer, ask, backend, collect, server

__all__ = ["server"]
WORDS = ["Ada", " was", " here", "."]


def entries(*words: str) -> dict[str, Any]:
    return {"content": [{"token": word, "logprob": -1.5, "bytes": list(word.encode())} for word in words]}


def chunk(word: str, logprobs: Any = None) -> bytes:
    choice = {"index": 0, "delta": {"content": word}, "logprobs": logprobs, "finish_reason": None}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


STREAM = b"".join(chunk(word, entries(word)) for word in WORDS) + END
PLAIN = b"".join(chunk(word) for word in WORDS)


def whole() -> bytes:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "logprobs": entries(*WORDS), "finish_reason": "stop"}
    return json.dumps({"id": "c", "choices": [choice]}).encode()


async def said(server: Server, request: ChatRequest, **options: Any) -> list[Delta]:
    made = await backend(server.url, **options)
    try:
        items = await collect(made.begin(request).attempt(0))
    finally:
        await made.close()
    return [item for item in items if isinstance(item, Delta)]


@pytest.mark.parametrize("body", [{}, {"logprobs": False}])
async def test_asked_for_read_and_hidden(server: Server, body: dict[str, Any]) -> None:
    server.replies = [answer(STREAM)]
    deltas = await said(server, ask(**body), logprobs=True)
    assert server.seen[0][2]["logprobs"] is True
    assert [(t.text, t.logprob) for delta in deltas for t in delta.tokens] == [(word, -1.5) for word in WORDS]
    assert b"".join(delta.raw for delta in deltas) == PLAIN
    assert [delta.logprobs for delta in deltas] == [None] * 4


async def test_an_answer_that_came_whole(server: Server) -> None:
    server.replies = [answer(whole(), kind="application/json")]
    (delta,) = await said(server, ask(), logprobs=True)
    assert ([token.text for token in delta.tokens], delta.logprobs) == (WORDS, None)


async def test_a_client_that_asks_gets_them(server: Server) -> None:
    server.replies = [answer(STREAM)]
    deltas = await said(server, ask(logprobs=True, top_logprobs=2), logprobs=True)
    assert server.seen[0][2]["top_logprobs"] == 2
    assert b"".join(delta.raw for delta in deltas) + END == STREAM
    assert [delta.logprobs for delta in deltas] == [entries(word) for word in WORDS]


async def test_without_the_setting_nothing_is_asked(server: Server) -> None:
    server.replies = [answer(PLAIN + END)]
    deltas = await said(server, ask())
    assert "logprobs" not in server.seen[0][2]
    assert [delta.tokens for delta in deltas] == [()] * 4


async def test_raw_completions_are_left_alone(server: Server) -> None:
    body = b'data: {"choices":[{"index":0,"text":"Ada","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    server.replies = [answer(body)]
    await said(server, ChatRequest(body={"model": "m"}, prompt="Hi"), logprobs=True)
    assert "logprobs" not in server.seen[0][2]


async def test_a_turn_that_goes_on_is_read_and_hidden_too(server: Server) -> None:
    server.replies = [answer(STREAM)]
    made = await backend(server.url, logprobs=True, continuation="reask")
    turn = made.begin(ask())
    await collect(turn.attempt(0))
    resume = Resume(kept={"content": "Ada. No."}, open_channel="content", put_in=" No.", message="Go on.")
    items = await collect(turn.attempt(1, 0, resume))
    await made.close()
    deltas = [item for item in items if isinstance(item, Delta)]
    assert server.seen[1][2]["logprobs"] is True
    assert [delta.logprobs for delta in deltas] == [None] * len(deltas)
    assert [token.text for delta in deltas for token in delta.tokens] == WORDS
