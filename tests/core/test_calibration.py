"""Curves from scores to probabilities, as a policy applies them, and whose thresholds count."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.core.calibration import Calibration, Curve, logistic
from guard.core.types import Finding
from guard.core.use import CheckUse

UNIT = st.floats(0, 1)
RISING = st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=6, unique_by=lambda point: point[0]).map(
    lambda points: tuple(zip(sorted(s for s, _ in points), sorted(p for _, p in points), strict=True))
)


def document(flag_at: float | None = 0.3, interrupt_at: float | None = 0.8, **fields: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "check": "quick",
        "check_version": "1",
        "calibration": {"method": "isotonic", "points": [[0.2, 0.1], [0.4, 0.5], [0.8, 0.9]]},
        "thresholds": {"flag_at": flag_at, "interrupt_at": interrupt_at},
        "metrics": {"auroc": 0.8},
    } | fields


@pytest.mark.parametrize(
    ("score", "probability"),
    [(0.0, 0.1), (0.2, 0.1), (0.3, 0.3), (0.4, 0.5), (0.6, 0.7), (0.8, 0.9), (1.0, 0.9)],
)
def test_an_isotonic_curve_is_straight_between_its_points_and_flat_outside(score: float, probability: float) -> None:
    curve = Calibration.model_validate(document()).calibration
    assert curve.probability(score) == pytest.approx(probability)


def test_a_platt_curve_is_a_logistic_one() -> None:
    curve = Curve(method="platt", points=((4.0, -2.0),))
    assert curve.probability(0.5) == 0.5
    assert curve.probability(1.0) == pytest.approx(1 / (1 + math.exp(-2)))


@given(RISING, UNIT, UNIT)
def test_a_curve_never_turns_scores_round(points: Any, one: float, other: float) -> None:
    low, high = sorted((one, other))
    curve = Curve(method="isotonic", points=points)
    assert 0 <= curve.probability(low) <= curve.probability(high) + 1e-12 <= 1 + 1e-12
    assert all(curve.probability(score) == probability for score, probability in points)


@given(st.floats(-1e6, 1e6))
def test_the_logistic_curve_does_not_overflow(x: float) -> None:
    assert 0 <= logistic(x) <= 1
    assert logistic(-x) == pytest.approx(1 - logistic(x))


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        ({"method": "isotonic", "points": []}, "at least 1 item"),
        ({"method": "isotonic", "points": [[0.1, 1.5]]}, "must lie between 0 and 1"),
        ({"method": "isotonic", "points": [[0.5, 0.1], [0.4, 0.2]]}, "must rise"),
        ({"method": "isotonic", "points": [[0.4, 0.1], [0.4, 0.2]]}, "must rise"),
        ({"method": "isotonic", "points": [[0.4, 0.2], [0.5, 0.1]]}, "must rise"),
        ({"method": "isotonic", "points": [[0.4, float("nan")]]}, "finite number"),
        ({"method": "platt", "points": [[1, 0], [2, 0]]}, "one pair"),
        ({"method": "platt", "points": [[-1, 0]]}, "slope of 0 or more"),
        ({"method": "temperature", "points": [[1, 0]]}, "'temperature'"),
    ],
)
def test_a_curve_that_is_none_is_refused(curve: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Calibration.model_validate(document(calibration=curve))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"version": 2}, "version"), ({"thresholds": {"flag_at": 2}}, "flag_at"), ({"check": 1}, "check")],
)
def test_a_document_that_is_none_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Calibration.model_validate(document(**fields))
    assert said in str(caught.value)


def test_findings_get_probabilities_and_keep_everything_else() -> None:
    made = CheckUse.model_validate({"check": "quick", "calibration": document()})
    finding = Finding(score=0.4, reason="r", correction="c", start=1, end=2)
    assert made.read((finding,)) == (Finding(score=0.5, reason="r", correction="c", start=1, end=2),)
    assert CheckUse(check="quick").read((finding,)) == (finding,)
    assert made.judge(made.read((finding,))) == "flag"


NONE: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("measured", "named", "expected"),
    [
        ((0.3, 0.8), NONE, (0.3, 0.8)),
        ((0.3, None), NONE, (0.3, None)),
        ((None, None), NONE, (None, None)),
        ((0.9, 0.4), NONE, (0.4, 0.4)),
        ((0.3, 0.8), {"flag_at": 0.5}, (0.5, 0.8)),
        ((0.3, 0.8), {"flag_at": 0.9}, (0.9, 0.9)),
        ((0.3, 0.8), {"flag_at": None}, (None, None)),
        ((0.3, None), {"flag_at": 0.9}, (0.9, None)),
        ((0.3, 0.8), {"interrupt_at": 0.7}, (0.3, 0.7)),
        ((0.3, 0.8), {"interrupt_at": 0.2}, (0.2, 0.2)),
        ((0.3, 0.8), {"interrupt_at": None}, (0.3, None)),
        ((None, None), {"interrupt_at": 0.7}, (0.7, 0.7)),
        ((0.3, 0.8), {"flag_at": 0.1, "interrupt_at": 0.2}, (0.1, 0.2)),
    ],
)
def test_the_files_thresholds_count_where_the_policy_names_none(
    measured: tuple[float | None, float | None], named: dict[str, Any], expected: tuple[float | None, float | None]
) -> None:
    made = CheckUse.model_validate({"check": "quick", "calibration": document(*measured), **named})
    assert (made.flag_at, made.interrupt_at) == expected
    again = CheckUse.model_validate(made.model_dump(mode="json"))
    assert again == made


def test_a_calibration_is_of_its_own_check() -> None:
    with pytest.raises(ValidationError, match="the calibration is of check 'quick', not of 'slow'"):
        CheckUse.model_validate({"check": "slow", "calibration": document()})
