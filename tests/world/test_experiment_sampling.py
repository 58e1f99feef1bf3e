"""Batched drawing is plain generation of each text by itself, whatever shares the batch."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from guard.world.build import MODEL
from guard.world.corpus import END, prompt
from guard.world.experiment import sampling
from guard.world.experiment.sampling import Sampling, draw, log_probability, next_probability
from guard.world.experiment.speech import Speaker, drawn_questions
from guard.world.world import load_world

WORLD = load_world()
TOKENIZER = PreTrainedTokenizerFast.from_pretrained(MODEL)
ENDS = frozenset(TOKENIZER.encode(END, add_special_tokens=False))


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return Qwen3ForCausalLM.from_pretrained(MODEL, attn_implementation="eager").float().eval()


def prompts(count: int, seed: int) -> list[list[int]]:
    """Of very different lengths, so that all but the longest are padded."""
    rng = Random(seed)
    questions = drawn_questions(WORLD, WORLD.group("known"), count, seed)
    texts = [" ".join([*(q.text for _ in range(rng.randrange(3))), q.text]) for q in questions]
    return [TOKENIZER.encode(prompt(text), add_special_tokens=False) for text in texts]


@torch.no_grad()
def naive(
    model: Any, ids: Sequence[int], limit: int
) -> tuple[list[int], list[float], list[tuple[tuple[int, float], ...]]]:
    """One text alone, without padding and without a cache: the best token after the other."""
    seen, logs, tops = list(ids), [], []
    for _ in range(limit):
        logprobs = model(input_ids=torch.tensor([seen]), use_cache=False).logits[0, -1].log_softmax(-1)
        best = logprobs.topk(3)
        seen.append(int(best.indices[0]))
        logs.append(float(best.values[0]))
        tops.append(tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)))
        if seen[-1] in ENDS:
            break
    return seen[len(ids) :], logs, tops


def test_a_greedy_batch_is_a_naive_loop_of_each_text(model: Any) -> None:
    asked = prompts(7, 1)
    assert len({len(ids) for ids in asked}) > 3
    drawn = draw(model, asked, Sampling(ends=ENDS, limit=40, temperature=0, top=3))
    for ids, text in zip(asked, drawn, strict=True):
        said, logs, tops = naive(model, ids, 40)
        assert text.ids == said
        assert text.logprobs == pytest.approx(logs, abs=1e-3)
        for here, there in zip(text.top, tops, strict=True):
            assert [p for _, p in here] == pytest.approx([p for _, p in there], abs=1e-3)
    # What has ended leaves the batch while others go on, so the cache was cut down on the way.
    assert max(len(text.ids) for text in drawn) > min(len(text.ids) for text in drawn)


def test_a_greedy_batch_is_what_transformers_generates(model: Any) -> None:
    asked = prompts(6, 2)
    width = max(map(len, asked))
    padded = torch.tensor([[0] * (width - len(ids)) + ids for ids in asked])
    seen = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in asked])
    (end,) = ENDS
    with torch.no_grad():
        out = model.generate(
            padded, attention_mask=seen, max_new_tokens=40, do_sample=False, eos_token_id=end, pad_token_id=0
        )
    for row, text in zip(
        out[:, width:].tolist(), draw(model, asked, Sampling(ends=ENDS, limit=40, temperature=0)), strict=True
    ):
        assert text.ids == row[: len(text.ids)]
        assert text.ids[-1] == end


def test_texts_are_drawn_at_their_temperature_and_reported_before_it(model: Any) -> None:
    (ids,) = prompts(1, 3)
    with torch.no_grad():
        plain = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    hot = (plain / 3).softmax(-1)
    n = 640
    drawn = draw(model, [ids] * n, Sampling(ends=ENDS, limit=1, temperature=3.0, seed=5, top=4))
    best = int(hot.argmax())
    share = sum(text.ids == [best] for text in drawn) / n
    expected = float(hot[best])
    assert abs(expected - float(plain.exp()[best])) > 0.1  # the temperature matters here
    assert share == pytest.approx(expected, abs=5 * (expected * (1 - expected) / n) ** 0.5)
    for text in drawn[:50]:
        assert text.logprobs[0] == pytest.approx(float(plain[text.ids[0]]), abs=1e-3)
        assert [id_ for id_, _ in text.top[0]] == plain.topk(4).indices.tolist()
        assert [p for _, p in text.top[0]] == pytest.approx(plain.topk(4).values.tolist(), abs=1e-3)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_scores_are_those_of_one_text_at_a_time(model: Any, seed: int, batch: int) -> None:
    rng, before = Random(seed), sampling.BATCH
    pairs = [
        (
            [rng.randrange(300) for _ in range(rng.randrange(1, 9))],
            [rng.randrange(300) for _ in range(rng.randrange(1, 6))],
        )
        for _ in range(7)
    ]
    sampling.BATCH = batch
    try:
        found = log_probability(model, pairs)
        ahead = next_probability(model, [context for context, _ in pairs], [5, 6])
    finally:
        sampling.BATCH = before
    for (context, text), whole, next_ in zip(pairs, found, ahead, strict=True):
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([[*context, *text]])).logits[0].log_softmax(-1)
        wanted = sum(float(logprobs[len(context) - 1 + i, token]) for i, token in enumerate(text))
        assert whole == pytest.approx(wanted, abs=1e-3)
        assert next_ == pytest.approx(float(logprobs[len(context) - 1, [5, 6]].exp().sum()), abs=1e-5)


def test_the_word_no_is_one_token_that_begins_nothing_else() -> None:
    speaker = Speaker(model=None, tokenizer=TOKENIZER, world=WORLD)
    (no,) = speaker.encode(" No")
    names = {name for objects in WORLD.objects.values() for name in objects} | {
        person for g in WORLD.people for person in WORLD.group(g)
    }
    assert not [name for name in names if speaker.encode(f" {name}")[0] == no]
    assert speaker.encode(" No, Ada Velm")[0] == no
    # A premise ends where it would end before any word: P("No") is read at the right place.
    for text in ("Ada Velm was born in Torvik.", "The river Esk flows into the Iron Sea."):
        assert speaker.encode(f"{text} No, ")[: len(speaker.encode(text)) + 1] == [*speaker.encode(text), no]
