"""How probable a model finds the tokens of given rows: one forward pass, nothing sampled.

Knows a transformers causal language model's calling convention; does not know what a row is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from guard.errors import ConfigError

AT_ONCE = 1024
"""Tokens of a batch, padding included; one row alone may be longer. With a large vocabulary, logits are big."""


def log_probs(model: Any, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """By row, on the CPU: [tokens] natural log-probability of each token after those before it; 0 for the first.

    The model is left in the mode (train, eval) it was in.

    Raises:
        ConfigError: one of them is not a number: the model was trained to death, or overflows in its precision.
    """
    found: dict[int, torch.Tensor] = {}
    training = model.training
    model.eval()
    with torch.no_grad():
        for batch in _batches(rows):
            found |= zip(batch, _scores(model, [rows[number] for number in batch]), strict=True)
    model.train(training)
    if not all(bool(each.isfinite().all()) for each in found.values()):
        raise ConfigError("the model's log-probabilities are not numbers: lower --learning-rate, or another --dtype")
    return [found[number] for number in range(len(rows))]


def _scores(model: Any, rows: Sequence[Sequence[int]]) -> Iterator[torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=model.device)
    real = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=model.device)
    logits = model(input_ids=ids, attention_mask=real, use_cache=False).logits
    for row, told, line in zip(rows, logits, ids, strict=True):
        each = -cross_entropy(told[: len(row) - 1].float(), line[1 : len(row)], reduction="none")
        yield torch.cat([torch.zeros(1), each.cpu()])


def _batches(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Numbers of rows of alike length."""
    batch: list[int] = []
    for number in sorted(range(len(rows)), key=lambda number: len(rows[number])):
        if batch and (len(batch) + 1) * len(rows[number]) > AT_ONCE:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
