from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.backends.transformers.turn import UNREAD
from guard.errors import UpstreamError
from tests.backends.tiny_models import (
    Script,
    answer,
    collect,
    deltas,
    greedy,
    local,
    opened,
    reasons,
    request,
    running,
    text,
    tokenizer,
    usage,
)


async def _settled(model: Any) -> int:
    """Forward passes, once they stop rising."""
    before = -1
    while before != model.forwards:
        before = model.forwards
        await asyncio.sleep(0.05)
    return int(before)


async def test_a_turn_is_opened_streamed_finished_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("I think so.</think>\nYes."), monkeypatch) as backend:
        items = await answer(backend, request())
    assert text(items, "reasoning") == "I think so."
    assert text(items, "content") == "\nYes."
    assert [(o.attempt, o.continuation) for o in opened(items)] == [(0, None)]
    assert items[0] == (0, opened(items)[0])
    assert reasons(items) == ["stop"]
    counts = usage(items)
    said = len(Script("I think so.</think>\nYes.").said)
    assert counts["completion_tokens"] == said
    assert counts["total_tokens"] == counts["prompt_tokens"] + said
    assert 0 < counts["completion_tokens_details"]["reasoning_tokens"] < said


async def test_reasoning_deltas_say_the_field_they_belong_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("a</think>b"), monkeypatch) as backend:
        items = await answer(backend, request())
    assert [(d.channel, d.form) for d in deltas(items)] == [("reasoning", "reasoning_content"), ("content", "")]


async def test_a_model_that_opens_reasoning_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Script("<think>so</think>Yes, <think> is a tag.", think=False)
    async with running(model, monkeypatch) as backend:
        items = await answer(backend, request(chat_template_kwargs={"think": False}))
    assert text(items, "reasoning") == "so"
    assert text(items, "content") == "Yes, <think> is a tag."


async def test_without_reasoning_everything_is_content(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("so</think>Yes."), monkeypatch, reasoning="none") as backend:
        items = await answer(backend, request())
    assert text(items, "content") == "so</think>Yes."
    assert not text(items, "reasoning")


@pytest.mark.parametrize(("limit", "reason"), [(3, "length"), (400, "stop"), (0, "length")])
async def test_max_tokens(monkeypatch: pytest.MonkeyPatch, limit: int, reason: str) -> None:
    async with running(Script("one two three four five"), monkeypatch) as backend:
        for name in ("max_tokens", "max_completion_tokens"):
            items = await answer(backend, request(n=2, **{name: limit}))
            assert reasons(items) == reasons(items, 1) == [reason]
            assert usage(items)["completion_tokens"] <= 2 * limit


@pytest.mark.parametrize("stop", ["ree f", "three", ["zzz", " four"], "one two three"])
async def test_stop_strings_end_the_text_before_them(monkeypatch: pytest.MonkeyPatch, stop: Any) -> None:
    said = "one two three four five"
    first = min(said.find(s) for s in ([stop] if isinstance(stop, str) else stop) if s in said)
    async with running(Script(said), monkeypatch) as backend:
        items = await answer(backend, request(stop=stop))
    assert text(items, "reasoning") == said[:first]
    assert "".join(t.text for d in deltas(items) for t in d.tokens) == said[:first]
    assert reasons(items) == ["stop"]


async def test_half_a_stop_string_is_held_and_then_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("one two three"), monkeypatch) as backend:
        items = await answer(backend, request(stop=["two thrice", "three!"]))
    assert text(items, "reasoning") == "one two three"


async def test_characters_of_several_tokens_are_never_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "a 😀🎉🏳️‍🌈 東京 𝔘 é</think>ж🙂"
    async with running(Script(said), monkeypatch) as backend:
        items = await answer(backend, request())
        assert "�" not in "".join(d.text for d in deltas(items))
        assert text(items, "reasoning") + "</think>" + text(items, "content") == said
        for limit in range(1, 30):
            cut = await answer(backend, request(max_tokens=limit))
            assert said.startswith(text(cut, "reasoning"))


async def test_several_requests_say_what_each_says_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [request("word " * (i * 40 + 1), max_tokens=30) for i in range(6)]
    async with running(local("qwen3"), monkeypatch, max_concurrent=4) as backend:
        alone = [await answer(backend, one) for one in asked]
        together = await asyncio.gather(*(answer(backend, one) for one in asked))
    for one, other in zip(alone, together, strict=True):
        assert text(one, "reasoning") == text(other, "reasoning")
        assert usage(one) == usage(other)


async def test_more_than_may_take_turns_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("x " * 100), monkeypatch, max_concurrent=1) as backend:
        answers = await asyncio.gather(*(answer(backend, request(n=2)) for _ in range(3)))
        assert [text(items, "reasoning", i) for items in answers for i in (0, 1)] == ["x " * 100] * 6
        paused = backend.begin(request()).attempt(0)
        await anext(paused)
        assert text(await answer(backend, request()), "reasoning") == "x " * 100
        await paused.aclose()


