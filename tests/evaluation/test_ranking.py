"""AUROC, curves and quantiles, against their definitions over all pairs, thresholds and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.evaluation.ranking import Ordered, Ranking

ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5000001, 1.0]), st.booleans(), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)
Rows = list[tuple[float, bool, int]]


def ranked(rows: Rows) -> tuple[Ranking, Any]:
    return Ranking([s for s, _, _ in rows], [w for _, w, _ in rows]), np.array([float(n) for _, _, n in rows])


def repeated(rows: Rows) -> list[tuple[float, bool]]:
    return [(score, wrong) for score, wrong, times in rows for _ in range(times)]


@given(ROWS)
def test_auroc_is_the_share_of_pairs_in_order(rows: Rows) -> None:
    ranking, weights = ranked(rows)
    wrong = [score for score, is_wrong in repeated(rows) if is_wrong]
    right = [score for score, is_wrong in repeated(rows) if not is_wrong]
    if not wrong or not right:
        assert ranking.auroc(weights) is None
        return
    pairs = [(w > r) + (w == r) / 2 for w in wrong for r in right]
    assert ranking.auroc(weights) == pytest.approx(sum(pairs) / len(pairs))


@given(ROWS)
def test_the_best_threshold_is_the_best_of_all(rows: Rows) -> None:
    ranking, weights = ranked(rows)
    sample = repeated(rows)
    found = ranking.best(weights)
    f1s = {threshold: f1(sample, threshold) for threshold, _ in sample if threshold > 0}
    if not f1s or not any(wrong for _, wrong in sample):
        assert found is None
        return
    assert found is not None
    assert found[1] == pytest.approx(max(f1s.values()))
    assert f1s[found[0]] == pytest.approx(found[1])


def f1(sample: list[tuple[float, bool]], threshold: float) -> float:
    hit = sum(wrong for score, wrong in sample if score >= threshold)
    flagged = sum(score >= threshold for score, _ in sample)
    return 2 * hit / (flagged + sum(wrong for _, wrong in sample))


@given(ROWS)
def test_the_curve_is_precision_and_recall_at_every_score(rows: Rows) -> None:
    ranking, weights = ranked(rows)
    sample = repeated(rows)
    curve = ranking.curve(weights)
    total = sum(wrong for _, wrong in sample)
    if curve is None:
        assert not total
        return
    assert curve.threshold.tolist() == sorted({score for score, _ in sample}, reverse=True)
    for at, threshold in enumerate(curve.threshold):
        flagged = [wrong for score, wrong in sample if score >= threshold]
        assert curve.precision[at] == pytest.approx(sum(flagged) / len(flagged))
        assert curve.recall[at] == pytest.approx(sum(flagged) / total)


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 3)), max_size=12), st.sampled_from([0.01, 0.25, 0.5, 0.9, 1])
)
def test_a_quantile_is_the_least_value_that_reaches_its_share(rows: list[tuple[int, int]], share: float) -> None:
    ordered = Ordered([float(value) for value, _ in rows], list(range(len(rows))))
    values = sorted(value for value, times in rows for _ in range(times))
    (found,) = ordered.quantiles(np.array([float(n) for _, n in rows]), [share])
    if not values:
        assert found is None
        return
    assert found == next(v for v in values if sum(o <= v for o in values) >= share * len(values) * (1 - 1e-9))


def test_rows_without_values_and_values_without_weight_have_no_quantile() -> None:
    assert Ordered([], []).quantiles(np.ones(3), (0.5, 0.9)) == [None, None]
    assert Ordered([1.0], [1]).quantiles(np.array([1.0, 0.0]), (0.5,)) == [None]
