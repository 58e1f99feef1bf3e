"""How a model goes on behind a right and behind a wrong premise: the share of "No", and how well it tells them apart.

    guard train probe-no MODEL --rows FILE [--system FILE] [--baseline REPORT --max-drop 0.05]

The regression probe of self-correction, to be run after every later fine-tune: on the closed world, ten to twenty steps
of ordinary training took P("No") behind a wrong premise from .83 to .03, while the AUC, that is what the model knows,
only fell from .98 to .89. One forward pass a row, nothing is sampled.

P("No") is the model's probability, at temperature 1, of every token that begins the word there: the word alone or
behind white space (`No`, ` No`, a line break and `No`), and tokens in which something that is no letter or digit
follows it (`No,`). ` Nor`, `Nobody` and a bare ` N` are not counted. A word that no token of the vocabulary begins so
cannot be probed: take another with `word`.

Knows models and tokenizers. Does not know where rows come from (`probe_no_rows`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import ConfigError
from guard.train.probe_fit import auroc
from guard.train.probe_no_rows import Probe

FIGURES = ("p_wrong", "p_right", "auc")
DRAWS = 1000
_COVERED = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Mean P(word) behind wrong and right premises and the AUC of telling them apart; NaN where a kind is missing.

    `values`: P(word) of each row, in their order.
    """

    p_wrong: float
    p_right: float
    auc: float
    n_wrong: int
    n_right: int
    values: tuple[float, ...]


def measure(model: Any, tokenizer: Any, rows: Sequence[Probe], *, word: str = "No", batch: int = 32) -> Figures:
    """P(word) behind each row's text, one forward pass each.

    `model` is a transformers model in eval mode, `tokenizer` a fast one; `batch` texts are read at a time.

    Raises:
        ConfigError: no token begins the word, a text is empty or too long, or the logits are not numbers.
    """
    vocabulary = _vocabulary(tokenizer)
    tokens = torch.tensor(beginnings(tokenizer, word), device=model.device)
    ids = [_ids(vocabulary, row, number, model) for number, row in enumerate(rows, 1)]
    values = [0.0] * len(rows)
    for part in _parts(ids, batch):
        for number, chances in zip(part, _next(model, [ids[number] for number in part]), strict=True):
            values[number] = float(chances[tokens].sum())
    if not all(map(math.isfinite, values)):
        raise ConfigError("the model's logits are not numbers: a training broke it, or --dtype float32 is needed")
    wrong = [row.wrong for row in rows]
    found = dict(zip(FIGURES, _figures(np.array(values), np.array(wrong, dtype=bool)), strict=True))
    return Figures(**found, n_wrong=sum(wrong), n_right=len(rows) - sum(wrong), values=tuple(values))


@lru_cache(maxsize=4)  # of a large vocabulary it takes seconds, and who follows a training asks again and again
def _vocabulary(tokenizer: Any) -> Vocabulary:
    return Vocabulary(tokenizer)


@lru_cache(maxsize=8)
def beginnings(tokenizer: Any, word: str) -> tuple[int, ...]:
    """The tokens that begin `word` (see the top). Raises ConfigError where there is none."""
    vocabulary = _vocabulary(tokenizer)
    found = tuple(id for id in range(len(tokenizer)) if _begins(vocabulary.text(id).lstrip(), word))
    if not word or not found:
        pieces = ", ".join(repr(vocabulary.text(id)) for id in vocabulary.plain(f" {word}"))
        raise ConfigError(f"--word {word!r}: no token of this tokenizer begins it (it writes {pieces}); take another")
    return found


def _begins(text: str, word: str) -> bool:
    return text.startswith(word) and not text[len(word) : len(word) + 1].isalnum()


def _ids(vocabulary: Vocabulary, row: Probe, number: int, model: Any) -> list[int]:
    ids = vocabulary.encode(row.prompt)
    most = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if not ids or (most is not None and len(ids) > most):
        raise ConfigError(f"row {number} has {len(ids)} tokens and the model reads 1 to {most}: leave it out")
    if max(ids) >= (known := model.get_input_embeddings().num_embeddings):
        raise ConfigError(f"row {number} has token {max(ids)} and the model knows {known}: not its tokenizer")
    return ids


def _parts(ids: Sequence[Sequence[int]], batch: int) -> Iterator[list[int]]:
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    yield from (order[start : start + batch] for start in range(0, len(order), batch))


def _next(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """[rows, vocabulary]: the distribution behind each row's end. Padded on the right, which a causal model, that never
    looks there, does not notice; only the ends' logits are computed where the model can do so."""
    longest = max(map(len, rows))
    fed = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=model.device)
    real = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=model.device)
    last = torch.tensor([len(row) - 1 for row in rows], device=model.device)
    ends, place = torch.unique(last, return_inverse=True)
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    with torch.inference_mode():
        how = {"logits_to_keep": ends} if keeps else {}
        logits = model(input_ids=fed, attention_mask=real, use_cache=False, **how).logits
    at = place if keeps else last
    return torch.softmax(logits[torch.arange(len(rows), device=model.device), at].float(), -1)


