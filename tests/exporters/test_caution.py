"""Saying that one does not know, where it was measured."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core.policy import Policy, Retract
from guard.core.records import Revision
from guard.core.types import Verdict
from guard.exporters.caution import Caution, plugin
from tests.exporters.records import IN_CONTENT, TOKENIZERS, one, record, spans, trained, why

AGAIN = Verdict(segment=0, check="resampling", version="1", status="flagged", disposition="interrupted")


@pytest.mark.parametrize("known", [0.0, 0.5, 0.74])
def test_below_the_threshold_the_doubt_stands_in_the_claims_place(known: float) -> None:
    row = one(record(known=known), exporter=plugin)
    assert spans(row) == [("context", "They ask for the capital.", 0), ("injected", " I could not confirm this.", 1)]
    assert (row["knows"], row["synthesised"], row["ended"]) == (False, True, False)
    assert "Sydney" not in str(row)


def test_above_it_the_truth_does_so_that_not_all_is_doubted() -> None:
    row = one(record(known=0.75), exporter=plugin)
    assert spans(row)[1:3] == [("injected", " The capital is Canberra.", 1), ("continuation", " So I say that.", 1)]
    assert row["knows"]
    assert row["ended"]


def test_what_was_not_measured_gives_no_row() -> None:
    assert why(record(), exporter=plugin) == "not measured"
    assert why(record(verdicts=(AGAIN,)), exporter=plugin) == "not measured"


def test_a_claim_that_the_model_takes_back_when_asked_again_is_one_that_it_does_not_know() -> None:
    changes: dict[str, Any] = {"verdicts": (AGAIN,), "correction": "", "put_in": " No, I do not know that."}
    row = one(record(**changes), exporter=plugin)
    assert spans(row)[1:] == [("injected", " I could not confirm this.", 1)]
    assert (row["knows"], row["ended"]) == (False, False)
    clean = Verdict(segment=0, check="resampling", version="1", status="clean")
    assert why(record(**changes | {"verdicts": (clean,)}), exporter=plugin) == "not measured"
    told = Revision(correction="It is Canberra.")
    assert why(record(**changes, revised=told), exporter=plugin) == "not measured"


@pytest.mark.parametrize("changes", [{"revised": Revision(correction="")}, {"correction": "", "correct": "retract"}])
def test_nobody_doubts_what_the_model_knows(changes: dict[str, Any]) -> None:
    assert why(record(known=0.9, **changes), exporter=plugin) == "no true statement"


def test_the_policy_words_the_doubt() -> None:
    exporter = Caution(Policy(name="p", retract=Retract(unknown="Who knows.")))
    row = one(record(**IN_CONTENT, known=0.1), exporter=exporter)
    assert spans(row)[-1] == ("injected", " Who knows.", 1)


def test_with_a_tokenizer_the_doubt_alone_is_learnt() -> None:
    qwen = TOKENIZERS["qwen"]
    row = one(record(known=0.1), qwen, plugin)
    assert trained(row, qwen) == " I could not confirm this." == row["completion"]
    assert qwen.decode(row["input_ids"]) == row["prompt"] + row["completion"]
