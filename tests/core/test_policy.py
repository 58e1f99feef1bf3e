from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from guard.core.config import Config, watched
from guard.core.policy import CheckUse, Interrupt, Policy, Watch, interruption_text, retraction_text, word
from guard.core.types import Finding
from tests.core.harness import policy


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


def test_a_check_is_found_by_name() -> None:
    assert policy().use("quick") == CheckUse(check="quick")


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
    assert retraction_text(policy(), Finding(score=1, correction=" It is 4. "), "") == "It is 4."
    assert retraction_text(policy(), Finding(score=1), "") == "I could not confirm this."


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
