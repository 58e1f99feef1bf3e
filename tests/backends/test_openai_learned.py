"""What a server refuses: what one request is told, what all are, and for how long."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.backends.openai import OpenAIOptions, plugin
from guard.backends.openai.learned import FORGET_S, TABLE_LIMIT, Standing, Table
from guard.core.events import Opened
from guard.errors import UpstreamError
from tests.backends.test_openai_continuation import CHAT, NO_ROUTE, RAW, ask, cut, raw
from tests.backends.test_openai_server import END, Server, answer, collect, data
from tests.backends.test_openai_server import server as server
from tests.backends.test_openai_template import QWEN, make_tokenizer

BAD = answer(b'{"error": "too long"}', "400 Bad Request", "application/json")
NO_OPTIONS = answer(b'{"detail":[{"loc":["body","stream_options"]}]}', "422 Unprocessable", "application/json")
SAID = answer(data("so") + END)


@dataclass
class Clock:
    """Stands still."""

    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


async def timed(url: str, **options: Any) -> tuple[Any, Clock]:
    """A backend whose clock the test sets."""
    clock = Clock()
    made = plugin(OpenAIOptions.model_validate({"base_url": url} | options), now=clock)
    await made.start()
    return made, clock


async def goes_on(made: Any, **body: Any) -> str | None:
    """How a cut turn was continued."""
    events = await collect(made.begin(ask(max_tokens=9, **body)).attempt(1, 0, cut(max_tokens=5)))
    return next(event.continuation for event in events if isinstance(event, Opened))


@pytest.fixture
def qwen(tmp_path: Any) -> str:
    return make_tokenizer(tmp_path, QWEN)


async def test_stream_options_of_a_client_that_are_refused_are_left_out_of_its_request_alone(server: Server) -> None:
    made, _ = await timed(server.url)
    server.replies = [NO_OPTIONS, SAID, SAID]
    await collect(made.begin(ask(stream_options={"odd": 1})).attempt(0))
    await collect(made.begin(ask()).attempt(0))
    sent = [body.get("stream_options") for _, _, body in server.seen]
    plain = {"include_usage": True}
    assert sent == [{"odd": 1} | plain, plain, plain]
    assert not made._upstream.usage_refused
    await made.close()


async def test_refused_stream_options_are_tried_again_after_a_while(server: Server) -> None:
    made, clock = await timed(server.url)
    server.replies = [NO_OPTIONS, SAID]
    for _ in range(2):
        await collect(made.begin(ask()).attempt(0))
    clock.time += FORGET_S
    await collect(made.begin(ask()).attempt(0))
    assert ["stream_options" in body for _, _, body in server.seen] == [True, False, False, True]
    await made.close()


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable"])
async def test_completions_are_given_up_after_three_refusals_in_a_row_and_only_for_a_while(
    server: Server, qwen: str, status: str
) -> None:
    made, clock = await timed(server.url, tokenizer=qwen)
    bad = answer(b'{"error": "too long"}', status, "application/json")
    server.replies = [bad, SAID, bad, SAID, answer(raw("C")), bad, SAID, bad, SAID, bad, SAID, SAID, answer(raw("C"))]
    ways = [await goes_on(made) for _ in range(7)]
    assert ways == ["reask", "reask", "text_exact", "reask", "reask", "reask", "reask"]
    assert [first for first, _, _ in server.seen] == [RAW, CHAT, RAW, CHAT, RAW, RAW, CHAT, RAW, CHAT, RAW, CHAT, CHAT]
    clock.time += FORGET_S
    assert await goes_on(made) == "text_exact"
    await made.close()


async def test_a_request_is_not_asked_again_in_a_way_that_was_refused_to_it(server: Server, qwen: str) -> None:
    made, _ = await timed(server.url, tokenizer=qwen)
    server.replies = [BAD, SAID, SAID]
    turn = made.begin(ask(max_tokens=9))
    for number in (1, 2):
        await collect(turn.attempt(number, 0, cut(max_tokens=5)))
    assert [first for first, _, _ in server.seen] == [RAW, CHAT, CHAT]
    await made.close()


async def test_an_absent_route_is_remembered_at_once_and_forgotten_later(server: Server, qwen: str) -> None:
    made, clock = await timed(server.url, tokenizer=qwen)
    server.replies = [NO_ROUTE, SAID, SAID, answer(raw("C"))]
    assert [await goes_on(made) for _ in range(2)] == ["reask", "reask"]
    clock.time += FORGET_S
    assert await goes_on(made) == "text_exact"
    assert [first for first, _, _ in server.seen] == [RAW, CHAT, CHAT, RAW]
    await made.close()


async def test_a_context_window_is_learnt_of_each_model_once_the_server_tells(server: Server) -> None:
    listed = answer(b'{"data": [{"id": "a", "max_model_len": 9}, {"id": "b", "max_model_len": 8}, {"id": {}}]}')
    server.replies = [answer(b"{}", "400 Not Now"), listed]
    made, _ = await timed(server.url)
    learn = made._upstream.learn_context
    assert [await learn(model, {}) for model in ("a", "a", "b", "a")] == [None, 9, 8, 9]
    assert len(server.seen) == 3
    await made.close()


@pytest.mark.parametrize("body", [b'{"data": [{"id": "\xff"}]}', b"[" * 100_000, b"{}"])
async def test_a_list_of_models_that_cannot_be_read_is_none(server: Server, body: bytes) -> None:
    made, _ = await timed(server.url)
    server.replies = [answer(body)]
    assert await made.models({}) == []
    await made.close()


async def test_a_list_of_models_is_read_only_so_far(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.backends.openai.answers.MODELS_LIMIT", 20)
    made, _ = await timed(server.url)
    server.replies = [answer(b'{"data": [{"id": "a"}]}'), answer(b'{"data": [{}]}')]
    assert await made.models({}) == []
    assert await made.models({}) == [{}]
    await made.close()


async def test_an_overload_is_no_refusal(server: Server, qwen: str) -> None:
    made, _ = await timed(server.url, tokenizer=qwen)
    server.replies = [answer(b"{}", "503 Service Unavailable")] * 3 + [answer(raw("C"))]
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await goes_on(made)
    assert await goes_on(made) == "text_exact"
    await made.close()


@given(st.lists(st.sampled_from(["strike", "clear", "wait"])))
def test_only_strikes_in_a_row_condemn(steps: list[str]) -> None:
    clock = Clock()
    standing = Standing(clock)
    row = 0
    for step in steps:
        if step == "wait":
            clock.time += FORGET_S
            row = 0
        else:
            getattr(standing, step)()
            row = row + 1 if step == "strike" else 0
        assert standing.refused == (row >= 3)


@given(st.lists(st.integers(0, 2 * TABLE_LIMIT), max_size=3 * TABLE_LIMIT))
def test_a_table_keeps_what_was_used_last(keys: list[int]) -> None:
    table: Table[int, int] = Table(Clock())
    for key in keys:
        table.put(key, key)
        assert table.get(key) == key == table.latest()
    kept = list(dict.fromkeys(reversed(keys)))[:TABLE_LIMIT]
    assert len(table) == len(kept)
    assert all(table.get(key) == key for key in kept)