async def test_a_long_prompt_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Script("x " * 200, positions=None)
    async with running(model, monkeypatch) as backend:
        short = backend.begin(request()).attempt(0)
        await anext(short)
        long = asyncio.create_task(answer(backend, request("word " * 20_000, max_tokens=1)))
        seen = 0
        while not long.done():
            try:
                seen += len(await anext(short))
            except StopAsyncIteration:
                break
        assert seen > 20
        await long


async def test_closing_the_iterator_stops_within_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Script("x " * 2000)
    async with running(model, monkeypatch) as backend:
        turn = backend.begin(request())
        stream = turn.attempt(0)
        await anext(stream)
        await stream.aclose()
        at = model.forwards
        assert await _settled(model) <= at + 1


async def test_a_reader_that_does_not_read_pauses_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Script("x " * 400)
    async with running(model, monkeypatch) as backend:
        stream = backend.begin(request()).attempt(0)
        items = list(await anext(stream))
        held = await _settled(model)
        assert held <= 1 + len(items) + UNREAD
        assert len(text(await answer(backend, request()), "reasoning")) > 400
        items += [item async for batch in stream for item in batch]
        assert text(items, "reasoning") == "x " * 400


async def test_an_error_in_the_thread_reaches_only_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Script("one two three four five six")
    poison = tokenizer().encode("q", add_special_tokens=False)[0]

    def broken(ids: list[int]) -> float | None:
        if poison in ids:
            raise MemoryError("no room")
        return None

    model.broken = broken
    async with running(model, monkeypatch) as backend:
        good = asyncio.create_task(answer(backend, request("good")))
        with pytest.raises(UpstreamError, match="no room"):
            await answer(backend, request("q"))
        assert text(await good, "reasoning") == "one two three four five six"
        assert (await backend.ready())["ok"]


async def test_logits_that_are_not_numbers_are_an_upstream_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Script("one")
    model.broken = lambda ids: float("nan")
    async with running(model, monkeypatch) as backend:
        with pytest.raises(UpstreamError, match="NaN"):
            await answer(backend, request())


async def test_seeds_repeat_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(seed: int, n: int = 1) -> ChatRequest:
        return request(temperature=1, top_p=0.95, top_k=50, seed=seed, max_tokens=20, n=n)

    async with running(local("llama"), monkeypatch) as backend:
        one, same, other = [await answer(backend, asked(seed)) for seed in (3, 3, 4)]
        both = await answer(backend, asked(3, n=2))
    assert text(one, "reasoning") == text(same, "reasoning") != text(other, "reasoning")
    assert text(both, "reasoning", 0) == text(one, "reasoning")
    assert text(both, "reasoning", 1) == text(other, "reasoning")  # choice i uses seed + i
    assert reasons(both, 0) == reasons(both, 1) == ["length"]
    assert len(opened(both, 0)) == len(opened(both, 1)) == 1
    assert usage(both)["completion_tokens"] == 40


@pytest.mark.parametrize("name", ["llama", "hybrid"])
async def test_choices_share_the_prompt_and_not_the_rest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = local(name)
    async with running(model, monkeypatch) as backend:
        turn = backend.begin(request(n=3, max_tokens=12, logit_bias={str(tokenizer().eos_token_id): -100}))
        items = await collect(turn)
        assert model.forwards == 1 + 3 * 11
        ids = turn._choices[2].sequence.ids
        assert len({text(items, "reasoning", i) for i in range(3)}) == 1
        assert ids[-12:] == greedy(model, ids[:-12], 12)
        await turn.close()


async def test_close_frees_the_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(local("llama"), monkeypatch) as backend:
        turn = backend.begin(request(max_tokens=5))
        await collect(turn)
        kept = weakref.ref(turn._choices[0].sequence._cache)
        await turn.close()
        await turn.close()
        gc.collect()
        assert kept() is None
        with pytest.raises(UpstreamError, match="closed"):
            await collect(turn)


async def test_closing_the_backend_fails_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("x " * 2000), monkeypatch) as backend:
        stream = backend.begin(request()).attempt(0)
        await anext(stream)
        await backend.close()
        with pytest.raises(UpstreamError, match="stopped"):
            [batch async for batch in stream]
        with pytest.raises(UpstreamError, match="not running"):
            await answer(backend, request())
        assert not (await backend.ready())["ok"]


async def test_a_loop_that_is_gone_does_not_kill_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("one two"), monkeypatch) as backend:

        def lost() -> None:
            loop = asyncio.new_event_loop()
            stream = backend.begin(request()).attempt(0)
            task = loop.create_task(anext(stream))
            loop.run_until_complete(asyncio.sleep(0))
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

        await asyncio.to_thread(lost)
        assert text(await answer(backend, request()), "reasoning") == "one two"
