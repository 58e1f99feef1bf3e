from __future__ import annotations

from typing import Any

from guard.core.usage import Ledger


def counts(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


def test_attempts_are_summed_with_their_nested_counts() -> None:
    ledger = Ledger()
    ledger.open(0)
    ledger.open(1)
    ledger.counts(0, 0, counts(10, 5, completion_tokens_details={"reasoning_tokens": 3}, tier="a", cached=None))
    ledger.counts(1, 0, counts(15, 4, completion_tokens_details={"reasoning_tokens": 1}, tier="b", odd=True))
    total = ledger.total({"interruptions": 1}, delivered=6)
    assert total == {
        **counts(25, 9),
        "completion_tokens_details": {"reasoning_tokens": 4},
        "tier": "a",
        "cached": None,
        "odd": True,
        "guard": {"interruptions": 1, "delivered": counts(10, 6), "estimated": True},
    }


def test_one_plain_attempt_is_delivered_whole_and_no_guess() -> None:
    ledger = Ledger()
    ledger.open(0)
    ledger.counts(0, 0, counts(10, 5))
    assert ledger.total({}) == {**counts(10, 5), "guard": {"delivered": counts(10, 5)}}


def test_what_the_upstream_does_not_say_is_estimated_from_characters() -> None:
    ledger = Ledger(prompt=7)
    ledger.open(0)
    ledger.text(0, 0, 9, 0)
    assert ledger.total({}) == {**counts(7, 3), "guard": {"delivered": counts(7, 3), "estimated": True}}


def test_tokens_that_were_counted_on_the_way_are_no_guess_for_the_completion() -> None:
    ledger = Ledger(prompt=7)
    ledger.open(0)
    ledger.text(0, 0, 9, 4)
    ledger.counts(0, 0, {"prompt_tokens": 8})
    assert ledger.total({}) == {**counts(8, 4), "guard": {"delivered": counts(8, 4)}}


def test_choices_share_attempt_0_and_have_the_others_to_themselves() -> None:
    ledger = Ledger(prompt=1)
    for choice in (0, 1):
        ledger.open(0, choice)
        ledger.text(0, choice, 4, 1)
        ledger.open(1, choice)
        ledger.text(1, choice, 4, 1)
    assert ledger.total({})["completion_tokens"] == 4
    assert ledger.total({})["prompt_tokens"] == 3


def test_a_count_and_an_object_under_one_name_do_not_meet() -> None:
    ledger = Ledger()
    for attempt, odd in enumerate((1, {"a": 1})):
        ledger.open(attempt)
        ledger.counts(attempt, 0, counts(1, 1, odd=odd))
    assert ledger.total({})["odd"] == 1


def test_a_count_that_one_attempt_leaves_open_is_told_by_another() -> None:
    ledger = Ledger()
    for attempt, details in enumerate((None, {"cached_tokens": 8}, {"cached_tokens": 1})):
        ledger.open(attempt)
        counts = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "prompt_tokens_details": details}
        ledger.counts(attempt, 0, counts)
    assert ledger.total({})["prompt_tokens_details"] == {"cached_tokens": 9}
