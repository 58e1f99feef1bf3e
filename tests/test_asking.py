"""Asking a backend beside the stream: whole answers, their cost, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from guard.asking import Again, answer, sample
from guard.backends import ChatRequest
from guard.backends.scripted import Answer, ScriptedBackend, ScriptedOptions, ScriptedTurn
from guard.core.types import Channel
from guard.errors import RequestError, UpstreamDisconnected, UpstreamError

STOP = {"finish": "stop"}
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "Where?"}]


class Listening(ScriptedBackend):
    """Keeps what it was asked."""

    def __init__(self, *attempts: list[dict[str, Any]]) -> None:
        super().__init__(ScriptedOptions(answers=(Answer.model_validate({"cut": 3, "attempts": attempts}),)))
        self.heard: list[ChatRequest] = []

    def begin(self, request: ChatRequest) -> ScriptedTurn:
        self.heard.append(request)
        return super().begin(request)


def request(prefix: Mapping[Channel, str] | None = None, **body: Any) -> ChatRequest:
    return ChatRequest(
        body={"model": "m", "messages": ASKED} | body, headers={"authorization": "k"}, prefix=prefix or {}
    )


async def test_an_answer_is_the_text_of_one_channel_and_what_it_cost() -> None:
    backend = Listening([{"reasoning": "Hm, well."}, {"content": "In Kargate."}, STOP])
    spent: list[int] = []
    assert await answer(backend, request(), spent.append) == "In Kargate."
    assert await answer(backend, request(), spent.append, channel="reasoning") == "Hm, well."
    assert spent == [2 + 5, 2 + 5]
    assert backend.open_turns == 0


async def test_what_the_server_counts_is_what_it_cost() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 11, "total_tokens": 111}
    spent: list[int] = []
    await answer(Listening([{"content": "Yes."}, {"usage": usage}, STOP]), request(), spent.append)
    assert spent == [111]


@pytest.mark.parametrize(
    ("said", "error", "cost"),
    [
        ([{"error": {"status": 429}}], UpstreamError, []),
        ([{"content": "In Karg"}, {"disconnect": True}], UpstreamDisconnected, [4]),
        ([{"content": "In Karg"}], UpstreamDisconnected, [4]),
    ],
    ids=["refused", "broken off", "never finished"],
)
async def test_an_answer_that_breaks_off_is_an_error(said: Any, error: type[Exception], cost: list[int]) -> None:
    backend = Listening(said)
    spent: list[int] = []
    with pytest.raises(error):
        await answer(backend, request(), spent.append)
    assert spent == cost
    assert backend.open_turns == 0


async def test_a_call_that_is_cancelled_is_let_go_and_counted() -> None:
    backend = Listening([{"content": "In Kargate."}, {"wait_ms": 60_000}, STOP])
    spent: list[int] = []
    task = asyncio.create_task(answer(backend, request(), spent.append))
    while not backend.open_turns:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spent == [5]
    assert backend.open_turns == 0


# How the turn might have gone on


async def test_before_anything_is_written_the_question_is_asked_again() -> None:
    backend = Listening([{"content": "In Kargate."}, STOP])
    spent: list[int] = []
    again = Again(backend, request(max_tokens=900, temperature=0, top_p=0.5, n=4, logprobs=True, seed=7, tools=[1]))
    assert await again({"reasoning": "", "content": ""}, 3, 60, spent.append) == ["In Kargate."] * 3
    assert [heard.body["seed"] for heard in backend.heard] == [8, 9, 10]
    for heard in backend.heard:
        kept = {"model": "m", "messages": ASKED, "max_tokens": 60, "temperature": 1, "tools": [1]}
        assert {name: value for name, value in heard.body.items() if name != "seed"} == kept
        assert (heard.n, heard.headers) == (1, {"authorization": "k"})
    assert len(spent) == 3
    assert backend.open_turns == 0


@pytest.mark.parametrize("channel", ["reasoning", "content"])
async def test_behind_text_it_goes_on_in_the_same_channel(channel: Channel) -> None:
    other = {"reasoning": "content", "content": "reasoning"}[channel]
    backend = Listening([{channel: "One. Two."}, STOP], [{other: "No."}, {channel: " In Brengate."}, STOP])
    prefix: dict[Channel, str] = {"reasoning": "Hm.", "content": "One."}
    if channel == "reasoning":
        del prefix["content"]
    assert await Again(backend, request())(prefix, 2, 60, lambda _: None) == [" In Brengate."] * 2


async def test_an_unfinished_turn_of_the_clients_is_no_text_of_the_models() -> None:
    backend = Listening([{"content": " Kargate."}, STOP], [{"content": " never"}, STOP])
    again = Again(backend, request({"content": "It is"}))
    assert await again({"reasoning": "", "content": "It is"}, 1, 60, lambda _: None) == [" Kargate."]
    assert backend.heard[0].prefix == {"content": "It is"}


async def test_a_turn_with_one_recorded_attempt_goes_on_where_it_is() -> None:
    backend = Listening([{"content": "One. Two. Three."}, STOP])
    assert await Again(backend, request())({"content": "One."}, 1, 60, lambda _: None) == [" Two. Three."]


@pytest.mark.parametrize(
    ("limit", "body"), [("max_completion_tokens", {"max_completion_tokens": 5}), ("max_tokens", {})]
)
def test_a_sample_is_limited_by_the_name_that_the_client_used(limit: str, body: dict[str, Any]) -> None:
    assert sample(request(**body), 0, 60).body[limit] == 60
    assert len({"max_tokens", "max_completion_tokens"} & sample(request(**body), 0, 60).body.keys()) == 1


async def test_one_failure_ends_all_samples() -> None:
    backend = Listening([{"wait_ms": 60_000}, STOP])
    again = Again(backend, request())
    begin = backend.begin

    def failing(asked: ChatRequest) -> ScriptedTurn:
        if len(backend.heard) == 2:
            raise RequestError("no more")
        return begin(asked)

    backend.begin = failing  # type: ignore[method-assign, assignment]
    with pytest.raises(RequestError, match="no more"):
        await again({}, 3, 60, lambda _: None)
    assert backend.open_turns == 0


# How the turn would have gone on


@pytest.mark.parametrize("cut", [0, 1, 3])
async def test_the_rest_of_the_reasoning_ends_where_the_answer_begins(cut: int) -> None:
    steps: Any = [{"reasoning": " In Kargate. "}, {"content": "Kargate."}, {"wait_ms": 60_000}, STOP]
    backend = Listening([{"reasoning": "Hm."}, STOP], steps)
    backend._answers = (backend._answers[0].model_copy(update={"cut": cut}),)
    spent: list[int] = []
    assert await Again(backend, request()).onward({"reasoning": "Hm."}, 50, spent.append) == " In Kargate. "
    assert 0 < sum(spent) < 10
    assert backend.open_turns == 0


async def test_the_rest_of_the_content_goes_to_its_end_and_is_counted_by_the_server() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 11, "total_tokens": 111}
    backend = Listening([{"content": "It"}, STOP], [{"content": " is so."}, STOP, {"usage": usage}])
    spent: list[int] = []
    assert await Again(backend, request()).onward({"reasoning": "Hm.", "content": "It"}, 50, spent.append) == " is so."
    assert spent == [111]


async def test_a_tool_call_is_no_text() -> None:
    steps: Any = [{"content": " Let me see."}, {"tool": {"name": "f"}}, {"wait_ms": 60_000}, STOP]
    again = Again(Listening([{"content": "It"}, STOP], steps), request())
    assert await again.onward({"reasoning": "", "content": "It"}, 50, lambda _: None) == " Let me see."


async def test_it_is_sampled_as_the_request_asks_but_alone() -> None:
    backend = Listening([{"content": "It"}, STOP], [{"content": " is so."}, STOP])
    sampling: dict[str, Any] = {"temperature": 0.2, "top_p": 0.5, "seed": 7, "stop": ["#"], "tools": [1]}
    asked = request(**sampling, n=4, logprobs=True, top_logprobs=3, stream_options={"include_usage": True})
    await Again(backend, replace(asked, n=4, top_logprobs=5)).onward({"content": "It"}, 50, lambda _: None)
    (heard,) = backend.heard
    assert heard.body == {"model": "m", "messages": ASKED, **sampling, "max_tokens": 50}
    assert (heard.n, heard.top_logprobs) == (1, 0)


@pytest.mark.parametrize(("own", "limit"), [(20, 20), (90, 50)])
async def test_it_is_no_longer_than_the_client_wanted(own: int, limit: int) -> None:
    backend = Listening([{"content": "It"}, STOP], [{"content": " is so."}, STOP])
    await Again(backend, request(max_completion_tokens=own)).onward({"content": "It"}, 50, lambda _: None)
    assert backend.heard[0].body["max_completion_tokens"] == limit


async def test_what_is_asked_anew_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.backends.scripted._continuation", lambda resume: "reask")
    backend = Listening([{"content": "It"}, STOP], [{"content": " is so."}, {"wait_ms": 60_000}, STOP])
    assert await Again(backend, request()).onward({"content": "It"}, 50, lambda _: None) is None
    assert backend.open_turns == 0


async def test_a_rest_that_breaks_off_is_an_error() -> None:
    backend = Listening([{"reasoning": "It"}, STOP], [{"reasoning": " is"}, {"disconnect": True}])
    with pytest.raises(UpstreamDisconnected):
        await Again(backend, request()).onward({"reasoning": "It"}, 50, lambda _: None)
