"""Transcripts as if nothing had been made up: what stands for a claim, and whose turns they are made of."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.core.records import InterruptionRecord, Revision
from guard.exporters.clean import plugin
from guard.targets.repeats import repeats
from tests.exporters.records import CLAIMS, IN_CONTENT, TEMPLATES, TOKENIZERS, WORDS, one, record, spans, trained, why

FIRST, SECOND = " It is Sydney.", " It has ten hills."


@pytest.fixture(params=TEMPLATES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]


def twice(**changes: Any) -> list[InterruptionRecord]:
    """A turn that was interrupted in its reasoning, and again; changes go to the first."""
    kept = "They ask for the capital."
    first = record(**{"start": len(kept), "complete": False, "followed": " So I say that.", "answer": ""} | changes)
    cut = first.interruption
    before = kept + (FIRST if cut.correct == "interrupt" else "") + cut.put_in + " So I say that."
    second = record(
        id="s.0.2",
        number=2,
        text=SECOND,
        start=len(before),
        kept={"reasoning": before},
        put_in=" No, it has three hills.",
        correction="It has three hills.",
        followed=" Fine.",
    )
    return [first, second]


def test_only_what_was_confirmed_is_selected() -> None:
    records = [record(review=review) for review in ("confirmed", "unreviewed", "rejected")]
    assert list(plugin.select(records, unreviewed=True, trusted={"knowledge"})) == records[:1]
    assert not list(plugin.select([record(review="confirmed", outcome="relapsed")]))


def test_the_truth_stands_in_the_claims_place() -> None:
    row = one(record(), exporter=plugin)
    assert spans(row) == [
        ("kept", "They ask for the capital.", 1),
        ("injected", " The capital is Canberra.", 1),
        ("continuation", " So I say that.", 1),
        ("continuation", "Canberra.", 1),
    ]
    assert (row["corrections"], row["ended"]) == (1, True)
    assert "Sydney" not in str(row)
    assert "No," not in str(row)


@pytest.mark.parametrize("which", [0, 1])
def test_a_turn_in_which_something_else_was_flagged_gives_no_row(which: int) -> None:
    records = twice()
    closing = records[which].closing
    assert closing is not None
    records[which] = dataclasses.replace(records[which], closing=dataclasses.replace(closing, uncorrected=1))
    skipped: Counter[str] = Counter()
    assert list(plugin.rows(records, skipped=skipped)) == []
    assert skipped == {"something else was flagged or unscanned": 1}
    assert len(list(plugin.rows(twice()))) == 1


def test_a_retraction_is_as_it_was() -> None:
    row = one(record(correct="retract", put_in=" The capital, Canberra."), exporter=plugin)
    assert row["assistant"]["reasoning"] == "They ask for the capital. The capital, Canberra. So I say that."


def test_a_claim_without_a_correction_gives_way_to_doubt() -> None:
    row = one(record(correction="", put_in=" No, I do not know that."), exporter=plugin)
    assert spans(row)[1][1] == " I could not confirm this."


@pytest.mark.parametrize("place", [{}, IN_CONTENT], ids=["reasoning", "content"])
def test_tokens_spell_the_turn_and_all_of_it_is_trained(tokenizer: Any, place: dict[str, Any]) -> None:
    row = one(record(**place), tokenizer, plugin)
    assert tokenizer.decode(row["input_ids"]) == row["prompt"] + row["completion"]
    assert trained(row, tokenizer) == row["completion"]
    assert row["prompt"].endswith("<|im_start|>assistant\n<think>\n")
    ends = {
        "reasoning": " The capital is Canberra. So I say that.\n</think>\n\nCanberra.<|im_end|>",
        "content": "\n</think>\n\nWell. The capital is Canberra. So I say that.<|im_end|>",
    }
    assert row["completion"] == "They ask for the capital." + ends[place.get("channel", "reasoning")]


def test_a_turn_without_reasoning(tokenizer: Any) -> None:
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    row = one(record(**IN_CONTENT | {"kept": {"content": "Well."}, "parameters": off}), tokenizer, plugin)
    assert row["completion"] == "Well. The capital is Canberra. So I say that.<|im_end|>"
    assert tokenizer.decode(row["input_ids"]) == row["prompt"] + row["completion"]


def test_what_the_client_began_is_context(tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "Capital?"}, {"role": "assistant", "content": "We"}]
    begun = record(**IN_CONTENT | {"messages": messages, "kept": {"content": "Well."}})
    assert spans(one(begun, exporter=plugin))[0] == ("context", "We", 0)
    row = one(begun, tokenizer, plugin)
    assert row["prompt"].endswith("We")
    assert row["completion"].startswith("ll. The capital")


@pytest.mark.parametrize("how", [{}, {"correct": "retract", "put_in": " The capital is Canberra."}])
def test_a_turn_interrupted_twice_is_one_row(tokenizer: Any, how: dict[str, Any]) -> None:
    rows = list(plugin.rows(twice(**how)))
    assert [row["corrections"] for row in rows] == [2]
    assert rows[0]["assistant"]["reasoning"] == (
        "They ask for the capital. The capital is Canberra. So I say that. It has three hills. Fine."
    )
    assert [row["id"] for row in plugin.rows(twice(**how), tokenizer=tokenizer)] == ["s.0.2"]


def test_turns_do_not_mix() -> None:
    other = dataclasses.replace(record().provenance, session="t")
    one_, two = twice()
    between = dataclasses.replace(record(), provenance=other)
    assert [row["corrections"] for row in plugin.rows([one_, between, two])] == [1, 2]


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (twice()[:1], "turn not complete"),
        (twice()[1:], "earlier correction missing"),
        (twice(start=0), "earlier correction missing"),
        (twice(correction="It has ten hills."), "repeats the claim"),
        (twice(correction="It is Sydney."), "correction quotes the claim"),
        (twice(known=0.1), "model does not know"),
        ([record(known=0.1)], "model does not know"),
        ([record(complete=False)], "turn not complete"),
        ([record(kept={"reasoning": "It is Sydney? Hm."})], "repeats the claim"),
        ([record(followed=" Yes. It is Sydney.")], "turn not complete"),
        ([record(continuation="reask")], "not continued in place"),
    ],
)
def test_what_gives_no_row(records: list[InterruptionRecord], reason: str) -> None:
    from collections import Counter

    skipped: Counter[str] = Counter()
    assert list(plugin.rows(records, skipped=skipped)) == []
    assert skipped == {reason: 1}


def test_a_model_that_said_it_does_not_know_goes_on_with_its_own_words() -> None:
    row = one(record(known=0.1, correction="", reason="", put_in=" No, I do not know that."), exporter=plugin)
    assert spans(row)[1:3] == [("injected", " I could not confirm this.", 1), ("continuation", " So I say that.", 1)]


def test_a_text_no_tokenizer_takes_gives_no_row(tokenizer: Any) -> None:
    assert why(record(followed=" \ud800"), tokenizer, plugin) == "not text-exact"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    claim=CLAIMS,
    kept=WORDS,
    followed=WORDS,
    answer=WORDS,
    correction=WORDS,
    correct=st.sampled_from(["interrupt", "retract"]),
    channel=st.sampled_from(["reasoning", "content"]),
    known=st.sampled_from([None, 0.2, 0.9]),
    name=st.sampled_from(sorted(TEMPLATES)),
)
def test_no_flagged_claim_is_ever_a_target(
    claim: str,
    kept: str,
    followed: str,
    answer: str,
    correction: str,
    correct: str,
    channel: str,
    known: float | None,
    name: str,
) -> None:
    made = TOKENIZERS[name]
    of = record(
        text=claim,
        kept={channel: kept},
        followed=followed,
        answer=answer if channel == "reasoning" else "",
        put_in=f" {correction}",
        correction=correction,
        correct=correct,
        channel=channel,
        known=known,
    )
    for row in plugin.rows([of]):
        assert not any(repeats(claim, row["assistant"][name_]) for name_ in ("reasoning", "content"))
    for row in plugin.rows([of], tokenizer=made):
        assert made.decode(row["input_ids"]) == row["prompt"] + row["completion"]
        assert trained(row, made) == row["completion"]
        assert row["completion"].endswith("<|im_end|>")


def test_a_turn_that_a_reviewer_would_have_worded_otherwise_is_not_written() -> None:
    revised = Revision(correction="It is Canberra.")
    assert why(record(review="confirmed", revised=revised), exporter=plugin) == "reworded by a reviewer"
    assert one(record(review="confirmed", revised=Revision(label="place")), exporter=plugin)["mistake"] == "place"
