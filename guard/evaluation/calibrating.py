"""`guard eval --calibrate`: what played rows teach about one check's scores, as a document that a policy loads.

    {"version", "check", "check_version", "data": [{"file", "sha256", "rows"}], "shape", "base_rate", "budget", "seed",
     "calibration": {"method", "points"}, "thresholds": {"flag_at", "interrupt_at"}, "metrics"}

1. A statement is a segment that has a finding and of which a label says whether it is wrong (`statements`).
2. Thresholds are probabilities, as the calibrated check will give them: `flag_at` for the best F1 over statements and
   what is missed, `interrupt_at` for the budget, None where no threshold keeps it.
3. Every metric but the AUROC is out of the fold. Where all findings are right, or all are false, the curve is Platt's.

Knows no policy and writes no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from guard.errors import ConfigError
from guard.evaluation.calibration import METHODS, best_method, fit, folds, log_loss, out_of_fold
from guard.evaluation.judged import Played
from guard.evaluation.ranking import Floats, Ranking
from guard.evaluation.statements import Split, held_out, statements

FOLDS = 5
BUDGET = 0.5
"""False interruptions for 1,000 clean tokens."""


def scoring_checks(played: Sequence[Played]) -> list[str]:
    """The checks that found anything, sorted."""
    return sorted({h.check for each in played for s in each.segments for h in s.heard if h.score > 0})


def scoring_check(played: Sequence[Played]) -> str:
    """The one check that found anything. Raises ConfigError unless there is just one."""
    found = scoring_checks(played)
    if len(found) != 1:
        told = f"{', '.join(found)} did" if found else "none did"
        also = " or weigh them together with --fuse" if found else ""
        raise ConfigError(
            f"--calibrate is for one check that finds something in the data: {told}; choose with --policy{also}"
        )
    return found[0]


def calibrate(
    played: Sequence[Played], check: str, *, base_rate: float | None, budget: float = BUDGET, seed: int = 0
) -> dict[str, Any]:
    """`calibration`, `thresholds` and `metrics` of a check. Raises ConfigError where the data cannot bear it."""
    found = statements(played, [check], base_rate)
    scores, wrong, weights = found.scores(check), found.wrong, found.weights
    if not found.teach:
        raise ConfigError("--calibrate needs labels that say where something is wrong, and clean text")
    methods = METHODS if wrong.any() and not wrong.all() else METHODS[1:]
    try:
        splits = list(folds(found.row_sources, FOLDS, seed))
        of_statements = [found.among(split) for split in splits]
        losses = {
            method: log_loss(out_of_fold(method, scores, wrong, weights, of_statements), wrong, weights)
            for method in methods
        }
        curve = fit(best_method(losses), scores, wrong, weights)
    except ValueError as error:
        raise ConfigError(f"--calibrate: {error}, in each fold of the data") from None
    if curve.falls and wrong.all():
        raise ConfigError(f"--calibrate: every finding of {check!r} is right in these rows; it takes false ones too")
    if curve.falls:
        raise ConfigError(
            f"--calibrate: the surer check {check!r} is, the less often it is right: nothing to calibrate"
        )

    def predict(split: Split) -> Floats:
        train, _ = found.among(split)
        return fit(curve.method, scores[train], wrong[train], weights[train]).probability(scores)

    flag_at, interrupt_at = found.thresholds(curve.probability(scores), np.ones(len(played), dtype=bool), budget)
    return {
        "calibration": curve.to_json(),
        "thresholds": {"flag_at": flag_at, "interrupt_at": interrupt_at},
        "metrics": {
            "statements": len(scores),
            "statements_wrong": int(wrong.sum()),
            "auroc": Ranking(scores.tolist(), wrong.tolist()).auroc(weights),
            "log_loss": losses,
            **held_out(found, predict, splits, budget),
        },
    }
