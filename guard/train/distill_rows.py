"""Rows with stored distributions, read and checked, and batches of them.

A token row (`token_rows`) with `top_ids` and `top_logprobs` beside `input_ids`: for each target the stored outcomes and
their natural log-probabilities, an empty list for context. Knows nothing of models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from guard.errors import ConfigError
from guard.train.token_rows import IGNORED, TokenRow, integers, lines, token_row

SLACK = 0.01
"""How much more than 1 stored probabilities may add up to: they are rounded, by some servers to two digits."""

LEAST = -1e6
"""The smallest stored log-probability; some servers say -9999 for none at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A token row and, for each of its targets in order, the stored outcomes: ids and log-probabilities."""

    row: TokenRow
    ids: tuple[tuple[int, ...], ...]
    log_probs: tuple[tuple[float, ...], ...]


def read_lessons(files: Sequence[Path], tokenizer: Any, most: int | None) -> tuple[list[Lesson], int]:
    """The rows of at most `most` tokens, and how many were longer. Raises ConfigError: a bad row, or none is left."""
    found = [_lesson(told, where, tokenizer) for where, told in lines(files)]
    if not found:
        raise ConfigError(f"{', '.join(map(str, files))!r}: there are no rows")
    fit = [lesson for lesson in found if most is None or len(lesson.row.ids) <= most]
    if not fit:
        raise ConfigError(f"{', '.join(map(str, files))!r}: none of {len(found)} rows has at most {most} tokens")
    return fit, len(found) - len(fit)


def one_hot(lesson: Lesson) -> Lesson:
    """The same row with nothing stored but its own tokens."""
    own = tuple((label,) for label in lesson.row.labels if label != IGNORED)
    return replace(lesson, ids=own, log_probs=((0.0,),) * len(own))


def stored_mass(lessons: Sequence[Lesson]) -> float:
    """The mean probability of what is stored for a target."""
    each = [math.fsum(map(math.exp, told)) for lesson in lessons for told in lesson.log_probs]
    return math.fsum(each) / len(each)


def columns(lesson: Lesson) -> dict[str, Any]:
    """The row for a data set."""
    return {
        "input_ids": lesson.row.ids,
        "labels": lesson.row.labels,
        "top_ids": lesson.ids,
        "top_logprobs": lesson.log_probs,
    }


def collated(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch: ids, labels and mask [rows, longest]; outcomes [targets, most of one target] in the order of the
    targets, filled up with log-probability -inf."""
    return {
        "input_ids": _padded([row["input_ids"] for row in rows], 0),
        "labels": _padded([row["labels"] for row in rows], IGNORED),
        "attention_mask": _padded([[1] * len(row["input_ids"]) for row in rows], 0),
        "top_ids": _padded([ids for row in rows for ids in row["top_ids"]], 0),
        "top_logprobs": _padded([told for row in rows for told in row["top_logprobs"]], -math.inf),
    }


def _padded(rows: Sequence[Sequence[float]], filler: float) -> torch.Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=filler)


def _lesson(told: Mapping[str, Any], where: str, tokenizer: Any) -> Lesson:
    if "input_ids" not in told:
        raise ConfigError(f"{where} has no `input_ids`: export the rows with --tokenizer")
    row = token_row(told, where, tokenizer, context=True)
    ids, log_probs = (_aligned(told, name, row, where) for name in ("top_ids", "top_logprobs"))
    outcomes = tuple(integers(each, "top_ids", where) for each in ids)
    numbers = tuple(_numbers(each, where) for each in log_probs)
    for some, their in zip(outcomes, numbers, strict=True):
        if not some or len(some) != len(set(some)) or len(some) != len(their):
            raise ConfigError(f"{where}: a target needs distinct `top_ids` and as many `top_logprobs`")
        if min(some) < 0 or max(some) >= len(tokenizer):
            raise ConfigError(f"{where} was made with another tokenizer: export again with this model's as --tokenizer")
        if math.fsum(map(math.exp, their)) > 1 + SLACK:
            raise ConfigError(f"{where}: `top_logprobs` of a target add up to more than 1: natural logarithms?")
    return Lesson(row=row, ids=outcomes, log_probs=numbers)


def _aligned(told: Mapping[str, Any], name: str, row: TokenRow, where: str) -> list[Any]:
    """What a field says of each target."""
    value = told.get(name)
    if not isinstance(value, list) or len(value) != len(row.ids):
        raise ConfigError(f"{where}: `{name}` must be a list as long as `input_ids`")
    return [each for each, label in zip(value, row.labels, strict=True) if label != IGNORED]


def _numbers(value: Any, where: str) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(type(item) in (int, float) and LEAST <= item <= SLACK for item in value):
        raise ConfigError(f"{where}: `top_logprobs` of a target is no list of numbers up to 0, all finite")
    return tuple(float(item) for item in value)
