"""A logistic head over hidden states: fitted, cross-validated, calibrated.

Knows tensors and labels. Does not know models, texts or files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

PENALTY = 1e-3
"""Half of this times the squared weights is added to the mean loss; states are standardised."""
STEPS = 100
PART = 65_536
"""Tokens that are standardised at once: all of a large model's would be twice in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """z = weights · (state - mean) / scale + bias; all but `bias` are [width], float32."""

    weights: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    bias: float

    def __call__(self, states: torch.Tensor) -> NDArray[np.float64]:
        """z of states [tokens, width]."""
        parts = [((part.float() - self.mean) / self.scale) @ self.weights for part in torch.split(states, PART)]
        return (torch.cat(parts) + self.bias).double().numpy()


def fit(states: torch.Tensor, labels: torch.Tensor, penalty: float = PENALTY) -> Logistic:
    """The logistic regression of `labels` [tokens] (bool) on `states` [tokens, width], by L-BFGS."""
    mean, scale = moments(states)
    found = torch.zeros(states.shape[1] + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS([found], max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-6)
    parts = list(zip(torch.split(states, PART), torch.split(labels.float(), PART), strict=True))

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        total = torch.zeros(())
        for part, wanted in parts:
            z = ((part.float() - mean) / scale) @ found[:-1] + found[-1]
            own = torch.nn.functional.binary_cross_entropy_with_logits(z, wanted, reduction="sum") / len(labels)
            torch.autograd.backward(own)
            total += own.detach()
        ridge = penalty / 2 * found[:-1].square().sum()
        torch.autograd.backward(ridge)
        return total + ridge.detach()

    step: Callable[[Callable[[], Any]], Any] = optimiser.step
    step(loss)
    weights = found.detach()
    return Logistic(weights=weights[:-1].clone(), mean=mean, scale=scale, bias=float(weights[-1]))


def moments(states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each column, float32; a column that never changes has 1."""
    total = sum(part.double().sum(0) for part in torch.split(states, PART))
    mean = torch.as_tensor(total) / len(states)
    squares = sum((part.double() - mean).square().sum(0) for part in torch.split(states, PART))
    scale = (torch.as_tensor(squares) / len(states)).sqrt()
    return mean.float(), torch.where(scale > 1e-6, scale, 1.0).float()


def held_out(
    states: torch.Tensor, labels: torch.Tensor, folds: torch.Tensor, told: Callable[[], None]
) -> NDArray[np.float64]:
    """z of every token from a fit that saw nothing of its fold; `folds` [tokens]. `told` hears of each fold's end."""
    found = np.zeros(len(labels))
    for fold in sorted(set(folds.tolist())):
        inside = folds == fold
        found[inside.numpy()] = fit(states[~inside], labels[~inside])(states[inside])
        told()
    return found


def calibrate(scores: NDArray[np.float64], labels: torch.Tensor) -> tuple[float, float]:
    """Slope and offset that make held-out scores probabilities (Platt)."""
    line = fit(torch.from_numpy(scores)[:, None], labels, penalty=0.0)
    slope = float(line.weights[0] / line.scale[0])
    return slope, line.bias - slope * float(line.mean[0])


def auroc(scores: Sequence[float] | NDArray[np.float64], labels: Sequence[bool] | NDArray[np.bool_]) -> float:
    """The chance that a made-up one scores above another, ties counting half; NaN where there is only one kind."""
    values, wanted = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    positive, negative = int(wanted.sum()), int((~wanted).sum())
    if not positive or not negative:
        return float("nan")
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[wanted].sum() - positive * (positive + 1) / 2) / (positive * negative))