# Figures and reports


def _figures(values: NDArray[np.float64], wrong: NDArray[np.bool_]) -> tuple[float, float, float]:
    means = [float(part.mean()) if len(part) else math.nan for part in (values[wrong], values[~wrong])]
    return means[0], means[1], auroc(values, wrong)


def intervals(rows: Sequence[Probe], *values: Sequence[float]) -> Iterator[Mapping[str, tuple[float, float] | None]]:
    """By figure, what 95 % of bootstrap draws of whole subjects lie between, for each of `values`.

    Last, where there are two, for the second's difference from the first in the same draws. None with fewer than two
    subjects, or where no draw has the figure.
    """
    wrong = np.array([row.wrong for row in rows], dtype=bool)
    named: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        named.setdefault(row.subject, []).append(number)
    subjects, rng = list(named.values()), np.random.default_rng(0)
    draws: list[list[tuple[float, float, float]]] = []
    for _ in range(DRAWS if len(subjects) > 1 else 0):
        drawn = np.concatenate([subjects[at] for at in rng.integers(0, len(subjects), len(subjects))])
        draws.append([_figures(np.asarray(each)[drawn], wrong[drawn]) for each in values])
    table = np.array(draws, dtype=np.float64).reshape(len(draws), len(values), len(FIGURES))
    columns = [table[:, number] for number in range(len(values))]
    if len(values) == 2:
        columns.append(table[:, 1] - table[:, 0])
    yield from (dict(zip(FIGURES, map(_interval, column.T), strict=True)) for column in columns)


def _interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    some = values[np.isfinite(values)]
    if not len(some):
        return None
    low, high = np.percentile(some, _COVERED)
    return float(low), float(high)


def examine(
    model: Any, tokenizer: Any, rows: Sequence[Probe], system: Sequence[Probe] | None, *, word: str, batch: int = 32
) -> dict[str, Any]:
    """The report: `plain`, and with the rows under a system prompt `system` and `difference`. Raises ConfigError."""
    sides = [measure(model, tokenizer, side, word=word, batch=batch) for side in (rows, system) if side is not None]
    spread = list(intervals(rows, *(side.values for side in sides)))
    vocabulary = _vocabulary(tokenizer)
    report: dict[str, Any] = {
        "word": word,
        "tokens": [vocabulary.text(id) for id in beginnings(tokenizer, word)],
        "rows": len(rows),
        "subjects": len({row.subject for row in rows}),
        "rows_hash": _hash(rows),
        "plain": _side(sides[0], spread[0]),
    }
    if len(sides) == 2:
        report["system"] = _side(sides[1], spread[1])
        moved = {name: getattr(sides[1], name) - getattr(sides[0], name) for name in FIGURES}
        report["difference"] = {name: _told(moved[name], spread[2][name]) for name in FIGURES}
    return report


def _side(figures: Figures, spread: Mapping[str, tuple[float, float] | None]) -> dict[str, Any]:
    told = {name: _told(getattr(figures, name), spread[name]) for name in FIGURES}
    return {**told, "n_wrong": figures.n_wrong, "n_right": figures.n_right}


def _told(value: float, interval: tuple[float, float] | None) -> dict[str, Any]:
    return {"value": value if math.isfinite(value) else None, "interval": interval}


def _hash(rows: Sequence[Probe]) -> str:
    told = json.dumps([[row.prompt, row.wrong, row.subject] for row in rows])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def fallen(report: Mapping[str, Any], baseline: Mapping[str, Any], most: float) -> list[str]:
    """What fell by more than `most` since the baseline, a line each: P(word) behind wrong premises, and the AUC.

    Raises:
        ConfigError: the baseline is no such report, or was measured on other rows or with another word.
    """
    for name in ("rows_hash", "word"):
        if baseline.get(name) != report[name]:
            raise ConfigError(
                f"--baseline: its {name} is {baseline.get(name)!r}, here it is {report[name]!r}; measure both on the "
                "same rows with the same word"
            )
    was, now = (_value(side) for side in (baseline, report))
    return [
        f"{name} fell from {was(name):.3g} to {now(name):.3g}, by more than {most:g}"
        for name in ("p_wrong", "auc")
        if not now(name) >= was(name) - most
    ]


def _value(report: Mapping[str, Any]) -> Callable[[str], float]:
    def of(name: str) -> float:
        try:
            return float(report["plain"][name]["value"])
        except (KeyError, TypeError):
            raise ConfigError(f"a report without {name}: rows of both kinds, right and wrong, are needed") from None

    return of
