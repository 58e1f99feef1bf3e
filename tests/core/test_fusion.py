"""Several checks weighed together: what each answer adds, and whose it is."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.core.fusion import CLIP, Fused, Fusion, evidence
from guard.core.types import Finding, Status, Verdict


def fusion(**fields: Any) -> Fusion:
    base: dict[str, Any] = {
        "version": 1,
        "checks": {
            "a": {"check_version": "1", "weight": 1.0, "silent": -1.0},
            "b": {"check_version": "1", "weight": 0.5, "silent": -2.0},
        },
        "bias": 0.25,
        "flag_at": 0.5,
        "interrupt_at": 0.9,
    }
    return Fusion.model_validate(base | fields)


def verdict(*scores: float, status: Status = "clean", check: str = "a") -> Verdict:
    findings = tuple(Finding(score=score) for score in scores)
    return Verdict(segment=0, check=check, version="1", status=status, findings=findings)


def probability(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("verdicts", "check", "log_odds"),
    [
        ({"a": verdict(0.8), "b": verdict(0.9)}, "a", 0.25 + math.log(4) + 0.5 * math.log(9)),
        ({"a": verdict(0.6), "b": verdict(0.9)}, "b", 0.25 + math.log(1.5) + 0.5 * math.log(9)),
        ({"a": verdict(0.2, 0.8), "b": verdict()}, "a", 0.25 + math.log(4) - 2),
        ({"a": verdict(), "b": verdict(0.9, status="flagged")}, "b", 0.25 - 1 + 0.5 * math.log(9)),
        ({"b": verdict(0.9)}, "b", 0.25 + 0.5 * math.log(9)),
        ({"a": verdict(status="unscanned"), "b": verdict(0.9)}, "b", 0.25 + 0.5 * math.log(9)),
        ({"a": verdict(status="not_applicable"), "b": verdict(0.9)}, "b", 0.25 + 0.5 * math.log(9)),
        ({"a": verdict(1.0)}, "a", 0.25 + math.log((1 - CLIP) / CLIP)),
        ({"a": verdict(0.5), "b": verdict(0.5), "c": verdict(1.0)}, "a", 0.25),
    ],
)
def test_log_odds_add_up(verdicts: dict[str, Verdict], check: str, log_odds: float) -> None:
    found = fusion().fuse(verdicts)
    assert found is not None
    assert found.check == check
    assert found.probability == pytest.approx(probability(log_odds))


@pytest.mark.parametrize("verdicts", [{}, {"a": verdict(), "b": verdict(0.0)}, {"c": verdict(1.0)}])
def test_without_a_finding_there_is_no_probability(verdicts: dict[str, Verdict]) -> None:
    assert fusion(bias=9.0).fuse(verdicts) is None


def test_a_finding_that_speaks_against_is_still_the_one_to_speak_of() -> None:
    silent_is_loud = {
        "a": {"check_version": "1", "weight": 1.0, "silent": 8.0},
        "b": {"check_version": "1", "weight": 1.0},
    }
    found = fusion(checks=silent_is_loud).fuse({"a": verdict(), "b": verdict(0.1)})
    assert found is not None
    assert found.check == "b"
    assert found.probability > 0.99


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 5))
def test_a_surer_finding_never_makes_a_statement_more_credible(one: float, other: float, weight: float) -> None:
    low, high = sorted((max(one, 0.001), max(other, 0.001)))
    made = fusion(checks={"a": {"check_version": "1", "weight": weight}})
    less, more = made.fuse({"a": verdict(low)}), made.fuse({"a": verdict(high)})
    assert isinstance(less, Fused)
    assert isinstance(more, Fused)
    assert less.probability <= more.probability


def test_evidence_is_clipped_at_both_ends() -> None:
    assert evidence(0.5) == 0.0
    assert evidence(1.0) == pytest.approx(math.log(999))
    assert evidence(0.0) == pytest.approx(-math.log(999))


@pytest.mark.parametrize(
    ("fields", "chance", "act"),
    [
        ({}, 0.49, "none"),
        ({}, 0.5, "flag"),
        ({}, 0.9, "interrupt"),
        ({"interrupt_at": None}, 1.0, "flag"),
        ({"interrupt_at": None, "flag_at": None}, 1.0, "none"),
    ],
)
def test_thresholds_judge_the_probability(fields: dict[str, Any], chance: float, act: str) -> None:
    assert fusion(**fields).judge(chance) == act


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"checks": {"a": {"check_version": "1", "weight": -0.1}}}, "greater than or equal to 0"),
        ({"checks": {"a": {"check_version": "1", "weight": float("inf")}}}, "finite"),
        ({"checks": {}}, "at least 1 item"),
        ({"version": 2}, "version"),
        ({"flag_at": 0.95}, "interrupt_at 0.9 is below flag_at 0.95"),
        ({"flag_at": None}, "interrupt_at 0.9 is below flag_at None"),
        ({"wieghts": 1}, "wieghts"),
    ],
)
def test_a_fusion_that_is_none_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        fusion(**fields)
    assert said in str(caught.value)
