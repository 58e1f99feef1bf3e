"""DPO by hand and by the arm are one loss; scores do not depend on padding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from guard.world.build import make_model, make_tokenizer
from guard.world.experiment import preferring
from guard.world.experiment.preferring import BETA, Pair, prefer
from guard.world.learning import Batch, Course, Sample, loss, pack
from guard.world.world import load_world

TOKENIZER = make_tokenizer(load_world())


def made() -> Any:
    torch.set_num_threads(1)
    return make_model(TOKENIZER)


def some_pairs(seed: int, count: int = 5) -> list[Pair]:
    rng = Random(seed)

    def text(low: int, high: int) -> list[int]:
        return [rng.randrange(20, 300) for _ in range(rng.randrange(low, high))]

    return [(text(2, 9), text(1, 8), text(1, 8)) for _ in range(count)]


def ordinary(seed: int) -> Iterator[Sample]:
    rng = Random(seed)
    while True:
        ids = [rng.randrange(20, 200) for _ in range(rng.randrange(2, 12))]
        yield Sample(ids=ids, weights=[float(rng.random() < 0.5) for _ in ids])


def by_hand(model: Any, context: Any, text: Any) -> torch.Tensor:
    """The log-probability of a text, one forward pass a token."""
    whole = torch.zeros(())
    for number, token in enumerate(text):
        seen = torch.tensor([[*context, *text[:number]]])
        whole = whole + model(input_ids=seen).logits[0, -1].log_softmax(-1)[token]
    return whole


def test_margins_are_those_of_one_token_after_another() -> None:
    model, pairs = made(), some_pairs(1)
    with torch.no_grad():
        found = preferring._margin(model, pairs)
        hand = [float(by_hand(model, p, c) - by_hand(model, p, r)) for p, c, r in pairs]
    assert found.tolist() == pytest.approx(hand, abs=1e-3)
    assert preferring._scores(model, pairs) == pytest.approx(hand, abs=1e-3)


def first_loss(model: Any, reference: Any, pairs: list[Pair]) -> torch.Tensor:
    """As `prefer` puts it together."""
    margin = preferring._margin(model, pairs) - torch.tensor(preferring._scores(reference, pairs))
    return -F.logsigmoid(BETA * margin).mean()


def test_the_loss_is_that_of_the_paper() -> None:
    reference, pairs = made(), some_pairs(2)
    model = made()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(
                0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
        assert float(first_loss(reference, reference, pairs)) == pytest.approx(math.log(2), abs=1e-4)
        found = float(first_loss(model, reference, pairs))
        ratios = [tuple(float(by_hand(m, p, c) - by_hand(m, p, r)) for m in (model, reference)) for p, c, r in pairs]
    hand = sum(math.log1p(math.exp(-BETA * (new - old))) for new, old in ratios) / len(ratios)
    assert abs(found - math.log(2)) > 1e-3
    assert found == pytest.approx(hand, abs=1e-4)


def test_preferring_raises_the_chosen_above_the_rejected_and_leaves_the_reference_alone() -> None:
    model, pairs = made(), some_pairs(3)
    before = preferring._scores(model, pairs)
    course = Course(steps=12, learning_rate=2e-3, seed=1, rows=2, length=24, warm_up=1)
    steps: list[int] = []
    won = prefer(model, pairs, ordinary(1), course, steps.append)
    after = preferring._scores(model, pairs)
    assert all(new > old for new, old in zip(after, before, strict=True))
    assert steps == list(range(12))
    assert 0.5 < won <= 1
    assert not model.training


def naive_loss(model: Any, samples: list[Sample], count: int, length: int) -> float:
    """Each row alone in its own pass, no packing, no mask, no padding."""
    line, at, whole, weight = 0, 0, 0.0, 0.0
    for sample in samples:
        size = min(len(sample.ids), length)
        if at + size > length:
            line, at = line + 1, 0
        if line == count:
            break
        at += size
        ids = torch.tensor([list(sample.ids[:size])])
        logprobs = model(input_ids=ids).logits[0].log_softmax(-1)
        for place in range(1, size):
            whole -= float(logprobs[place - 1, sample.ids[place]]) * sample.weights[place]
            weight += sample.weights[place]
    return whole / max(1.0, weight)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_packing_changes_nothing_about_the_loss(seed: int) -> None:
    model, rows = made(), ordinary(seed)
    samples = [next(rows) for _ in range(60)]
    long = Sample(ids=list(range(20, 60)), weights=[1.0] * 40)  # longer than a line
    samples = [samples[0], long, *samples[1:]]
    with torch.no_grad():
        packed: Batch = pack(iter(samples), 4, 24)
        assert float(loss(model, packed)) == pytest.approx(naive_loss(model, samples, 4, 24), abs=1e-4)
