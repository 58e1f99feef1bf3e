"""How good a probe is on answers that it has not seen, and what mere length and place amount to beside it.

Where a text goes wrong is often told by where one is in it: the first statement about a stranger, the last of a long
list. A head learns that as well as anything else, so its AUROC says little by itself. `in_place` is what is left of it:
statements are compared with those of the same place in their answers alone.

Knows scores, labels and how guard cuts a text into statements. Does not know models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.checks.probe import Probe, highest
from guard.core.segmenter import Segmenter
from guard.train.probe_fit import auroc
from guard.train.probe_states import Answer

SMOOTH = Probe.Params().smooth
"""The check's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """AUROC throughout; NaN where all are of one kind.

    Attributes:
        tokens, statements: of the probe. A statement is a segment that the check sees, scored as it scores it, and made
            up if any of its characters is.
        in_place: of the probe, over pairs of statements with the same number in their answers.
        length, place: of statements, by their tokens and by their number in the answer, whichever way round is better.
        token_place: of tokens, by their number in the answer, likewise.
    """

    tokens: float
    statements: float
    in_place: float
    length: float
    place: float
    token_place: float


@dataclass(frozen=True, slots=True)
class Statement:
    """Tokens `first` to `last` (exclusive) of an answer, the statement's number in it, and its label."""

    first: int
    last: int
    number: int
    made_up: bool


def figures(answers: Sequence[Answer], probabilities: NDArray[np.float64]) -> Figures:
    """The figures of `probabilities` [tokens of all answers, in order]."""
    labels, at, scored = [], 0, []
    places: list[int] = []
    for answer in answers:
        own = probabilities[at : at + len(answer.places)].tolist()
        at += len(own)
        labels += answer.labels
        places += range(len(own))
        scored += [(highest(own[s.first : s.last], SMOOTH)[0], s) for s in statements(answer)]
    truth = [statement.made_up for _, statement in scored]
    return Figures(
        tokens=auroc(probabilities, labels),
        statements=auroc([score for score, _ in scored], truth),
        in_place=_in_place(scored),
        length=_either_way(auroc([statement.last - statement.first for _, statement in scored], truth)),
        place=_either_way(auroc([statement.number for _, statement in scored], truth)),
        token_place=_either_way(auroc(places, labels)),
    )


def _either_way(value: float) -> float:
    return max(value, 1 - value)


def _in_place(scored: Sequence[tuple[float, Statement]]) -> float:
    """AUROC over pairs of the same number: that of each number, by how many such pairs it has."""
    total = pairs = 0.0
    for number in {statement.number for _, statement in scored}:
        own = [(score, statement.made_up) for score, statement in scored if statement.number == number]
        bad = sum(made_up for _, made_up in own)
        weight = bad * (len(own) - bad)
        if weight:
            total += weight * auroc([score for score, _ in own], [made_up for _, made_up in own])
            pairs += weight
    return total / pairs if pairs else math.nan


def statements(answer: Answer) -> Iterator[Statement]:
    """The segments of an answer that have tokens of their own."""
    start = number = 0
    for end in _ends(answer.row.text):
        inside = [i for i, (left, _) in enumerate(answer.places) if start <= left < end]
        if inside:
            yield Statement(inside[0], inside[-1] + 1, number, answer.row.made_up(start, end))
            number += 1
        start = end


def _ends(text: str) -> list[int]:
    segmenter = Segmenter()
    ends = segmenter.feed(text)
    last = segmenter.flush()
    return ends if last is None else [*ends, last]
