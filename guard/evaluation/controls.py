"""What must not look like a check: answers that need no understanding, measured as the check is.

    length         a segment's score is the length of its text: long answers are flagged
    position       a segment's score is its number: late segments are flagged
    shuffled       the check itself, with the context (question, other sample) of another source of about that length
    same_length    the check itself, the clean rows weighted to be as long as the wrong ones

`length` and `position` flag and interrupt as many segments as the check did, the highest first, so that every figure
compares like with like. Each stays at chance or the note beside it says what that means. Knows played rows, no policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random

import numpy as np

from guard.core.types import Status
from guard.evaluation.figures import Figures, Interval
from guard.evaluation.judged import Flag, Heard, Judged, Played
from guard.evaluation.ranking import Floats
from guard.evaluation.rows import Row, Shape
from guard.evaluation.stretches import Tokens

_STRATA = 10


def strangers(rows: Sequence[Row], shape: Shape) -> list[Row] | None:
    """The rows, each with what another source gave, of the nearest length; None where there is one source only."""
    given = {row.source: _given(row, shape) for row in reversed(rows)}
    order = sorted(given, key=lambda source: (len(given[source]), source))
    if len(order) < 2:
        return None
    other = {source: order[_partner(at, len(order))] for at, source in enumerate(order)}
    return [_having(row, shape, given[other[row.source]]) for row in rows]


def _given(row: Row, shape: Shape) -> str:
    return {"grounded": row.context, "steps": row.question, "pairs": row.resample}[shape]


def _having(row: Row, shape: Shape, given: str) -> Row:
    if shape == "grounded":
        return replace(row, context=given)
    return replace(row, question=given) if shape == "steps" else replace(row, resample=given)


def _partner(at: int, size: int) -> int:
    return at - 1 if at % 2 or at == size - 1 else at + 1


def by_length(played: Sequence[Played], seed: int) -> list[Played]:
    """Longer rows first."""
    return _matched(played, "length", lambda each, at: len(Tokens(each.row.text)), seed)


def by_position(played: Sequence[Played], seed: int) -> list[Played]:
    """Later segments first."""
    return _matched(played, "position", lambda each, at: at, seed)


def _matched(played: Sequence[Played], name: str, key: Callable[[Played, int], float], seed: int) -> list[Played]:
    segments = [(at, number) for at, each in enumerate(played) for number in range(len(each.segments))]
    keys = {place: key(played[place[0]], place[1]) for place in segments}
    levels = {
        value: rank / max(1, len(set(keys.values())) - 1) for rank, value in enumerate(sorted(set(keys.values())))
    }
    order = list(segments)
    Random(seed).shuffle(order)  # among equals, chance decides
    order.sort(key=lambda place: -keys[place])
    flagged = set(order[: sum(segment.flagged for each in played for segment in each.segments)])
    cut = set(order[: sum(segment.interrupts for each in played for segment in each.segments)])

    def judged(place: tuple[int, int], old: Judged) -> Judged:
        score, hit = levels[keys[place]], place in flagged
        flags = (Flag(old.start, old.end, score),) if hit else ()
        status: Status = "flagged" if hit else "clean"
        heard = Heard(check=name, status=status, score=score, interrupts=place in cut, flags=flags)
        return replace(old, heard=(heard,))

    return [
        Played(row=each.row, segments=tuple(judged((at, number), old) for number, old in enumerate(each.segments)))
        for at, each in enumerate(played)
    ]


def same_length(played: Sequence[Played]) -> Floats:
    """Weights of the rows under which, in each tenth of the lengths, clean rows weigh as the wrong ones do."""
    lengths = np.array([len(Tokens(each.row.text)) for each in played], dtype=np.float64)
    wrong = np.array([each.row.wrong for each in played], dtype=bool)
    weights = np.ones(len(played))
    if wrong.all() or not wrong.any():
        return weights
    tenth = np.searchsorted(np.quantile(lengths, np.arange(1, _STRATA) / _STRATA), lengths)
    overall = (~wrong).sum() / wrong.sum()
    for stratum in range(_STRATA):
        here = tenth == stratum
        wrong_here, clean_here = (here & wrong).sum(), (here & ~wrong).sum()
        weights[here & ~wrong] = overall * wrong_here / clean_here if clean_here else 0.0
        weights[here & wrong] = 1.0 if clean_here else 0.0
    return weights


def notes(
    own: Mapping[str, Interval], controls: Mapping[str, tuple[Figures, Mapping[str, Interval]]], same_flags: bool
) -> Iterator[str]:
    """What a reader must know before believing the figures. `same_flags`: shuffling changed no score."""
    for name in ("length", "position"):
        if name in controls and (beside := _beside_chance(*controls[name])):
            yield f"{name} alone: AUROC {beside}; it tells these labels apart without any understanding"
    if same_flags:
        yield "shuffled: the same scores with what another source gave; nothing here looks at it"
    elif "shuffled" in controls and (beside := _beside_chance(*controls["shuffled"])):
        yield f"shuffled: AUROC {beside} with what another source gave; that much does not come from the context"
    matched = controls["same_length"][0]["auroc"]
    low, high = own["auroc"]
    if matched is not None and low is not None and high is not None and not low <= matched <= high:
        yield f"same_length: AUROC {matched:.3f} among texts of one length, outside the check's own interval"


def _beside_chance(figures: Figures, between: Mapping[str, Interval]) -> str:
    """The AUROC in words where its interval leaves out 0.5, else ""."""
    value, (low, high) = figures["auroc"], between["auroc"]
    if value is None or low is None or high is None or low <= 0.5 <= high:
        return ""
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
