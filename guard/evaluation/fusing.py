"""`guard eval --calibrate --fuse`: what played rows teach about several checks together, as a policy's `fusion` loads.

    {"version", "checks": {name: {"check_version", "weight", "silent", "calibrated"}}, "bias", "flag_at",
     "interrupt_at", "about": {"data", "shape", "base_rate", "budget", "seed", "policy_hash", "penalty", "metrics"}}

1. Logistic regression of whether a statement is wrong on what `guard.core.fusion` adds up: weights of 0 or more, an L2
   penalty on all but the bias. It learns from segments in which one of the checks found something, as only those are
   ever acted on.
2. Thresholds come from predictions out of the fold: `flag_at` for the best F1, `interrupt_at` for the budget, None if
   none keeps it. What they cost is told of sources that had no part in choosing them either.
3. The AUROC of the fused probability stands beside each check's own, all out of the fold and over the same statements.

Knows no policy and writes no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from guard.core.fusion import evidence
from guard.errors import ConfigError
from guard.evaluation.calibrating import BUDGET, FOLDS, scoring_checks
from guard.evaluation.calibration import Bools, folds, log_loss, logistic
from guard.evaluation.judged import Played
from guard.evaluation.ranking import Floats, Ranking
from guard.evaluation.statements import Answers, Statements, held_out, statements

PENALTY = 1.0
"""Half of this times the sum of squares is added to the log loss of all statements: a prior of one nat for a weight
of 1.4. It is not chosen on data."""
_STEPS = 200
_ENOUGH = 1e-10


def fuse(
    played: Sequence[Played], *, base_rate: float | None, budget: float = BUDGET, seed: int = 0
) -> tuple[dict[str, tuple[float, float]], dict[str, Any]]:
    """(weight, silent) of each check that found something; and `bias`, thresholds and `metrics`.

    Raises ConfigError with fewer than two such checks, or where the data cannot bear it.
    """
    checks = scoring_checks(played)
    if len(checks) < 2:
        told = f"only {checks[0]} did" if checks else "none did"
        raise ConfigError(f"--fuse is for two or more checks that find something in the data: {told}")
    found = statements(played, checks, base_rate)
    if not found.teach or found.wrong.all() or not found.wrong.any():
        raise ConfigError("--fuse needs findings that are right, findings that are false, and clean text")
    design, wrong, weights = columns(found.answers, checks), found.wrong, found.weights
    try:
        splits = list(folds(found.row_sources, FOLDS, seed))
    except ValueError as error:
        raise ConfigError(f"--fuse: {error}") from None
    predicted = np.zeros(len(wrong))
    for split in splits:
        train, held = found.among(split)
        predicted[held] = logistic(design[held] @ fit(design[train], wrong[train], weights[train]))
    fitted = [float(each) for each in fit(design, wrong, weights)]
    flag_at, interrupt_at = found.thresholds(predicted, np.ones(len(played), dtype=bool), budget)
    if flag_at is not None and interrupt_at is not None:
        flag_at = min(flag_at, interrupt_at)  # what is interrupted is flagged too
    pairs = dict(zip(checks, zip(fitted[:-1:2], fitted[1:-1:2], strict=True), strict=True))
    return pairs, {
        "bias": fitted[-1],
        "flag_at": flag_at,
        "interrupt_at": interrupt_at,
        "metrics": {
            "statements": len(wrong),
            "statements_wrong": int(wrong.sum()),
            "auroc": _aurocs(found, predicted, checks),
            "log_loss": log_loss(predicted, wrong, weights),
            **held_out(found, lambda split: predicted, splits, budget),
        },
    }


def _aurocs(found: Statements, predicted: Floats, checks: Sequence[str]) -> dict[str, float | None]:
    columns = {"fused": predicted} | {check: found.scores(check) for check in checks}
    wrong = found.wrong.tolist()
    return {name: Ranking(column.tolist(), wrong).auroc(found.weights) for name, column in columns.items()}


def columns(answers: Sequence[Answers], checks: Sequence[str]) -> Floats:
    """For each statement (row): each check's evidence and whether it was silent, then 1 for the bias."""
    rows = [[part for check in checks for part in _parts(answer.get(check))] + [1.0] for answer in answers]
    return np.array(rows, dtype=np.float64)


def _parts(score: float | None) -> tuple[float, float]:
    if score is None:
        return 0.0, 0.0
    return (evidence(score), 0.0) if score > 0 else (0.0, 1.0)


def fit(design: Floats, wrong: Bools, weights: Floats, penalty: float = PENALTY) -> Floats:
    """The coefficients, in the order of `columns`: Newton's method on those that a bound does not hold at 0."""
    size = design.shape[1]
    shrunk = np.append(np.full(size - 1, penalty), 1e-9)
    bounded = np.arange(size) % 2 == 0
    bounded[-1] = False
    at = np.zeros(size)
    for _ in range(_STEPS):
        p = logistic(design @ at)
        slope = design.T @ (weights * (p - wrong)) + shrunk * at
        free = ~(bounded & (at <= 0) & (slope > 0))
        bend = design.T @ (design * (weights * p * (1 - p))[:, None]) + np.diag(shrunk)
        step = np.zeros(size)
        step[free] = np.linalg.solve(bend[np.ix_(free, free)], slope[free])
        moved = _downhill(design, wrong, weights, shrunk, bounded, at, step)
        change, at = float(np.abs(moved - at).max()), moved
        if change < _ENOUGH:
            break
    return at


def _downhill(
    design: Floats, wrong: Bools, weights: Floats, shrunk: Floats, bounded: Bools, at: Floats, step: Floats
) -> Floats:
    """The longest of halved steps, kept within the bounds, that does not go uphill; `at` where none does."""

    def loss(where: Floats) -> float:
        x = design @ where
        return float((weights * (np.logaddexp(0.0, x) - wrong * x)).sum() + (shrunk * where**2).sum() / 2)

    before = loss(at)
    for halvings in range(40):
        moved = at - step / 2**halvings
        moved = np.asarray(np.where(bounded, np.maximum(moved, 0.0), moved), dtype=np.float64)
        if loss(moved) <= before:
            return moved
    return at
