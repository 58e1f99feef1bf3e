"""DPO on the exported preference rows, with the packed rows of the other arms mixed in.

The loss of Rafailov et al. 2023 (arXiv 2305.18290): -log sigmoid(beta * ((log p(chosen) - log r(chosen)) - (log
p(rejected) - log r(rejected)))), p the model and r the model it began as. Plain DPO lets both log-probabilities fall;
half of each step is ordinary training, as in the other arms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from guard.world.experiment.sampling import Ids, log_probability
from guard.world.learning import Course, Sample, half_where_it_pays, loss, pack, rate

BETA = 0.1
PAIRS = 24
"""Pairs a step."""

Pair = tuple[Ids, Ids, Ids]
"""Prompt, chosen, rejected."""


def prefer(
    model: Any, pairs: Sequence[Pair], replay: Iterator[Sample], course: Course, step: Callable[[int], None]
) -> float:
    """Trains in place; returns how often, in the last twenty steps, chosen had gained more than rejected."""
    reference = _scores(model, pairs)
    optimizer = torch.optim.AdamW(model.parameters(), course.learning_rate, (0.9, 0.98), weight_decay=0.01, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda number: rate(number, course))
    rng, won = Random(course.seed), []
    model.train()
    for number in range(course.steps):
        drawn = [rng.randrange(len(pairs)) for _ in range(PAIRS)]
        with half_where_it_pays():
            margin = _margin(model, [pairs[i] for i in drawn]) - torch.tensor([reference[i] for i in drawn])
            ordinary = loss(model, pack(replay, course.rows // 2, course.length))
            step_loss = -F.logsigmoid(BETA * margin).mean() + ordinary
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(step_loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        won.append(float((margin > 0).float().mean()))
        step(number)
    model.eval()
    return sum(won[-20:]) / len(won[-20:])


def _scores(model: Any, pairs: Sequence[Pair]) -> list[float]:
    chosen = log_probability(model, [(prompt, text) for prompt, text, _ in pairs])
    rejected = log_probability(model, [(prompt, text) for prompt, _, text in pairs])
    return [a - b for a, b in zip(chosen, rejected, strict=True)]


def _margin(model: Any, pairs: Sequence[Pair]) -> Tensor:
    """(pairs): log p(chosen) - log p(rejected)."""
    rows = [(prompt, text) for prompt, chosen, rejected in pairs for text in (chosen, rejected)]
    width = max(len(prompt) + len(text) for prompt, text in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    learnt = torch.zeros(len(rows), width)
    for row, (prompt, text) in enumerate(rows):
        size = len(prompt) + len(text)
        ids[row, :size] = torch.tensor([*prompt, *text])
        learnt[row, len(prompt) : size] = 1.0
    visible = (torch.arange(width)[None] < learnt.new_tensor([len(p) + len(t) for p, t in rows])[:, None]).long()
    logits = model(input_ids=ids, attention_mask=visible, use_cache=False).logits[:, :-1].float()
    each = -F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(rows), -1)
    whole = (each * learnt[:, 1:]).sum(1).view(-1, 2)
    return whole[:, 0] - whole[:, 1]
