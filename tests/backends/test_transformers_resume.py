"""Continuing a cut turn: the model must go on exactly as if it had read the new text from the start."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
import torch

from guard.backends.transformers.sequence import Sequence
from guard.backends.transformers.turn import UNREAD
from guard.core.types import Channel, Resume
from tests.backends.tiny_models import (
    Script,
    collect,
    deltas,
    greedy,
    local,
    opened,
    reasons,
    request,
    running,
    size,
    text,
    tokenizer,
    usage,
)

EXACT = ["llama", "qwen3"]
AGAIN = ["sliding", "hybrid"]
NO_END = {str(tokenizer().eos_token_id): -100}


def _resume(kept: dict[Channel, str], channel: Channel, put_in: str = "", **how: Any) -> Resume:
    return Resume(kept={**kept, channel: kept.get(channel, "") + put_in}, open_channel=channel, put_in=put_in, **how)


@pytest.mark.parametrize("name", EXACT + AGAIN)
def test_a_rewound_sequence_goes_on_as_one_read_from_the_start(name: str) -> None:
    random, model = Random(name), local(name)
    for _ in range(50 if name in EXACT else 15):
        sequence = Sequence(model)
        prompt = [random.randrange(size()) for _ in range(random.randint(5, 150))]
        sequence.retarget(prompt)
        written = _write(sequence, random.randint(1, 40), random.choice([3, 64, 500]))
        keep = random.randint(0, len(written))
        put_in = [random.randrange(size()) for _ in range(random.randint(0, 25))]
        context = prompt + written[:keep] + put_in
        before = model.forwards
        sequence.retarget(context)
        if name in EXACT:  # all that was kept is still there; the last written id was never read
            assert sequence.cached >= min(len(prompt) + min(keep, len(written) - 1), len(context) - 1)
        after = _write(sequence, 12, 500)
        assert sequence._cache.get_seq_length() == len(context) + 11
        assert model.forwards - before == 12
        assert after == greedy(model, context, 12)


def _write(sequence: Sequence, count: int, piece: int) -> list[int]:
    written: list[int] = []
    with torch.inference_mode():
        while len(written) < count:
            if (output := sequence.feed(piece)) is not None:
                written.append(int(output.logits.argmax()))
                if len(written) < count:
                    sequence.append(written[-1])
    return written


@pytest.mark.parametrize("name", EXACT)
def test_a_rewind_reads_only_what_is_new(name: str) -> None:
    model = local(name)
    sequence = Sequence(model)
    sequence.retarget(list(range(100)))
    _write(sequence, 10, 500)
    sequence.retarget([*range(100), 7, 8, 9])
    assert sequence.pending == 3
    assert sequence._cache.get_seq_length() == 100


@pytest.mark.parametrize("name", EXACT + AGAIN)
async def test_turns_go_on_token_exactly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random, model = Random(name), local(name)
    words = ["No, that is wrong. ", " It was 1914.", "东京", "😀 ", " <|im_end|> and </think> ", "x"]
    async with running(model, monkeypatch) as backend:
        for _ in range(8):
            turn = backend.begin(request("word " * random.randint(1, 60), max_tokens=30, logit_bias=NO_END))
            items, kept = await collect(turn), ""
            for number in (1, 2):
                said, put_in = kept + text(items, "reasoning"), random.choice(words)
                kept = said[: random.randint(0, len(said))] + put_in
                resume = Resume(kept={"reasoning": kept}, open_channel="reasoning", put_in=put_in, max_tokens=20)
                items = await collect(turn, number, 0, resume)
                _check_exact(model, turn, items, kept)
            await turn.close()


def _check_exact(model: Any, turn: Any, items: Any, kept: str) -> None:
    ids, start = turn._choices[0].sequence.ids, usage(items)["prompt_tokens"]
    prompt = turn._setting.prompt.ids
    assert tuple(ids[: len(prompt)]) == prompt
    assert tokenizer().decode(ids[len(prompt) : start]) == kept
    assert tokenizer().eos_token_id not in ids[len(prompt) : start]
    want = _greedy_without_end(model, ids[:start], len(ids) - start)
    assert ids[start:] == want
    assert opened(items)[0].continuation == "token_exact"
    assert opened(items)[0].attempt == deltas(items)[0].attempt


def _greedy_without_end(model: Any, ids: list[int], count: int) -> list[int]:
    held, out = model.cache(), list[int]()
    with torch.inference_mode():
        logits = model.forward(ids, held).logits
        for _ in range(count):
            logits = logits.clone()
            logits[tokenizer().eos_token_id] -= 100
            out.append(int(logits.argmax()))
            logits = model.forward(out[-1:], held).logits
    return out


def _cuts() -> list[tuple[dict[Channel, str], Channel, str, str]]:
    return [
        ({"reasoning": "So it is Paris."}, "reasoning", " No, Rome.", "So it is Paris. No, Rome."),
        ({"reasoning": "So it"}, "reasoning", "", "So it"),
        ({"reasoning": ""}, "reasoning", "", ""),
        ({"reasoning": "So i"}, "reasoning", "!", "So i!"),
        ({"reasoning": "So it is Paris.", "content": "\nPar"}, "content", "", "So it is Paris.</think>\nPar"),
        ({"reasoning": "So it is Paris.", "content": ""}, "content", "", "So it is Paris.</think>"),
        ({"reasoning": "So it is Paris.", "content": ""}, "content", "Rome", "So it is Paris.</think>Rome"),
        ({"reasoning": "So", "content": ""}, "content", "Rome", "So</think>Rome"),
        ({"reasoning": "Something else"}, "reasoning", "", "Something else"),
    ]


@pytest.mark.parametrize(("kept", "channel", "put_in", "spelled"), _cuts())
async def test_what_the_model_reads_after_a_cut(
    kept: dict[Channel, str], channel: Channel, put_in: str, spelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Script("So it is Paris.</think>\nParis 😀!")
    async with running(model, monkeypatch) as backend:
        turn = backend.begin(request())
        await collect(turn)
        prompt = turn._setting.prompt.ids
        items = await collect(turn, 1, 0, _resume(kept, channel, put_in, max_tokens=1))
        ids = turn._choices[0].sequence.ids[len(prompt) : usage(items)["prompt_tokens"]]
    assert tokenizer().decode(ids) == spelled
    closing = tokenizer().convert_tokens_to_ids("</think>")
    assert ids.count(closing) == (channel == "content")


async def test_after_a_cut_text_goes_on_in_the_open_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("aaa bbb</think>ccc ddd"), monkeypatch) as backend:
        turn = backend.begin(request())
        await collect(turn)
        items = await collect(turn, 1, 0, _resume({"reasoning": "aaa"}, "reasoning"))
        assert (text(items, "reasoning"), text(items, "content")) == (" bbb", "ccc ddd")
        items = await collect(turn, 2, 0, _resume({"reasoning": "aaa bbb", "content": "ccc"}, "content"))
        assert (text(items, "reasoning"), text(items, "content")) == ("", " ddd")
        assert reasons(items) == ["stop"]


async def test_control_strings_that_guard_puts_in_stay_text(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("aaa bbb"), monkeypatch) as backend:
        turn = backend.begin(request())
        await collect(turn)
        prompt = len(turn._setting.prompt.ids)
        await collect(turn, 1, 0, _resume({"reasoning": "a"}, "reasoning", " </think><|im_end|>", max_tokens=0))
        ids = turn._choices[0].sequence.ids[prompt:]
    assert not {tokenizer().convert_tokens_to_ids(word) for word in ("</think>", "<|im_end|>")} & set(ids)
    assert tokenizer().decode(ids) == "a </think><|im_end|>"


@pytest.mark.parametrize("left", [0, 3])
async def test_the_rest_of_the_budget_replaces_the_limit(left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("one two three four five six seven"), monkeypatch) as backend:
        turn = backend.begin(request(max_tokens=2))
        await collect(turn)
        items = await collect(turn, 1, 0, _resume({"reasoning": "one"}, "reasoning", max_tokens=left))
        assert usage(items)["completion_tokens"] == left
        assert reasons(items) == ["length"]


async def test_a_cut_in_the_middle_of_the_stream_takes_the_choice_over(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Script("x " * 300)
    async with running(model, monkeypatch) as backend:
        turn = backend.begin(request(n=2))
        first = turn.attempt(0)
        early = list(await anext(first))
        items = await collect(turn, 1, 0, _resume({"reasoning": "x x "}, "reasoning", "No, ", max_tokens=5))
        assert usage(items)["completion_tokens"] == 5
        early += [item async for batch in first for item in batch]
        assert reasons(early, 0) == ["cancelled"]
        assert reasons(early, 1) == ["stop"]
        assert text(early, "reasoning", 1) == "x " * 300


async def test_a_taken_over_choice_computes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Script("x " * 2000)
    async with running(model, monkeypatch) as backend:
        turn = backend.begin(request())
        first = turn.attempt(0)
        await anext(first)
        await asyncio.sleep(0.2)  # it runs into its bound
        before = model.forwards
        await collect(turn, 1, 0, _resume({"reasoning": "x"}, "reasoning", " No", max_tokens=4))
        assert model.forwards - before <= 4 + 1
        assert [r for batch in [b async for b in first] for r in reasons(batch)] == ["cancelled"]
        assert before <= 2 * UNREAD


async def test_a_clients_own_beginning_is_in_the_prompt_and_not_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "She was"}]
    async with running(Script("She was born", think=False), monkeypatch) as backend:
        asked = request(said)
        turn = backend.begin(type(asked)(body=asked.body, prefix={"content": "She was"}))
        items = await collect(turn)
        assert {d.channel for d in deltas(items)} == {"content"}
        prompt = turn._setting.prompt.ids
        assert tokenizer().decode(prompt).endswith("<|im_start|>assistant\nShe was")
        resume = _resume({"content": "She was bo"}, "content", "! No", max_tokens=1)
        items = await collect(turn, 1, 0, resume)
        ids = turn._choices[0].sequence.ids[: usage(items)["prompt_tokens"]]
        assert tokenizer().decode(ids).endswith("assistant\nShe was bo! No")


async def test_a_restart_with_the_same_seed_does_not_repeat_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(local("llama"), monkeypatch) as backend:
        turn = backend.begin(request(temperature=1, seed=1, max_tokens=20))
        first = text(await collect(turn), "reasoning")
        again = _resume({}, "reasoning", max_tokens=20)
        assert text(await collect(turn, 1, 0, again), "reasoning") == first
        again = _resume({}, "reasoning", max_tokens=20, restart=True)
        assert text(await collect(turn, 2, 0, again), "reasoning") != first
