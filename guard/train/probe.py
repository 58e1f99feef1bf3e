"""Trains a probe: a linear head that tells from a policy model's hidden states where it is making something up.

    guard train probe --model DIR|NAME --spans FILE... --out FILE.safetensors [--layer N] [--folds 5]

One pass over each labelled answer gives the states that its tokens were predicted from (`probe_states`); a logistic
head with an L2 penalty is fitted on them (`probe_fit`), cross-validated so that no source is on both sides, and written
with its calibration for the `transformers` backend (`probe:` in the model's entry) and the check `probe`. Answers need
not be the model's own: reading what another wrote serves too, less well (Obeso et al. 2025, arXiv 2509.03531).

What is printed: AUROC, on sources that the head has not seen, of tokens and of statements (the segments that the check
sees, scored as it scores them), and beside it that of length and of place in the answer alone. What a probe knows
beyond those is its AUROC against statements of the same place; near 0.5, it has learned where answers go wrong, not
when.

The built-in model is no showcase. Three layers that learned some hundred people by heart have no direction for "I do
not know": on 600 of its answers (`python -m guard.world.answers`), layer 2 of 3, tokens have 0.975 and statements
0.860, but place alone has 0.886, and against statements of the same place 0.558 is left (layers 1 and 3: 0.585 and
0.573). The check `uncertainty` has 0.91 there. Use probes on models large enough to be worth it, and look at that line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from guard.backends.transformers.head import Fitted, write
from guard.backends.transformers.model import LocalModel, load
from guard.errors import ConfigError
from guard.train.probe_fit import calibrate, fit, held_out
from guard.train.probe_rows import read_rows
from guard.train.probe_score import Figures, figures
from guard.train.probe_states import Answer, Spelling, read_states


class Bar(Protocol):
    """A progress bar: entered, it gives a function that is told how much more of `total` is done."""

    def __call__(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A bar of that name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to train: `model` is a folder or a hub name; `layer` None takes the one at three quarters of the depth."""

    model: str
    spans: Sequence[Path]
    out: Path
    layer: int | None = None
    folds: int = 5
    dtype: str = "auto"
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was learned from, and how good the head is on sources that it has not seen.

    `skipped`: rows that are empty or longer than the model's context. `made_up`: tokens in spans.
    """

    layer: int
    answers: int
    skipped: int
    sources: int
    tokens: int
    made_up: int
    figures: Figures


def train(wanted: Wanted, bar: Bar) -> Report:
    """Train, write the file, and say how good it is.

    Raises:
        ConfigError: files or model cannot be used, or nothing can be learned from these rows.
    """
    if not wanted.out.parent.is_dir():
        raise ConfigError(f"--out {str(wanted.out)!r}: there is no folder {str(wanted.out.parent)!r}")
    rows = read_rows(wanted.spans)
    model, tokenizer = load(wanted.model, tokenizer=None, dtype=wanted.dtype, device=wanted.device, hidden=False)
    layer = _layer(wanted.layer, model)
    spelling = Spelling(tokenizer, model.positions)
    texts = [text for row in rows if (text := spelling.text(row)) is not None]
    with bar("reading answers", len(texts)) as step:
        answers = read_states(model, texts, layer, step)
    fitted, report = learn(answers, layer, wanted.folds, len(rows) - len(answers), bar)
    about = {name: f"{value:.4g}" for name, value in asdict(report.figures).items()}
    write(wanted.out, replace(fitted, about={"trained on": wanted.model, **about}), model)
    return report


def learn(answers: Sequence[Answer], layer: int, folds: int, skipped: int, bar: Bar) -> tuple[Fitted, Report]:
    """The head of all answers, and its figures on held-out sources. Raises ConfigError where there is nothing in it."""
    if not answers:
        raise ConfigError("every row is empty or longer than the model's context")
    states = torch.cat([answer.states for answer in answers])
    labels = torch.tensor([label for answer in answers for label in answer.labels])
    inside = torch.tensor([answer.row.fold(folds) for answer in answers for _ in answer.places])
    _learnable(answers, labels, inside)
    with bar("fitting", len(set(inside.tolist())) + 1) as step:
        scores = held_out(states, labels, inside, lambda: step(1))
        slope, offset = calibrate(scores, labels)
        head = fit(states, labels)
        step(1)
    if slope <= 0:
        raise ConfigError("on sources that it has not seen this probe is no better than chance: nothing was written")
    report = Report(
        layer=layer,
        answers=len(answers),
        skipped=skipped,
        sources=len({answer.row.source for answer in answers}),
        tokens=len(labels),
        made_up=int(labels.sum()),
        figures=figures(answers, 1 / (1 + np.exp(-(slope * scores + offset)))),
    )
    fitted = Fitted(
        layer=layer,
        weights=head.weights,
        mean=head.mean,
        scale=head.scale,
        bias=head.bias,
        calibration=(slope, offset),
        about={},
    )
    return fitted, report


def _layer(asked: int | None, model: LocalModel) -> int:
    if asked is None:
        return max(1, round(model.depth * 0.75))
    if not 0 <= asked <= model.depth:
        raise ConfigError(f"--layer {asked!r}: this model has 0 (the embedding) to {model.depth}")
    return asked


def _learnable(answers: Sequence[Answer], labels: torch.Tensor, inside: torch.Tensor) -> None:
    sources = {answer.row.source for answer in answers}
    folds = sorted(set(inside.tolist()))
    if len(folds) < 2:
        raise ConfigError(f"sources: {len(sources)}; too few to try a probe on ones that it has not seen, add rows")
    for fold in folds:
        rest = labels[inside != fold]
        if not bool(rest.any()) or bool(rest.all()):
            raise ConfigError(
                "without one of the folds all text is of one kind, made up or not: add rows, or --folds 2"
            )
