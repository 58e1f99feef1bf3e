"""The loop of the small models: context adds nothing, a certain teacher is the token itself."""

import math
from collections.abc import Iterator
from random import Random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.world.build import make_model, make_tokenizer
from guard.world.learning import Course, Sample, logits_of, loss, pack, rate, train
from guard.world.world import load_world

TOKENIZER = make_tokenizer(load_world())


def _samples(seed: int, *, certain: bool = False) -> Iterator[Sample]:
    rng = Random(seed)
    while True:
        ids = [rng.randrange(20, 200) for _ in range(rng.randrange(2, 12))]
        weights = [float(rng.random() < 0.5) for _ in ids]
        top = {place: ((id_, 0.0),) for place, id_ in enumerate(ids) if place and certain}
        yield Sample(ids=ids, weights=weights, top=top)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_no_gradient_comes_from_a_token_that_is_context(seed: int) -> None:
    torch.set_num_threads(1)
    batch = pack(_samples(seed), 3, 24)
    model = make_model(TOKENIZER)
    logits = logits_of(model, batch).detach().requires_grad_()
    weights = batch.weights[:, 1:] * (batch.positions[:, 1:] != 0)
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none"
    ).view_as(weights)
    ((each * weights).sum() / weights.sum().clamp(min=1)).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.equal(logits.grad[:, :-1][weights == 0], torch.zeros_like(logits.grad[:, :-1][weights == 0]))
    # What `loss` computes is this very sum.
    with torch.no_grad():
        whole = (each * weights).sum() / weights.sum().clamp(min=1)
        assert float(loss(model, batch)) == pytest.approx(float(whole), abs=1e-5)


def test_a_certain_teacher_is_the_token_itself() -> None:
    torch.set_num_threads(1)
    model = make_model(TOKENIZER)
    plain, taught = (pack(_samples(3, certain=certain), 2, 24) for certain in (False, True))
    assert taught.soft
    assert not plain.soft
    with torch.no_grad():
        assert float(loss(model, plain)) == pytest.approx(float(loss(model, taught)), rel=1e-4)


def test_a_teacher_that_doubts_is_followed() -> None:
    torch.set_num_threads(1)
    model = make_model(TOKENIZER)
    doubts = {2: ((50, math.log(0.7)), (60, math.log(0.3)))}

    def rows() -> Iterator[Sample]:
        while True:
            yield Sample(ids=[30, 40, 50], weights=[0.0, 0.0, 1.0], top=doubts)

    train(model, rows(), Course(steps=60, learning_rate=3e-3, seed=0, rows=2, length=12, warm_up=5))
    with torch.no_grad():
        told = model(input_ids=torch.tensor([[30, 40]])).logits[0, -1].softmax(-1)
    assert float(told[50]) == pytest.approx(0.7, abs=0.06)
    assert float(told[60]) == pytest.approx(0.3, abs=0.06)


def test_a_look_changes_nothing() -> None:
    torch.set_num_threads(1)
    course = Course(steps=4, learning_rate=1e-3, seed=1, rows=2, length=16)
    first, second = make_model(TOKENIZER), make_model(TOKENIZER)
    seen: list[int] = []
    train(first, _samples(5), course)
    train(second, _samples(5), course, look=lambda step, model: seen.append(step), looks=(0, 2, 4))
    assert seen == [0, 2, 4]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_rate_warms_up_and_falls() -> None:
    course = Course(steps=100, learning_rate=1, seed=0, warm_up=10)
    assert rate(0, course) == pytest.approx(0.1)
    assert rate(99, course) == pytest.approx(0.05)
    assert rate(99, Course(steps=100, learning_rate=1, seed=0, constant=True)) == 1
