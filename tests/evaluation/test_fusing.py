"""Weights of several checks, against their definition; and the document that a policy loads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.fusion import Fusion
from guard.core.types import Finding, Verdict
from guard.errors import ConfigError
from guard.evaluation.fusing import columns, fit, fuse
from guard.evaluation.judged import Heard, Judged, Played
from guard.evaluation.statements import statements
from tests.evaluation.labelled import row

TEXT = "aa bb. cc dd."
SCORES = st.sampled_from([None, 0.0, 0.2, 0.7, 1.0])
ROWS = st.lists(st.tuples(SCORES, SCORES, st.booleans(), st.integers(1, 3)), min_size=2, max_size=20)


def loss(design: Any, wrong: Any, weights: Any, penalty: float, at: Any) -> float:
    x = design @ at
    return float((weights * (np.logaddexp(0, x) - wrong * x)).sum() + penalty / 2 * (at[:-1] ** 2).sum())


@given(ROWS)
def test_no_other_weights_of_0_or_more_fit_better(rows: list[Any]) -> None:
    design = columns([{n: s for n, s in (("a", a), ("b", b)) if s is not None} for a, b, _, _ in rows], ["a", "b"])
    wrong, weights = np.array([r[2] for r in rows]), np.array([float(r[3]) for r in rows])
    if wrong.all() or not wrong.any():
        return
    found = fit(design, wrong, weights)
    assert (found[[0, 2]] >= 0).all()
    mine = loss(design, wrong, weights, 1.0, found)
    for at in range(5):
        for by in (-0.1, -0.001, 0.001, 0.1):
            other = found.copy()
            other[at] += by
            if at in (0, 2):
                other[at] = max(0.0, other[at])
            assert mine <= loss(design, wrong, weights, 1.0, other) + 1e-9


def test_what_is_fitted_is_what_the_core_adds_up() -> None:
    answers = [{"a": 0.7, "b": 0.0}, {"a": 1.0}, {"b": 0.2}, {"a": 0.0, "b": 0.9}]
    checks = {
        "a": {"check_version": "1", "weight": 0.7, "silent": -0.4},
        "b": {"check_version": "1", "weight": 1.3, "silent": 0.2},
    }
    made = Fusion.model_validate({"version": 1, "checks": checks, "bias": -0.3, "flag_at": None, "interrupt_at": None})
    x = columns(answers, ["a", "b"]) @ np.array([0.7, -0.4, 1.3, 0.2, -0.3])
    for answer, log_odds in zip(answers, x, strict=True):
        fused = made.fuse({name: _verdict(name, score) for name, score in answer.items()})
        assert fused is not None
        assert fused.probability == pytest.approx(1 / (1 + math.exp(-log_odds)))


def _verdict(check: str, score: float) -> Verdict:
    findings = (Finding(score=score),) if score else ()
    return Verdict(segment=0, check=check, version="1", status="clean", findings=findings)


def heard(scores: dict[str, float | None]) -> tuple[Heard, ...]:
    """Verdicts of these checks; one without a score did not run."""
    return tuple(
        Heard(check=name, status="clean", score=score) if score is not None else Heard(check=name, status="unscanned")
        for name, score in scores.items()
    )


def answer(source: int, wrong: bool, *scores: dict[str, float | None]) -> Played:
    """Two segments, the first of which is wrong or not."""
    places = ((0, 6), (7, 13))
    one = row(TEXT, wrong=wrong, spans=[(0, 6)] if wrong else [], source=str(source), id=source)
    segments = (Judged(start=a, end=b, heard=heard(s)) for (a, b), s in zip(places, scores, strict=False))
    return Played(row=one, segments=tuple(segments))


def answers(n: int = 60) -> list[Played]:
    """Two checks, each of which is right half of the time where it speaks alone, and always where both do."""
    made = []
    for at in range(n):
        both = at % 3 == 0
        first: dict[str, float | None] = {"a": 0.7, "b": 0.7 if both else 0.0} if at % 2 else {"a": 0.7, "b": None}
        if both:
            first = {"a": 0.7, "b": 0.7}
        made.append(answer(at, both or at % 6 == 1, first, {"a": 0.0, "b": 0.0}))
    return made


def test_two_that_agree_are_surer_than_either() -> None:
    weighed, found = fuse(answers(), base_rate=None, budget=50.0)
    assert set(weighed) == {"a", "b"}
    assert all(weight >= 0 for weight, _ in weighed.values())
    metrics = found["metrics"]
    assert metrics["auroc"]["fused"] > max(metrics["auroc"]["a"], metrics["auroc"]["b"], 0.8)
    assert (metrics["statements"], metrics["statements_wrong"]) == (60, 30)
    checks = {n: {"check_version": "1", "weight": w, "silent": s} for n, (w, s) in weighed.items()}
    rest = {name: found[name] for name in ("bias", "flag_at", "interrupt_at")}
    made = Fusion.model_validate({"version": 1, "checks": checks, **rest})
    alone, together = (made.fuse({n: _verdict(n, 0.7) for n in names}) for names in (["a"], ["a", "b"]))
    assert alone is not None
    assert together is not None
    assert (made.judge(alone.probability), made.judge(together.probability)) == ("none", "interrupt")
    assert fuse(answers(), base_rate=None, budget=50.0) == (weighed, found)


def test_a_budget_that_nothing_keeps_interrupts_nothing() -> None:
    _, found = fuse([*answers(), answer(99, False, {"a": 1.0, "b": 1.0})], base_rate=None, budget=0.0)
    assert found["interrupt_at"] is None
    assert found["metrics"]["wrong_statements_interrupted"] < 1


def test_what_is_interrupted_is_flagged_too() -> None:
    _, found = fuse(answers(), base_rate=0.1, budget=1000.0)
    assert found["flag_at"] == found["interrupt_at"] or found["flag_at"] < found["interrupt_at"]


def only(name: str, n: int = 12) -> list[Played]:
    return [answer(at, at % 2 == 0, {name: 0.7}) for at in range(n)]


@pytest.mark.parametrize(
    ("played", "said"),
    [
        (only("a"), "--fuse is for two or more checks that find something in the data: only a did"),
        ([answer(0, True, {"a": 0.0, "b": 0.0})], "none did"),
        ([answer(at, True, {"a": 0.7, "b": 0.7}) for at in range(9)], "findings that are false"),
        ([answer(at, False, {"a": 0.7, "b": 0.7}) for at in range(9)], "findings that are right"),
        (answers(4), "5 folds need as many sources; there are 4"),
    ],
)
def test_what_cannot_be_fused_is_said_in_one_line(played: Sequence[Played], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fuse(played, base_rate=None)


def test_a_statement_is_what_one_of_the_checks_found_and_the_rest_is_missed() -> None:
    played = [
        answer(0, True, {"a": 0.0, "b": 0.4}, {"a": 0.9, "b": None}),
        answer(1, True, {"a": 0.0, "b": 0.0}, {"a": None, "b": None}),
        answer(2, True, {"a": None, "b": None}),
        answer(3, True, {"c": 1.0}),
    ]
    found = statements(played, ["a", "b"], None)
    assert found.answers == [{"a": 0.0, "b": 0.4}, {"a": 0.9}]
    assert (found.wrong.tolist(), found.rows.tolist()) == ([True, False], [0, 0])
    assert found.row_missed.tolist() == [0, 1, 0, 0]
    assert found.scores("a").tolist() == [0.0, 0.9]
    assert found.scores("b").tolist() == [0.4, 0.0]
