"""`guard eval --calibrate`: what played rows teach about one check's scores, as a document the check can load later.

    {"version", "check", "check_version", "data": [{"file", "sha256", "rows"}], "shape", "base_rate", "budget", "seed",
     "calibration": {"method", "points"}, "thresholds": {"flag_at", "interrupt_at"}, "metrics"}

1. A statement is a segment that has a finding and of which a label says whether it is wrong. What has no finding has no
   score to calibrate and is never flagged; where it is wrong, it is missed.
2. Thresholds are probabilities, as the calibrated check will give them: `flag_at` for the best F1 over statements and
   what is missed, `interrupt_at` for the budget, None where no threshold keeps it.
3. Every metric but the AUROC is out of the fold. Where all findings are right, or all are false, the curve is Platt's.

Knows no policy and writes no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from guard.errors import ConfigError
from guard.evaluation.calibration import (
    METHODS,
    Bools,
    Calibration,
    best_method,
    fit,
    folds,
    log_loss,
    out_of_fold,
    threshold_for,
    threshold_for_f1,
)
from guard.evaluation.counting import clean_tokens, is_right
from guard.evaluation.figures import Sample
from guard.evaluation.judged import Played
from guard.evaluation.ranking import Floats, Ranking, Whole

VERSION = 1
FOLDS = 5
BUDGET = 0.5
"""False interruptions for 1,000 clean tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statements:
    """Statements as columns, `rows` their rows'; and of each row its source, clean tokens and missed statements, both
    weighted."""

    scores: Floats
    wrong: Bools
    weights: Floats
    rows: Whole
    row_sources: Whole
    row_tokens: Floats
    row_missed: Floats


def scoring_check(played: Sequence[Played]) -> str:
    """The one check that found anything. Raises ConfigError unless there is just one."""
    found = sorted({h.check for each in played for s in each.segments for h in s.heard if h.score > 0})
    if len(found) != 1:
        told = f"{', '.join(found)} did" if found else "none did"
        raise ConfigError(
            f"--calibrate is for one check that finds something in the data: {told}; choose with --policy"
        )
    return found[0]


def calibrate(
    played: Sequence[Played], check: str, *, base_rate: float | None, budget: float = BUDGET, seed: int = 0
) -> dict[str, Any]:
    """`calibration`, `thresholds` and `metrics` of a check. Raises ConfigError where the data cannot bear it."""
    statements = _statements(played, check, base_rate)
    scores, wrong, weights = statements.scores, statements.wrong, statements.weights
    if not (wrong.any() or statements.row_missed.any()) or not statements.row_tokens.any():
        raise ConfigError("--calibrate needs labels that say where something is wrong, and clean text")
    methods = METHODS if wrong.any() and not wrong.all() else METHODS[1:]
    try:
        splits = list(folds(statements.row_sources, FOLDS, seed))
        of_statements = [(train[statements.rows], held[statements.rows]) for train, held in splits]
        losses = {
            method: log_loss(out_of_fold(method, scores, wrong, weights, of_statements), wrong, weights)
            for method in methods
        }
        curve = fit(best_method(losses), scores, wrong, weights)
    except ValueError as error:
        raise ConfigError(f"--calibrate: {error}, in each fold of the data") from None
    flag_at, interrupt_at = _thresholds(curve, statements, np.ones(len(played), dtype=bool), budget)
    return {
        "calibration": curve.to_json(),
        "thresholds": {"flag_at": flag_at, "interrupt_at": interrupt_at},
        "metrics": {
            "statements": len(scores),
            "statements_wrong": int(wrong.sum()),
            "auroc": Ranking(scores.tolist(), wrong.tolist()).auroc(weights),
            "log_loss": losses,
            **_held_out(curve, statements, splits, budget),
        },
    }


def _statements(played: Sequence[Played], check: str, base_rate: float | None) -> _Statements:
    weights = Sample(played).weights(base_rate)
    source = {name: at for at, name in enumerate(dict.fromkeys(each.row.source for each in played))}
    labelled = [list(_labelled(each, check)) for each in played]
    found = [(at, score, wrong) for at, each in enumerate(labelled) for score, wrong in each if score > 0]
    rows = np.array([at for at, _, _ in found], dtype=np.intp)
    missed = np.array([sum(wrong for score, wrong in each if score <= 0) for each in labelled], dtype=np.float64)
    tokens = np.array([clean_tokens(each.row) for each in played], dtype=np.float64)
    return _Statements(
        scores=np.array([score for _, score, _ in found], dtype=np.float64),
        wrong=np.array([wrong for _, _, wrong in found], dtype=bool),
        weights=weights[rows],
        rows=rows,
        row_sources=np.array([source[each.row.source] for each in played], dtype=np.intp),
        row_tokens=weights * tokens,
        row_missed=weights * missed,
    )


def _labelled(played: Played, check: str) -> Iterator[tuple[float, bool]]:
    for segment in played.segments if played.row.located else ():
        wrong = is_right(played.row, (segment.start, segment.end))
        for heard in segment.heard:
            if heard.check == check and heard.status in ("clean", "flagged") and wrong is not None:
                yield heard.score, wrong


def _thresholds(
    curve: Calibration, statements: _Statements, rows: Bools, budget: float
) -> tuple[float | None, float | None]:
    """`flag_at` and `interrupt_at` from the statements of some rows."""
    among = rows[statements.rows]
    found = curve.probability(statements.scores[among])
    wrong, weights = statements.wrong[among], statements.weights[among]
    missed, tokens = float(statements.row_missed[rows].sum()), float(statements.row_tokens[rows].sum())
    return threshold_for_f1(found, wrong, weights, missed), threshold_for(budget, found, weights * ~wrong, tokens)


def _held_out(
    curve: Calibration, statements: _Statements, splits: Sequence[tuple[Bools, Bools]], budget: float
) -> Mapping[str, float | None]:
    """What the thresholds cost and catch in sources that neither they nor the curve have seen."""
    sums: Counter[str] = Counter()
    for train, held in splits:
        seen, among = train[statements.rows], held[statements.rows]
        own = fit(curve.method, statements.scores[seen], statements.wrong[seen], statements.weights[seen])
        found = own.probability(statements.scores[among])
        wrong, weights = statements.wrong[among], statements.weights[among]
        flagged, cut = (
            found >= (np.inf if threshold is None else threshold)
            for threshold in _thresholds(own, statements, train, budget)
        )
        counted = {
            "wrong": weights[wrong].sum() + statements.row_missed[held].sum(),
            "flagged": weights[flagged].sum(),
            "hit": weights[flagged & wrong].sum(),
            "right": weights[cut & wrong].sum(),
            "false": weights[cut & ~wrong].sum(),
            "tokens": statements.row_tokens[held].sum(),
        }
        sums.update({name: float(value) for name, value in counted.items()})
    return {
        "flag_precision": _ratio(sums["hit"], sums["flagged"]),
        "flag_recall": _ratio(sums["hit"], sums["wrong"]),
        "false_per_1000_clean_tokens": _ratio(1000 * sums["false"], sums["tokens"]),
        "interruption_precision": _ratio(sums["right"], sums["right"] + sums["false"]),
        "wrong_statements_interrupted": _ratio(sums["right"], sums["wrong"]),
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
