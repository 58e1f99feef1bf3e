from __future__ import annotations

from typing import Any

from guard.core.budget import Budget
from guard.core.policy import Interrupt


def budget(**limits: Any) -> Budget:
    unlimited = {"max_per_response": 9, "max_per_check": 9, "cooldown_segments": 0, "max_wasted_tokens": 100}
    return Budget(Interrupt.model_validate(unlimited | limits))


def test_a_fresh_budget_refuses_nothing() -> None:
    assert budget().refusal("a", "claim") == ""


def test_a_response_has_so_many_interruptions() -> None:
    one = budget(max_per_response=1)
    one.spend("a", "claim", 0)
    assert (one.refusal("b", "other"), budget(max_per_response=0).refusal("a", "x")) == ("max_per_response",) * 2


def test_a_check_has_so_many_interruptions() -> None:
    one = budget(max_per_check=1)
    one.spend("a", "claim", 0)
    assert (one.refusal("a", "other"), one.refusal("b", "other")) == ("max_per_check", "")


def test_segments_have_to_pass_before_the_next_interruption() -> None:
    one = budget(cooldown_segments=1)
    one.segment()
    one.spend("a", "claim", 0)
    one.segment()
    assert one.refusal("a", "other") == "cooldown_segments"
    one.segment()
    assert one.refusal("a", "other") == ""


def test_without_a_cooldown_no_segment_has_to_pass() -> None:
    one = budget(cooldown_segments=0)
    one.spend("a", "claim", 0)
    assert one.refusal("a", "other") == ""


def test_wasted_tokens_run_out_but_never_before_the_first_interruption() -> None:
    one = budget(max_wasted_tokens=0)
    assert one.refusal("a", "x") == ""
    one.spend("a", "claim", 1)
    assert one.refusal("a", "other") == "max_wasted_tokens"


def test_wasted_tokens_add_up() -> None:
    one = budget(max_wasted_tokens=100)
    one.spend("a", "one", 60)
    assert one.refusal("a", "other") == ""
    one.spend("a", "two", 40)
    assert one.refusal("a", "other") == "max_wasted_tokens"


def test_the_same_claim_is_refused_the_third_time_however_it_is_written() -> None:
    one = budget()
    one.spend("a", "The claim.", 0)
    assert (one.times(" the  CLAIM "), one.refusal("a", "the claim")) == (1, "")
    one.spend("a", "the claim", 0)
    assert one.refusal("a", "*The claim*") == "repeated"


def test_what_was_corrected_behind_a_claim_does_not_make_it_a_repetition() -> None:
    one = budget()
    one.spend("a", "claim", 0, segment=5)
    assert (one.times("claim", 3), one.times("claim", 6)) == (0, 1)
    one.spend("a", "claim", 0, segment=3)
    assert one.times("claim", 6) == 1  # a cut at 3 discarded what stood at 5


def test_what_was_corrected_behind_a_cut_is_forgotten() -> None:
    one = budget()
    one.spend("a", "late claim", 0, segment=5)
    one.spend("a", "early claim", 0, segment=2)
    assert (one.times("late claim"), one.times("early claim"), one.times("early claim", 2)) == (0, 1, 0)
