"""The training loop of the closed world's small models: packed rows, weighted tokens, soft targets where there are any.

Knows token ids and weights; knows no world and no text. A token of weight 0 is context: it adds nothing to the loss,
so its gradient is exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

Alternatives: TypeAlias = tuple[tuple[int, float], ...]
"""(token id, log-probability) pairs of a teacher, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One row before packing: ids, the weight of each in the loss, and a teacher's alternatives by place."""

    ids: Sequence[int]
    weights: Sequence[float]
    top: Mapping[int, Alternatives] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Packed rows, each tensor of shape (rows, length); a document begins where `positions` is 0.

    `soft` is (row, column, alternatives) of each token that has a teacher.
    """

    ids: Tensor
    weights: Tensor
    positions: Tensor
    soft: tuple[tuple[int, int, Alternatives], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How to train: `rows` packed rows of `length` tokens a step; `constant`: the rate does not fall;
    `half`: bfloat16 where the processor computes in it."""

    steps: int
    learning_rate: float
    seed: int
    rows: int = 24
    length: int = 128
    warm_up: int = 30
    constant: bool = False
    half: bool = True


def pack(samples: Iterator[Sample], count: int, length: int) -> Batch:
    """Fills `count` lines of `length` tokens with whole rows; a row longer than a line is cut."""
    ids = torch.zeros(count, length, dtype=torch.long)
    weights = torch.zeros(count, length)
    positions = torch.arange(length).repeat(count, 1)
    soft: list[tuple[int, int, Alternatives]] = []
    line, at = 0, 0
    for sample in samples:
        size = min(len(sample.ids), length)
        if at + size > length:
            positions[line, at:] -= at  # the padding left at the end counts as a document of its own
            line, at = line + 1, 0
        if line == count:
            break
        ids[line, at : at + size] = torch.tensor(sample.ids[:size])
        weights[line, at : at + size] = torch.tensor(sample.weights[:size])
        positions[line, at : at + size] = torch.arange(size)
        soft += [(line, at + place, top) for place, top in sample.top.items() if place < size]
        at += size
    return Batch(ids=ids, weights=weights, positions=positions, soft=tuple(soft))


def logits_of(model: Any, batch: Batch) -> Tensor:
    """(rows, length, vocabulary); attention stays inside a document."""
    document = (batch.positions == 0).cumsum(1)
    size = batch.ids.shape[1]
    visible = (document[:, :, None] == document[:, None, :]) & torch.ones(size, size, dtype=torch.bool).tril()
    # Eager attention *adds* the mask: a boolean one would silently lift causality.
    mask = torch.where(visible[:, None], 0.0, -1e9)
    out: Tensor = model(input_ids=batch.ids, attention_mask=mask, position_ids=batch.positions, use_cache=False).logits
    return out


def loss(model: Any, batch: Batch) -> Tensor:
    """Mean loss of the learnt tokens: cross-entropy, or the divergence from a teacher's distribution where there is
    one."""
    logits = logits_of(model, batch)
    weights = batch.weights[:, 1:] * (batch.positions[:, 1:] != 0)
    each = F.cross_entropy(logits[:, :-1].flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none").view_as(weights)
    if batch.soft:
        each = _softened(each, logits, batch)
    return (each * weights).sum() / weights.sum().clamp(min=1)


def _softened(each: Tensor, logits: Tensor, batch: Batch) -> Tensor:
    from guard.train.distill_loss import divergence

    rows, columns, tops = zip(*batch.soft, strict=True)
    places = torch.tensor(rows), torch.tensor(columns) - 1
    width = max(map(len, tops))
    ids = torch.tensor([[t for t, _ in top] + [0] * (width - len(top)) for top in tops])
    teacher = torch.tensor([[p for _, p in top] + [-math.inf] * (width - len(top)) for top in tops])
    each = each.clone()
    each[places] = divergence(logits[places], ids, teacher)
    return each


def train(
    model: Any,
    samples: Iterator[Sample],
    course: Course,
    *,
    step: Callable[[int], None] | None = None,
    look: Callable[[int, Any], None] | None = None,
    looks: Collection[int] = (),
) -> float:
    """Trains in place and returns the mean loss of the last twenty steps.

    `step` is told each step's number; `look` is shown the model (in eval mode) before the steps in `looks`, and at the
    end where the number of steps is among them.
    """
    torch.manual_seed(course.seed)
    optimizer = torch.optim.AdamW(model.parameters(), course.learning_rate, (0.9, 0.98), weight_decay=0.01, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda number: rate(number, course))
    losses = []
    for number in range(course.steps):
        if look and number in looks:
            model.eval()
            look(number, model)
        model.train()
        batch = pack(samples, course.rows, course.length)
        with half_where_it_pays(course.half):
            step_loss = loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(step_loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(step_loss.item())
        if step:
            step(number)
    model.eval()
    if look and course.steps in looks:
        look(course.steps, model)
    return sum(losses[-20:]) / max(1, len(losses[-20:]))


def rate(number: int, course: Course) -> float:
    """The factor on the learning rate: linear warm-up, then cosine down to a twentieth."""
    warm = min(1.0, (number + 1) / course.warm_up)
    if course.constant:
        return warm
    return warm * max(0.05, 0.5 * (1 + math.cos(math.pi * number / course.steps)))


def half_where_it_pays(wanted: bool = True) -> Any:
    """bfloat16 autocast on processors that compute in it; elsewhere it is emulated, and slower than without."""
    supported: bool = torch.cpu._is_avx512_bf16_supported()
    return torch.autocast("cpu", torch.bfloat16, enabled=wanted and supported)
