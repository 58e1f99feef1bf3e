"""Scores to probabilities and budgets to thresholds, against their definitions; and the document they end in."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.evaluation.calibrating import calibrate, scoring_check
from guard.evaluation.calibration import (
    METHODS,
    Calibration,
    best_method,
    fit,
    folds,
    log_loss,
    out_of_fold,
    threshold_for,
    threshold_for_f1,
)
from guard.evaluation.judged import Played
from tests.evaluation.labelled import played, row

LEVELS = st.sampled_from([0.0, 0.1, 0.4, 0.8, 1.0])
STATEMENTS = st.lists(st.tuples(LEVELS, st.booleans(), st.integers(1, 3)), min_size=2, max_size=12).filter(
    lambda rows: {wrong for _, wrong, _ in rows} == {True, False}
)


def columns(rows: Any) -> Any:
    scores, wrong, weights = zip(*rows, strict=True)
    return np.array(scores), np.array(wrong), np.array(weights, dtype=np.float64)


@given(STATEMENTS)
def test_isotonic_never_falls_and_no_rising_steps_fit_better(rows: Any) -> None:
    scores, wrong, weights = columns(rows)
    found = fit("isotonic", scores, wrong, weights).probability(scores)
    order = np.argsort(scores, kind="stable")
    assert all(a <= b + 1e-12 for a, b in zip(found[order], found[order][1:], strict=False))
    assert (weights * found).sum() == pytest.approx((weights * wrong).sum())
    levels = sorted(set(scores.tolist()))

    def squared(values: Any) -> float:
        return float((weights * (np.asarray(values) - wrong) ** 2).sum())

    mine = squared(found)
    for cut in levels:  # every two-step curve is one that the best rising curve must match
        above = scores >= cut
        for low, high in ((0.0, 1.0), (0.2, 0.6), (0.5, 0.5)):
            assert mine <= squared(np.where(above, high, low)) + 1e-9


def test_isotonic_pools_what_falls() -> None:
    scores, wrong, weights = columns([(0.1, False, 1), (0.2, True, 1), (0.3, False, 1), (0.9, True, 1)])
    curve = fit("isotonic", scores, wrong, weights)
    assert curve.points == ((0.1, 0.0), (0.2, 0.5), (0.3, 0.5), (0.9, 1.0))
    assert curve.probability([0.0, 0.15, 0.25, 0.6, 1.0]).tolist() == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])


@given(STATEMENTS)
def test_platt_is_where_the_log_loss_of_its_targets_is_least(rows: Any) -> None:
    scores, wrong, weights = columns(rows)
    curve = fit("platt", scores, wrong, weights)
    hit, miss = weights[wrong].sum(), weights[~wrong].sum()
    target = np.where(wrong, (hit + 1) / (hit + 2), 1 / (miss + 2))

    def loss(slope: float, intercept: float) -> float:
        p = Calibration(method="platt", points=((slope, intercept),)).probability(scores)
        return float(-(weights * (target * np.log(p) + (1 - target) * np.log(1 - p))).sum())

    ((slope, intercept),) = curve.points
    mine = loss(slope, intercept)
    assert all(mine <= loss(slope + a, intercept + b) + 1e-7 for a in (-0.01, 0, 0.01) for b in (-0.01, 0, 0.01))


def test_a_calibration_of_one_label_is_as_sure_as_its_method() -> None:
    scores, wrong = np.array([0.5, 0.9]), np.array([True, True])
    assert fit("isotonic", scores, wrong, np.ones(2)).probability([0.7]).tolist() == [1.0]
    assert fit("platt", scores, wrong, np.ones(2)).probability(scores).tolist() == pytest.approx([3 / 4, 3 / 4])
    assert fit("platt", scores, ~wrong, np.ones(2)).probability(scores).tolist() == pytest.approx([1 / 4, 1 / 4])


@pytest.mark.parametrize("method", METHODS)
def test_a_calibration_needs_something(method: Any) -> None:
    with pytest.raises(ValueError, match="no statements with a finding"):
        fit(method, np.array([]), np.array([], dtype=bool), np.array([]))


def test_the_log_loss_of_a_coin_is_a_bit_and_of_certainty_about_nothing() -> None:
    wrong = np.array([True, False])
    assert log_loss(np.array([0.5, 0.5]), wrong, np.ones(2)) == pytest.approx(math.log(2))
    assert log_loss(np.array([1.0, 0.0]), wrong, np.ones(2)) == pytest.approx(0.0, abs=1e-5)
    assert math.isfinite(log_loss(np.array([0.0, 1.0]), wrong, np.ones(2)))
    assert best_method({"isotonic": 0.3, "platt": 0.2}) == "platt"
    assert best_method({"isotonic": 0.2, "platt": 0.2}) == "isotonic"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(2, 5), st.integers(0, 3))
def test_folds_hold_every_group_out_once_and_whole(of: list[int], count: int, seed: int) -> None:
    groups = np.array(of)
    if len(set(of)) < count:
        with pytest.raises(ValueError, match="folds need as many sources"):
            list(folds(groups, count, seed))
        return
    splits = list(folds(groups, count, seed))
    assert len(splits) == count
    for train, held in splits:
        assert (train ^ held).all()
        assert held.any()
        assert not set(groups[train]) & set(groups[held])
    assert sum(held.astype(int) for _, held in splits).tolist() == [1] * len(of)  # type: ignore[union-attr]
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(splits, folds(groups, count, seed), strict=True))


def test_out_of_fold_nothing_is_learnt_from_ones_own_source() -> None:
    scores, groups = np.array([0.0, 1.0] * 4), np.repeat([0, 1], 4)
    wrong = np.array([False, True, False, True, True, False, True, False])  # the other way round in the second source
    found = out_of_fold("isotonic", scores, wrong, np.ones(8), list(folds(groups, 2, 0)))
    assert found.tolist() == [0.5] * 4 + [0.0, 1.0] * 2


@given(
    st.lists(st.tuples(LEVELS, st.integers(0, 2)), min_size=1, max_size=10),
    st.sampled_from([0.0, 0.5, 10.0]),
    st.integers(1, 500),
)
def test_a_threshold_is_the_lowest_that_keeps_the_budget(rows: Any, budget: float, tokens: int) -> None:
    found = threshold_for(budget, np.array([s for s, _ in rows]), np.array([float(f) for _, f in rows]), tokens)

    def cost(threshold: float) -> float:
        return 1000 * float(sum(false for score, false in rows if score >= threshold)) / tokens

    kept = [score for score, _ in rows if cost(score) <= budget * (1 + 1e-12)]
    assert found == (min(kept) if kept else None)


@given(STATEMENTS, st.integers(0, 4))
def test_a_threshold_for_f1_is_the_best_of_all(rows: Any, missed: int) -> None:
    scores, wrong, weights = columns(rows)

    def f1(threshold: float) -> float:
        flagged = scores >= threshold
        return 2 * float(weights[flagged & wrong].sum()) / float(weights[flagged].sum() + weights[wrong].sum() + missed)

    found = threshold_for_f1(scores, wrong, weights, missed)
    assert found is not None
    assert f1(found) == pytest.approx(max(f1(s) for s in scores))


def test_without_scores_there_is_no_threshold() -> None:
    none = np.array([])
    assert threshold_for(1.0, none, none, 100) is None
    assert threshold_for_f1(none, np.array([], dtype=bool), none, 1.0) is None


TEXT = "aa bb. cc dd."


def answers(n: int = 40) -> list[Played]:
    """Rows of two segments: a score of 0.9 is wrong in nine of ten, 0.4 never."""
    made = []
    for at in range(n):
        wrong = at % 10 != 9
        one = row(TEXT, wrong=wrong, spans=[(0, 6)] if wrong else [], source=str(at), id=at)
        made.append(played(one, (0, 6, 0.9), (7, 13, 0.4)))
    return made


def test_a_check_is_calibrated_and_its_thresholds_measured_out_of_the_fold() -> None:
    found = calibrate(answers(), "c", base_rate=None, budget=100.0)
    curve = Calibration(
        method=found["calibration"]["method"], points=tuple(tuple(p) for p in found["calibration"]["points"])
    )
    low, high = curve.probability([0.4, 0.9])
    assert low < 0.1
    assert high == pytest.approx(0.9, abs=0.03)
    assert low < found["thresholds"]["flag_at"] <= high
    assert found["thresholds"]["interrupt_at"] == pytest.approx(high)  # 4 false in 36 * 3 + 4 * 6 clean tokens: 30
    metrics = found["metrics"]
    assert (metrics["statements"], metrics["statements_wrong"]) == (80, 36)
    assert metrics["flag_recall"] == metrics["wrong_statements_interrupted"] == 1.0
    assert metrics["flag_precision"] == metrics["interruption_precision"] == pytest.approx(0.9)
    assert metrics["false_per_1000_clean_tokens"] == pytest.approx(1000 * 4 / 132)
    assert set(metrics["log_loss"]) == {"isotonic", "platt"}
    assert json.loads(json.dumps(found)) == found
    assert calibrate(answers(), "c", base_rate=None, budget=100.0) == found


def test_what_has_no_finding_is_never_flagged() -> None:
    """Most statements are wrong and have no finding: flagging those too would give the best F1, and cannot be."""
    silent = [
        played(row(TEXT, wrong=True, spans=[(0, 13)], source=f"s{n}"), (0, 6, 0.0), (7, 13, 0.0)) for n in range(60)
    ]
    found = calibrate([*answers(), *silent], "c", base_rate=None, budget=100.0)
    assert found["thresholds"]["flag_at"] > 0.85
    assert found["metrics"]["flag_recall"] == pytest.approx(36 / (36 + 120))
    assert found["metrics"]["flag_precision"] == pytest.approx(0.9)


def test_a_budget_that_nothing_keeps_interrupts_nothing() -> None:
    found = calibrate(answers(), "c", base_rate=None, budget=0.0)
    assert found["thresholds"]["interrupt_at"] is None
    assert found["metrics"]["wrong_statements_interrupted"] == 0.0
    assert found["metrics"]["interruption_precision"] is None


def test_a_base_rate_lowers_the_probabilities() -> None:
    plain, rare = (calibrate(answers(), "c", base_rate=rate)["calibration"]["points"] for rate in (None, 0.18))
    assert rare != plain


def test_what_cannot_be_calibrated_is_said_in_one_line() -> None:
    with pytest.raises(ConfigError, match="5 folds need as many sources; there are 4"):
        calibrate(answers(4), "c", base_rate=None)
    clean = [each for each in answers(100) if not each.row.wrong]
    with pytest.raises(ConfigError, match="labels that say where something is wrong, and clean text"):
        calibrate(clean, "c", base_rate=None)
    silent = [
        played(row(TEXT, wrong=n > 0, spans=[(0, 6)] if n else [], source=str(n)), (0, 6, n * 0.9)) for n in (0, 1)
    ]
    few = silent + [played(row(TEXT, source=f"c{n}"), (0, 6, 0.0)) for n in range(4)]
    with pytest.raises(ConfigError, match="no statements with a finding, in each fold of the data"):
        calibrate(few, "c", base_rate=None)


def test_a_check_that_is_never_wrong_is_calibrated_too() -> None:
    right = [each for each in answers(50) if each.row.wrong] + [played(row(TEXT, source="x"), (0, 6, 0.0))]
    found = calibrate(
        [played(each.row, (0, 6, 0.9 * each.row.wrong)) for each in right], "c", base_rate=None, budget=0.0
    )
    assert found["calibration"]["method"] == "platt"
    assert 0.95 < found["thresholds"]["interrupt_at"] < 1.0
    assert found["metrics"]["wrong_statements_interrupted"] == 1.0
    assert found["metrics"]["auroc"] is None


def test_only_one_check_is_calibrated_at_a_time() -> None:
    assert scoring_check(answers()) == "c"
    with pytest.raises(ConfigError, match="none did"):
        scoring_check([played(row(TEXT), (0, 6, 0.0))])
