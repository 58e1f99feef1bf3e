"""A turn in its steps."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.exporters import Row
from guard.exporters.stepwise import plugin
from tests.exporters.records import TEMPLATES, TOKENIZERS
from tests.exporters.sessions import drawn_sessions, supervised

THINKS: Any = [("reasoning", "They ask. It is Sydney. "), ("content", "It is Canberra.")]
SAYS: Any = [("content", "They ask. It is Sydney. ")]
GUARDED = " No, that is wrong. It is GUARDED."
UNREVIEWED: Mapping[str, Review] = {}


def found(
    session: SessionRecord, reviews: Mapping[str, Review] = UNREVIEWED, skipped: Counter[str] | None = None, **how: Any
) -> list[Row]:
    return list(plugin.session_rows([session], reviews, skipped=skipped, **{"unreviewed": True} | how))


def steps(row: Row) -> list[tuple[str, bool]]:
    return list(zip(row["completions"], row["labels"], strict=True))


def test_behind_an_interrupted_step_the_next_begins_with_no() -> None:
    session, _ = supervised([THINKS, [("reasoning", " So Canberra."), ("content", "Canberra.")]], ["clean", "bad"])
    (row,) = found(session)
    assert steps(row) == [
        ("They ask.", True),
        (" It is Sydney.", False),
        (GUARDED + " So Canberra.", True),
        ("Canberra.", True),
    ]
    assert row["channels"] == ["reasoning", "reasoning", "reasoning", "content"]
    assert (row["id"], row["conversation"], row["version"]) == ("s.0#3", "c", 1)
    assert row["messages"] == [{"role": "user", "content": "Capital of Australia?"}]


def test_a_retracted_claim_ends_a_row_of_its_own() -> None:
    session, _ = supervised([SAYS, [("content", " So Canberra.")]], ["clean", "bad"])
    cut, whole = found(session)
    assert steps(cut) == [("They ask.", True), (" It is Sydney.", False)]
    assert steps(whole) == [("They ask.", True), (" It is GUARDED. So Canberra.", True)]
    assert (cut["id"], whole["id"]) == ("s.0#1", "s.0#2")


def test_what_was_flagged_and_not_corrected_is_the_last_step() -> None:
    session, _ = supervised([THINKS], ["clean", "odd", "clean"])
    assert [steps(row) for row in found(session)] == [[("They ask.", True), (" It is Sydney.", False)]]


@pytest.mark.parametrize("says", ["lost", "none"])
def test_a_row_ends_before_what_nobody_looked_at(says: Any) -> None:
    session, _ = supervised([THINKS], ["clean", says, "clean"])
    assert [steps(row) for row in found(session)] == [[("They ask.", True)]]


def test_nothing_judged_gives_no_row() -> None:
    skipped = Counter[str]()
    session, _ = supervised([THINKS], ["none", "none", "none"])
    assert found(session, skipped=skipped) == []
    assert skipped == {"no step judged": 1}


def test_without_a_review_what_is_flagged_ends_the_row() -> None:
    session, _ = supervised([THINKS, [("content", "Canberra.")]], ["clean", "bad"])
    assert [len(row["labels"]) for row in found(session, unreviewed=False)] == [1]
    assert [len(row["labels"]) for row in found(session, unreviewed=False, trusted=["quick"])] == [3]
    assert [len(row["labels"]) for row in found(session, {"s.0.1": "confirmed"}, unreviewed=False)] == [3]


def test_reviewers_have_the_last_word() -> None:
    session, _ = supervised([THINKS, [("reasoning", " So."), ("content", "Canberra.")]], ["clean", "bad"])
    right, missed = found(session, {"s.0.1": "rejected"}), found(session, {"s.0#0": "rejected"})
    assert [steps(row) for row in right] == [[("They ask.", True), (" It is Sydney.", True)]]
    assert [steps(row) for row in missed] == [[("They ask.", False)]]
    assert [len(row["labels"]) for row in found(session, {"s.0.1": "disputed"})] == [1]
    kept, _ = supervised([THINKS], ["clean", "odd", "clean"])
    assert [row["labels"] for row in found(kept, {"s.0#1": "confirmed"})] == [[True, True, True]]
    assert [row["labels"] for row in found(kept, {"s.0#1": "rejected"})] == [[True, False]]


def test_a_step_that_says_again_what_was_flagged_is_not_right() -> None:
    again: Any = [("reasoning", " Well. It is SYDNEY! "), ("content", "Canberra.")]
    session, _ = supervised([THINKS, again], ["clean", "bad", "clean", "clean"])
    (row,) = found(session)
    assert [text for text, _ in steps(row)][2:] == [GUARDED + " Well."]


def test_a_correction_that_quotes_the_claim_is_no_step() -> None:
    session, _ = supervised([[("reasoning", "They ask. GUARDED. ")], [("reasoning", " So.")]], ["clean", "bad"])
    (row,) = found(session)
    assert steps(row) == [("They ask.", True), (" GUARDED.", False)]


def test_what_the_client_began_is_no_step() -> None:
    session, _ = supervised([[("content", " then. Canberra.")]], prefix={"content": "Well"})
    (row,) = found(session)
    assert steps(row) == [(" then.", True), (" Canberra.", True)]
    assert row["assistant"] == {"reasoning": "", "content": "Well"}


def test_a_tool_call_ends_the_row() -> None:
    session, _ = supervised([[("content", "They ask. "), ("tool_calls", '{"q": 1}')]], ["clean"])
    assert [steps(row) for row in found(session)] == [[("They ask.", True)]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"messages": None}, "no text"),
        ({"route": "completions"}, "raw completion"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "media"),
        ({"messages": [{"role": "assistant", "content": "Elsewhere."}]}, "unfinished turn not kept"),
    ],
)
def test_what_cannot_be_read_is_counted(changes: dict[str, Any], reason: str) -> None:
    session, _ = supervised([THINKS])
    skipped = Counter[str]()
    other = dataclasses.replace(session, provenance=dataclasses.replace(session.provenance, **changes))
    assert found(other, skipped=skipped) == []
    assert skipped == {reason: 1}


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_with_a_tokenizer_prompt_and_steps_are_one_text(template: str) -> None:
    made = TOKENIZERS[template]
    session, _ = supervised([THINKS], prefix={})
    (row,) = found(session, tokenizer=made)
    assert set(row) & {"messages", "channels"} == set()
    assert (row["prompt"] + "".join(row["completions"])).endswith(
        "<think>\nThey ask. It is Sydney.\n</think>\n\nIt is Canberra."
    )
    assert "Capital of Australia?" in row["prompt"]
    assert len(row["completions"]) == len(row["labels"]) == 3


def test_a_trainers_start_token_is_not_written_twice() -> None:
    made = TOKENIZERS["qwen"]
    begins = type(made)(tokenizer_object=made._tokenizer, bos_token="<|endoftext|>", eos_token="<|im_end|>")
    begins.chat_template = "{{- bos_token }}" + str(made.chat_template)
    session, _ = supervised([THINKS])
    (row,) = found(session, tokenizer=begins)
    assert row["prompt"].startswith("<|im_start|>user")


def test_a_control_token_in_the_text_gives_no_row() -> None:
    skipped = Counter[str]()
    session, _ = supervised([[("content", "They <|im_end|> ask.")]])
    assert found(session, skipped=skipped, tokenizer=TOKENIZERS["qwen"]) == []
    assert skipped == {"control token in the text": 1}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn_sessions())
def test_the_steps_are_the_turn(drawn: tuple[SessionRecord, list[InterruptionRecord], dict[str, Review]]) -> None:
    session, _, reviews = drawn
    (choice,) = session.choices
    rows = found(session, reviews)
    for row in rows:
        text = dict(row["assistant"])
        *before, last = zip(row["channels"], row["completions"], row["labels"], strict=True)
        for channel, step, _ in before:
            text[channel] += step
        assert all(choice.text[channel].startswith(told) for channel, told in text.items())
        stands = choice.text[last[0]].startswith(text[last[0]] + last[1])
        # What was cut out of the turn, and so is not in its text, was wrong unless reviewers say that guard was.
        assert stands or not last[2] or "rejected" in reviews.values()
    ends = [row["id"] for row in rows]
    assert len(set(ends)) == len(ends)
