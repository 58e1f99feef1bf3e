"""How likely words come next: the model's own softmax, one pass, and what was read before is not read again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.backends import ChatRequest
from guard.backends.transformers.labels import Spellings, shares
from guard.backends.transformers.model import LocalModel
from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import RequestError, UpstreamError
from tests.backends.tiny_models import Script, answer, local, request, running, size, text, tokenizer

VOCABULARY = Vocabulary(tokenizer(), ("<think>", "</think>"))
SPELLINGS = Spellings(VOCABULARY, size())
WORDS = ('the"', 'city"', 'wrong"', 'no"')
BEGUN = '{"v": "'


def begun(asked: str = "Where was she born?", *earlier: str, **body: Any) -> ChatRequest:
    said = [{"role": "user", "content": each} for each in (*earlier, asked)]
    messages = [*said, {"role": "assistant", "content": BEGUN}]
    return ChatRequest(body={"messages": messages, **body}, prefix={"content": BEGUN})


def prompt(asked: ChatRequest) -> list[int]:
    rendered = tokenizer().apply_chat_template(list(asked.messages), tokenize=False, continue_final_message=True)
    return list(tokenizer().encode(rendered, add_special_tokens=False))


def softmax(model: LocalModel, ids: Sequence[int]) -> list[float]:
    with torch.inference_mode():
        chances: list[float] = model.forward(ids, model.cache()).logits.float().softmax(-1).tolist()
    return chances


def by_hand(chances: Sequence[float], word: str) -> float:
    """Every token that begins the word or begins with it."""
    spelled = [VOCABULARY.bytes(id) for id in range(size())]
    wanted = word.encode()
    return sum(
        chance
        for chance, own in zip(chances, spelled, strict=True)
        if own and (wanted.startswith(own) or own.startswith(wanted))
    )


@pytest.mark.parametrize("name", ["llama", "qwen3", "sliding", "hybrid"])
async def test_a_words_probability_is_the_models_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, spent = local(name), list[int]()
    asked = begun()
    chances = softmax(model, prompt(asked))
    async with running(model, monkeypatch) as backend:
        found = await backend.score(asked, WORDS, spent.append)
    assert list(found) == list(WORDS)
    for word in WORDS:
        assert found[word] == pytest.approx(by_hand(chances, word), rel=1e-3, abs=1e-7)
        assert found[word] > 0
    assert sum(found.values()) <= 1
    assert spent == [len(prompt(asked))]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-50, 50), min_size=size(), max_size=size()),
    st.lists(st.text(min_size=1), max_size=5, unique=True),
)
def test_probabilities_sum_to_at_most_one_whatever_the_words(logits: list[float], words: list[str]) -> None:
    found = shares(torch.tensor(logits), SPELLINGS.tokens(tuple(words)))
    assert sum(found) <= 1 + 1e-5
    assert all(0 <= each <= 1 + 1e-6 for each in found)


def test_a_token_that_speaks_for_two_words_speaks_for_neither() -> None:
    one, other = SPELLINGS.tokens(("the city", "the river"))
    assert not set(one.tolist()) & set(other.tolist())
    t = VOCABULARY.plain("t")[0]
    assert t not in (*one.tolist(), *other.tolist())
    (alone,) = SPELLINGS.tokens(("the city",))
    assert t in alone.tolist()


async def test_a_prompt_that_grew_is_read_from_where_it_grew(monkeypatch: pytest.MonkeyPatch) -> None:
    model = local("llama")
    fed: list[int] = []
    forward = model.forward

    def counting(ids: Sequence[int], cache: Any) -> Any:
        fed.append(len(ids))
        return forward(ids, cache)

    monkeypatch.setattr(model, "forward", counting)
    first, second = begun("A question."), begun("Then another.", "A question.")
    async with running(model, monkeypatch) as backend:
        await backend.score(first, WORDS, lambda n: None)
        assert sum(fed) == len(prompt(first))
        fed.clear()
        found = await backend.score(second, WORDS, lambda n: None)
        shared = next(i for i, (a, b) in enumerate(zip(prompt(first), prompt(second), strict=False)) if a != b)
        assert sum(fed) == len(prompt(second)) - shared
        fed.clear()
        await answer(
            backend, ChatRequest(body={**second.body, "temperature": 0, "max_tokens": 1}, prefix=second.prefix)
        )
        assert fed == []  # what is written behind a prompt that was looked at reads none of it
    assert found[WORDS[0]] == pytest.approx(by_hand(softmax(local("llama"), prompt(second)), WORDS[0]), rel=1e-3)


async def test_conversations_with_one_beginning_keep_their_own_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    model = local("llama")
    fed: list[int] = []
    forward = model.forward

    def counting(ids: Sequence[int], cache: Any) -> Any:
        fed.append(len(ids))
        return forward(ids, cache)

    monkeypatch.setattr(model, "forward", counting)
    system = "You check one statement that an assistant has just written. " * 2
    turns: list[list[str]] = [[system, f"{name} tells a story about the river and the city. " * 3] for name in "AB"]
    async with running(model, monkeypatch) as backend:
        for number in range(4):
            for turn in turns:
                turn.append(f"Statement {number} of this turn.")
                fed.clear()
                await backend.score(begun(turn[-1], *turn[:-1]), WORDS, lambda n: None)
                if number:
                    assert sum(fed) < 60  # what is new, and what stood behind the statement before
    assert sum(fed) < len(prompt(begun(turns[0][-1], *turns[0][:-1]))) / 3


@pytest.mark.parametrize("name", ["llama", "sliding"])
async def test_looks_at_once_do_not_disturb_each_other(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [begun(f"Question {number} of many. " * (number + 1)) for number in range(7)]
    async with running(local(name), monkeypatch, max_concurrent=3) as backend:
        alone = [await backend.score(each, WORDS, lambda n: None) for each in asked]
        together = await asyncio.gather(*(backend.score(each, WORDS, lambda n: None) for each in asked))
        written = text(await answer(backend, request(max_tokens=5)), "content")
    async with running(local(name), monkeypatch) as backend:
        assert text(await answer(backend, request(max_tokens=5)), "content") == written
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-7)


async def test_a_look_that_nobody_waits_for_ends_and_is_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    model, spent = local("llama"), list[int]()
    long = begun("A long question. " * 50)
    async with running(model, monkeypatch, max_concurrent=1) as backend:
        task = asyncio.create_task(backend.score(long, WORDS, spent.append))
        while not model.forwards:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert spent == [len(prompt(long))]
        assert await backend.score(begun(), WORDS, spent.append)  # and the next has its turn


async def test_logits_that_are_no_numbers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script("x")
    script.broken = lambda ids: float("nan")
    async with running(script, monkeypatch) as backend:
        with pytest.raises(UpstreamError, match="not numbers"):
            await backend.score(begun(), WORDS, lambda n: None)


async def test_what_cannot_be_asked_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(local("llama"), monkeypatch) as backend:
        with pytest.raises(RequestError, match="template refuses"):
            await backend.score(
                ChatRequest(body={"messages": [{"role": "judge", "content": "x"}]}), WORDS, lambda n: None
            )
    with pytest.raises(UpstreamError, match="not loaded"):
        await backend.__class__(backend._options).score(begun(), WORDS, lambda n: None)
