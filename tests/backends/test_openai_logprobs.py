"""`logprobs: true` of an upstream: guard asks and reads, the client sees what it would have seen without."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.core.events import Delta
from guard.core.types import Resume
from tests.backends.test_openai_server import END, Server, answer, ask, backend, collect, server
from tests.backends.test_openai_template import QWEN, make_tokenizer

__all__ = ["server"]
WORDS = ["Ada", " was", " here", "."]


def entries(*words: str) -> dict[str, Any]:
    return {"content": [{"token": word, "logprob": -1.5, "bytes": list(word.encode())} for word in words]}


def ranked(word: str, most: int) -> dict[str, Any]:
    """With alternatives."""
    top = [{"token": f"t{i}", "logprob": -1.5 - i, "bytes": []} for i in range(most)]
    return {"content": [entry | {"top_logprobs": top} for entry in entries(word)["content"]]}


def alternatives(deltas: list[Delta]) -> set[Any]:
    return {(token.top_texts, token.top) for delta in deltas for token in delta.tokens}


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


# Alternatives that guard keeps

FIVE = {(tuple(f"t{i}" for i in range(5)), tuple((-1, -1.5 - i) for i in range(5)))}


def streamed(most: int) -> bytes:
    return b"".join(chunk(word, ranked(word, most)) for word in WORDS)


@pytest.mark.parametrize("options", [{}, {"logprobs": True}])
@pytest.mark.parametrize("body", [{}, {"logprobs": False}, {"top_logprobs": 3}])
async def test_alternatives_are_asked_for_kept_and_hidden(server: Server, body: Any, options: Any) -> None:
    server.replies = [answer(streamed(5) + END)]
    deltas = await said(server, replace(ask(**body), top_logprobs=5), **options)
    assert (server.seen[0][2]["logprobs"], server.seen[0][2]["top_logprobs"]) == (True, 5)
    assert alternatives(deltas) == FIVE
    assert b"".join(delta.raw for delta in deltas) == PLAIN
    assert [delta.logprobs for delta in deltas] == [None] * 4


@pytest.mark.parametrize("own", [None, 0, 2])
async def test_a_client_that_asks_for_fewer_gets_those(server: Server, own: int | None) -> None:
    server.replies = [answer(streamed(5) + END)]
    body = {"logprobs": True} | ({} if own is None else {"top_logprobs": own})
    deltas = await said(server, replace(ask(**body), top_logprobs=5))
    assert server.seen[0][2]["top_logprobs"] == 5
    assert alternatives(deltas) == FIVE
    assert [delta.logprobs for delta in deltas] == [ranked(word, own or 0) for word in WORDS]
    told = [json.loads(delta.raw[6:])["choices"][0]["logprobs"] for delta in deltas]
    assert told == [ranked(word, own or 0) for word in WORDS]


@pytest.mark.parametrize("own", [5, 9, "many"])
async def test_a_client_that_asks_for_as_many_gets_what_comes(server: Server, own: Any) -> None:
    server.replies = [answer(streamed(9) + END)]
    deltas = await said(server, replace(ask(logprobs=True, top_logprobs=own), top_logprobs=5))
    assert server.seen[0][2]["top_logprobs"] == own
    assert alternatives(deltas) == FIVE
    assert b"".join(delta.raw for delta in deltas) == streamed(9)


def listed(*words: str) -> bytes:
    """A raw completion's stream."""
    told = [
        {"tokens": [word], "token_logprobs": [-1.5], "top_logprobs": [{f"t{i}": -1.5 - i for i in (4, 3, 2, 1, 0)}]}
        for word in words
    ]
    choices = [{"index": 0, "text": word, "logprobs": one} for word, one in zip(words, told, strict=True)]
    choices.append({"index": 0, "text": "", "finish_reason": "stop"})
    return b"".join(b"data: %s\n\n" % json.dumps({"choices": [choice]}).encode() for choice in choices)


@pytest.mark.parametrize("own", [None, False, 0, 2])
async def test_raw_completions_are_asked_for_a_number_unless_their_client_names_one(server: Server, own: Any) -> None:
    server.replies = [answer(listed(*WORDS))]
    body = {"model": "m"} | ({} if own is None else {"logprobs": own})
    deltas = await said(server, ChatRequest(body=body, prompt="Hi", top_logprobs=5))
    hidden = own is None or own is False
    assert server.seen[0][2]["logprobs"] == (5 if hidden else own)
    assert alternatives(deltas) == FIVE
    assert [delta.logprobs is None for delta in deltas] == [hidden] * 4


@pytest.mark.parametrize("body", [{}, {"logprobs": True, "top_logprobs": 1}])
async def test_what_goes_on_as_a_raw_completion_is_read_and_its_shape_hidden(
    server: Server, tmp_path: Path, body: Any
) -> None:
    server.replies = [answer(listed(" So", " it", " is", "."))]
    made = await backend(server.url, tokenizer=make_tokenizer(tmp_path / "qwen", QWEN))
    resume = Resume(kept={"reasoning": "A. No, B."}, open_channel="reasoning", put_in=" No, B.", max_tokens=9)
    items = await collect(made.begin(replace(ask(**body), top_logprobs=5)).attempt(1, 0, resume))
    await made.close()
    deltas = [item for item in items if isinstance(item, Delta)]
    assert "prompt" in server.seen[0][2]
    assert server.seen[0][2]["logprobs"] == 5
    assert "top_logprobs" not in server.seen[0][2]
    assert "".join(token.text for delta in deltas for token in delta.tokens) == " So it is."
    assert alternatives(deltas) == FIVE
    assert {delta.logprobs for delta in deltas} == {None}
