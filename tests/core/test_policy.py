from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.core.config import Config, watched
from guard.core.policy import Interrupt, Policy, Recording, Watch, interruption_text, retraction_text, word
from guard.core.types import Finding
from guard.core.use import CheckUse
from tests.core.harness import policy
from tests.core.test_calibration import document

INPUT = {"check": "a", "flag_at": None, "interrupt_at": None}
WEIGHED = {"check_version": "1", "weight": 1.0}
FUSION = {"version": 1, "checks": {"a": WEIGHED}, "bias": 0.0, "flag_at": 0.5, "interrupt_at": None}
CALIBRATED = FUSION | {"checks": {"a": WEIGHED | {"calibrated": True}}}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "Bad Name"}, "Bad Name"),
        ({"nonsense": 1}, "nonsense"),
        ({"watch": {"content": {"release": "immediate", "correct": "retract"}}}, "release: checked"),
        ({"watch": {"speech": {}}}, "speech"),
        ({"checks": [{"check": "a"}, {"check": "a"}]}, "'a'"),
        ({"checks": [{"check": "a", "only_if": ["b"]}, {"check": "b"}]}, "'b'"),
        ({"checks": [{"check": "a", "interrupt_at": 0.4, "flag_at": 0.6}]}, "0.4"),
        ({"checks": [{"check": "a", "flag_at": 7}]}, "flag_at"),
        ({"checks": [{"check": "a", "flag_at": None}]}, "flag_at null makes a check an input only"),
        ({"checks": [{"check": "a", "flag_at": None, "interrupt_at": None, "used_at": 0.5}]}, "no used_at"),
        ({"checks": [{"check": "a", "used_at": 0.4}]}, "used_at 0.4 is not between flag_at 0.5 and interrupt_at 0.85"),
        ({"checks": [{"check": "a", "used_at": 0.9}]}, "used_at 0.9 is not between"),
        ({"checks": [{"check": "a", "used_at": 0.4, "interrupt_at": None}]}, "and interrupt_at None"),
        ({"checks": [INPUT, {"check": "b", "only_if": ["a"]}]}, "['a'], which never flags"),
        ({"checks": [{"check": "b"}], "fusion": FUSION}, "fusion weighs ['a'], which the policy does not run"),
        ({"checks": [INPUT | {"calibration": document(check="a")}], "fusion": FUSION}, "stands here with calibration"),
        ({"checks": [{"check": "a"}], "fusion": CALIBRATED}, "check 'a', which stands here without calibration"),
        ({"checks": [{"check": "a", "calibration": "a.json"}]}, "a.json"),
        ({"fusion": "fused.json"}, "fused.json"),
        ({"interrupt": {"message": "No, {why}"}}, "'why'"),
        ({"interrupt": {"message": "No, {"}}, "'No, {'"),
        ({"interrupt": {"max_per_response": -1}}, "max_per_response"),
        ({"retract": {"unknown": "{oops}"}}, "'oops'"),
        ({"reask": {"message": "{oops}"}}, "'oops'"),
        ({"mode": "observe"}, "observe holds nothing back"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as caught:
        policy(**fields)
    assert named in str(caught.value)


def test_parameters_of_a_check_are_gathered() -> None:
    assert CheckUse.model_validate({"check": "a", "top": 3}).params == {"top": 3}
    assert CheckUse.model_validate({"check": "a", "params": {"top": 3}}).params == {"top": 3}
    with pytest.raises(ValidationError):
        CheckUse.model_validate("a")


@pytest.mark.parametrize(
    ("score", "act"),
    [(0.0, "none"), (0.49, "none"), (0.5, "flag"), (0.84, "flag"), (0.85, "interrupt"), (1, "interrupt")],
)
def test_thresholds_judge_the_highest_score(score: float, act: str) -> None:
    assert CheckUse(check="a").judge((Finding(score=0.0), Finding(score=score))) == act


def test_without_findings_there_is_nothing_to_act_on_even_at_threshold_zero() -> None:
    assert CheckUse(check="a", flag_at=0.0, interrupt_at=0.0).judge(()) == "none"


def test_a_check_may_flag_and_never_interrupt() -> None:
    assert CheckUse(check="a", interrupt_at=None).judge((Finding(score=1.0),)) == "flag"


def test_a_check_may_be_an_input_only() -> None:
    made = policy(checks=[INPUT], fusion=FUSION).use("a")
    assert made.judge((Finding(score=1.0),)) == "none"


def test_premises_are_the_findings_from_used_at_on_the_surest_first() -> None:
    low, middle, high = (Finding(score=score) for score in (0.59, 0.6, 0.8))
    assert CheckUse(check="a", used_at=0.6).premises((low, middle, high)) == (high, middle)
    assert CheckUse(check="a").premises((high,)) == ()
    assert CheckUse(check="a", used_at=0.6, interrupt_at=None).premises((middle,)) == (middle,)


def test_a_check_is_found_by_name() -> None:
    assert policy().use("quick") == CheckUse(check="quick")


def test_messages_can_be_localised() -> None:
    made = policy(interrupt={"message": "Nein, {reason} {correction}", "unknown": "Nein, {claim} weiß ich nicht."})
    assert interruption_text(made, Finding(score=1), "das") == "Nein, das weiß ich nicht."
    assert interruption_text(made, Finding(score=1, reason="falsch.", correction="Vier."), "") == "Nein, falsch. Vier."


def test_a_message_is_one_line_without_gaps() -> None:
    finding = Finding(score=1, reason="two\n lines.", evidence="e")
    assert word("No, {reason} {correction} {claim}/{evidence} ", finding, " c ") == "No, two lines. c/e"


def test_an_interruption_has_a_correction_or_leave_not_to_know() -> None:
    made = policy()
    both = Finding(score=1, reason="wrong.", correction="It is 4.")
    assert interruption_text(made, both, "") == "No, wrong. It is 4."
    assert interruption_text(made, Finding(score=1, reason="wrong."), "") == "No, wrong. I could not confirm this."
    assert interruption_text(made, Finding(score=1, correction="It is 4."), "") == "No, It is 4."
    assert interruption_text(made, Finding(score=1), "") == "No, I do not know that."


def test_a_retraction_is_the_true_statement_or_the_unknown_message() -> None:
    assert retraction_text(policy(), (Finding(score=1, correction=" It is 4. "),), "x") == "It is 4."
    assert retraction_text(policy(), (Finding(score=1),), "x") == "I could not confirm this."


def wrong(claim: str, stretch: str, correction: str, **fields: Any) -> Finding:
    start = claim.index(stretch)
    fields = {"score": 1.0, "fits": True} | fields
    return Finding(correction=correction, start=start, end=start + len(stretch), **fields)


@pytest.mark.parametrize(
    ("claim", "found", "expected"),
    [
        ("5 + 5 = 11 apples.", [("5 + 5 = 11", "5 + 5 = 10.")], "5 + 5 = 10 apples."),
        ("Ada was born in W.", [("Ada was born in W", "Ada was born in Z.")], "Ada was born in Z."),
        ("Ada was born in W.", [("Ada was born in W.", "Ada was born in Z.")], "Ada was born in Z."),
        ("So the sea is X, I think.", [("the sea is X", "The sea is Y.")], "So the sea is Y, I think."),
        ("so ada is in W, ok", [("ada is in W", "Ada is in Z.")], "so Ada is in Z, ok"),
        ("1 + 1 = 3, 2 + 2 = 5.", [("2 + 2 = 5", "2 + 2 = 4."), ("1 + 1 = 3", "1 + 1 = 2.")], "1 + 1 = 2, 2 + 2 = 4."),
    ],
)
def test_a_correction_that_fits_leaves_the_rest_of_the_sentence(
    claim: str, found: list[tuple[str, str]], expected: str
) -> None:
    findings = tuple(wrong(claim, stretch, correction) for stretch, correction in found)
    assert retraction_text(policy(), findings, claim) == expected
    shifted = tuple(replace(f, start=f.start + 3, end=(f.end or 0) + 3) for f in findings)
    assert retraction_text(policy(), shifted, claim, 3) == expected


def test_what_does_not_fit_is_replaced_whole() -> None:
    claim = "5 + 5 = 11 apples."
    whole = Finding(score=1, correction="It is 10.", fits=True)
    overlapping = (wrong(claim, "5 + 5 = 11", "A."), wrong(claim, "= 11 apples", "B.", score=0.9))
    assert retraction_text(policy(), (whole,), claim) == "It is 10."
    assert retraction_text(policy(), overlapping, claim) == "A."
    assert retraction_text(policy(), (wrong(claim, "11", "It is 10.", fits=False),), claim) == "It is 10."


def config(made: Policy, structured: bool = False) -> Config:
    return Config(session="s", choice=0, policy=made, checks=(), structured=structured, count=len)


def test_off_watches_nothing() -> None:
    assert watched(config(policy(mode="off"))) == {}


def test_structured_content_is_held_whole_only_where_the_policy_may_act() -> None:
    loose: dict[str, Any] = {"watch": {"content": {"release": "immediate"}, "reasoning": {"release": "immediate"}}}
    assert watched(config(policy(**loose), structured=True)) == {
        "content": Watch(release="checked", unit="whole"),
        "reasoning": Watch(release="immediate"),
    }
    observing = policy(**loose, mode="observe")
    assert watched(config(observing, structured=True)) == observing.watch
    assert watched(config(policy(watch={}), structured=True)) == {}


def test_the_defaults_are_those_of_the_shipped_policy() -> None:
    limits = Interrupt()
    assert (limits.max_per_response, limits.max_per_check, limits.cooldown_segments) == (3, 2, 1)
    assert (limits.max_late_segments, limits.at_limit) == (3, "caveat")


@pytest.mark.parametrize(("field", "wrong"), [("top_logprobs", 21), ("top_logprobs", -1), ("counterfactual", 1.5)])
def test_what_a_record_cannot_hold_is_refused(field: str, wrong: float) -> None:
    with pytest.raises(ValidationError, match=field):
        Recording.model_validate({field: wrong})


@given(st.text(), st.floats(0, 1))
def test_who_is_in_the_share_depends_on_the_id_alone(key: str, share: float) -> None:
    wanted = Recording(counterfactual=share).wants_counterfactual(key)
    assert wanted == Recording(counterfactual=share, reveal=True).wants_counterfactual(key)
    assert not wanted or Recording(counterfactual=min(1, share * 2)).wants_counterfactual(key)
    assert Recording(counterfactual=1).wants_counterfactual(key)
    assert not Recording().wants_counterfactual(key)


def test_the_share_is_kept() -> None:
    record = Recording(counterfactual=0.3)
    assert 270 < sum(record.wants_counterfactual(f"chatcmpl-{i}.0.1") for i in range(1000)) < 330
