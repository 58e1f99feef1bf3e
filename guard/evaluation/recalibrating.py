"""`guard eval --calibrate --from-store`: what reviewers said of the log teaches about one check's scores.

    {"version", "check", "check_version", "data": [{"store", "interruptions", "flagged", "clean"}], "shape": "reviews",
     "budget", "seed", "calibration", "thresholds", "metrics"}          as `calibrating` has them

1. A statement is a claim that reviewers agree on: interrupted, flagged and let pass, or drawn at random from what every
   check passed. An interruption that is confirmed, and a statement let pass that is rejected, is wrong.
2. Scores are those that the check gave, before any calibration: the recorded events have them. Without events, or from
   another version of the check, a claim teaches nothing.
3. What is judged stands for all of its kind: interruptions and flagged statements for those of their check, in quarters
   by score, and clean ones for every clean segment that was counted. So it matters less that doubtful ones are judged
   first; within a quarter the ones that are judged still count for those that are not.
4. Too few reviews are an error that says how many it takes.

Reads and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from guard.errors import ConfigError
from guard.evaluation.calibration import METHODS, best_method, fit, folds, log_loss, out_of_fold
from guard.evaluation.ranking import Floats, Ranking
from guard.evaluation.recalibrating_reviews import Judged, Kind, Reviews
from guard.evaluation.statements import Split, Statements, held_out
from guard.evaluation.stretches import Tokens

FOLDS = 5
FINDINGS = 30
"""Judged findings of the check that it takes."""

_WORDS: Mapping[Kind, str] = {"interruptions": "interrupted", "flagged": "flagged and let pass", "clean": "passed"}

EACH = 5
"""So many of them must be right, and so many false."""

CLEAN = 20
"""Judged statements that every check passed: without them nothing is known of what it misses."""


def check_of(found: Reviews, check: str | None) -> str:
    """The check that is calibrated: the one that is named, or the only one with findings. Raises ConfigError."""
    there = sorted({name for each in found.judged for name, score in each.scores.items() if score > 0})
    if check is None and len(there) == 1:
        return there[0]
    if check is None or check not in there:
        told = f"{', '.join(there)} have" if there else "none has"
        named = "name one with --check" if check is None else f"{check!r} has none"
        raise ConfigError(f"--from-store: of the checks {told} judged findings; {named}")
    return check


def recalibrate(found: Reviews, check: str, *, budget: float, seed: int = 0) -> dict[str, Any]:
    """`check`, `check_version`, `calibration`, `thresholds` and `metrics`. Raises ConfigError for too few reviews."""
    versions = Counter(each.versions[check] for each in found.judged if each.scores.get(check, 0) > 0)
    version = versions.most_common(1)[0][0]
    asked = [
        (each, weight)
        for each, weight in zip(found.judged, found.weights, strict=True)
        if check in each.scores and each.versions.get(check) == version
    ]
    statements = _statements(asked, check)
    _enough(statements, check, [each for each, _ in asked])
    learnt = _learnt(statements, check, len(asked), budget, seed)
    return {"check": check, "check_version": version, **learnt}


def _statements(asked: Sequence[tuple[Judged, float]], check: str) -> Statements:
    sources = {name: at for at, name in enumerate(dict.fromkeys(each.source for each, _ in asked))}
    scored = [at for at, (each, _) in enumerate(asked) if each.scores[check] > 0]
    weights = np.array([weight for _, weight in asked], dtype=np.float64)
    missed = [each.wrong and each.scores[check] <= 0 for each, _ in asked]
    clean = [0 if each.wrong else len(Tokens(each.text)) for each, _ in asked]
    return Statements(
        answers=[{check: asked[at][0].scores[check]} for at in scored],
        wrong=np.array([asked[at][0].wrong for at in scored], dtype=bool),
        weights=weights[scored],
        rows=np.array(scored, dtype=np.intp),
        row_sources=np.array([sources[each.source] for each, _ in asked], dtype=np.intp),
        row_tokens=weights * np.array(clean, dtype=np.float64),
        row_missed=weights * np.array(missed, dtype=np.float64),
    )


def findings(judged: Sequence[Judged], check: str) -> str:
    """How many judged findings the check has, and on what: not only on what it interrupted."""
    kinds = Counter(each.kind for each in judged if each.scores.get(check, 0) > 0)
    told = ", ".join(f"{kinds[kind]} {word}" for kind, word in _WORDS.items() if kinds[kind])
    return f"{kinds.total()} judged findings{f' (statements: {told})' if told else ''}"


def _enough(found: Statements, check: str, judged: Sequence[Judged]) -> None:
    right, false = int(found.wrong.sum()), int((~found.wrong).sum())
    clean = sum(each.kind == "clean" for each in judged)
    if right + false < FINDINGS or min(right, false) < EACH:
        raise ConfigError(
            f"--from-store: check {check!r} has {findings(judged, check)}, {right} right and {false} false; it "
            f"takes {FINDINGS}, at least {EACH} of each: go on with `guard interruptions review`"
        )
    if clean < CLEAN:
        raise ConfigError(
            f"--from-store: of statements that every check passed {clean} are judged where {check!r} ran; it takes "
            f"{CLEAN}: `guard interruptions review` shows them in between"
        )


def _learnt(found: Statements, check: str, rows: int, budget: float, seed: int) -> dict[str, Any]:
    scores, wrong, weights = found.scores(check), found.wrong, found.weights
    try:
        splits = list(folds(found.row_sources, FOLDS, seed))
        among = [found.among(split) for split in splits]
        losses = {
            method: log_loss(out_of_fold(method, scores, wrong, weights, among), wrong, weights) for method in METHODS
        }
        curve = fit(best_method(losses), scores, wrong, weights)
    except ValueError as error:
        raise ConfigError(f"--from-store: {error}: reviews of more conversations are needed") from None
    if curve.falls:
        raise ConfigError(
            f"--from-store: the surer check {check!r} is, the less often reviewers find it right: nothing to calibrate"
        )

    def predict(split: Split) -> Floats:
        train, _ = found.among(split)
        return fit(curve.method, scores[train], wrong[train], weights[train]).probability(scores)

    flag_at, interrupt_at = found.thresholds(curve.probability(scores), np.ones(rows, dtype=bool), budget)
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
