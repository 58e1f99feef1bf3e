"""The correction against what the model wrote: where they part, what is rejected, and that TRL reads the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.exporters import Placed
from guard.exporters.preference import plugin
from guard.targets.repeats import repeats
from tests.exporters.records import (
    CLAIMS,
    IN_CONTENT,
    TEMPLATES,
    TOKENIZERS,
    WORDS,
    make,
    one,
    record,
    spans,
    tokenizers,
    why,
)

BEFORE = plugin.at("before")
RETRACTED: dict[str, Any] = {"correct": "retract", "put_in": " The capital is Canberra."}


@pytest.fixture(params=TEMPLATES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]


def test_after_the_claim_the_correction_is_chosen_over_what_was_cut_off() -> None:
    row = one(record(), exporter=plugin)
    assert spans(row["chosen"])[2:] == [
        ("injected", " No, the capital is Canberra.", 1),
        ("continuation", " So I say that.", 1),
        ("continuation", "Canberra.", 1),
    ]
    assert spans(row["rejected"])[1:] == [
        ("confabulated", " It is Sydney.", 0),
        ("discarded", " Sydney has an opera house.", 0),
    ]
    assert row["messages"] == [{"role": "user", "content": "Capital of Australia?"}]
    assert (row["at"], row["ended"], row["synthesised"]) == ("after", True, False)


def test_before_the_claim_the_truth_is_chosen_over_it() -> None:
    row = one(record(), exporter=BEFORE)
    assert spans(row["chosen"]) == [
        ("context", "They ask for the capital.", 0),
        ("injected", " The capital is Canberra.", 1),
        ("continuation", " So I say that.", 1),
        ("continuation", "Canberra.", 1),
    ]
    assert spans(row["rejected"]) == [
        ("context", "They ask for the capital.", 0),
        ("confabulated", " It is Sydney.", 0),
    ]
    assert (row["at"], row["synthesised"]) == ("before", True)


def test_a_retraction_gives_rows_before_the_claim_alone() -> None:
    assert why(record(**RETRACTED), exporter=plugin) == "retraction"
    row = one(record(**RETRACTED), exporter=BEFORE)
    assert spans(row["chosen"])[1][1] == " The capital is Canberra."
    assert not row["synthesised"]


def test_what_a_list_item_begins_with_stays() -> None:
    row = one(record(text="\n- It is Sydney."), exporter=BEFORE)
    assert spans(row["chosen"])[1][1] == "\n- The capital is Canberra."


@pytest.mark.parametrize("exporter", [plugin, BEFORE], ids=["after", "before"])
@pytest.mark.parametrize("place", [{}, IN_CONTENT], ids=["reasoning", "content"])
def test_text_rows(tokenizer: Any, place: dict[str, Any], exporter: Any) -> None:
    cut_off = {place.get("channel", "reasoning"): " It has a harbour."}
    row = one(record(**place | {"discarded": cut_off}), tokenizer, exporter)
    assert row["prompt"].endswith(" It is Sydney.") is (exporter is plugin)
    assert row["chosen"].endswith("<|im_end|>")
    assert not row["rejected"].endswith("<|im_end|>")
    assert not repeats(" It is Sydney.", row["chosen"])


def test_the_discarded_answer_is_rejected_behind_the_discarded_reasoning(tokenizer: Any) -> None:
    of = record(discarded={"reasoning": " Surely.", "content": "Sydney."})
    assert one(of, tokenizer, plugin)["rejected"] == " Surely.\n</think>\n\nSydney."


def test_a_claim_that_opens_the_turn(tokenizer: Any) -> None:
    row = one(record(kept={}, text="It is Sydney."), tokenizer, BEFORE)
    assert row["prompt"].endswith("assistant\n<think>\n")
    assert row["chosen"].startswith("The capital is Canberra. So I say that.")
    assert row["rejected"] == "It is Sydney."


@pytest.mark.parametrize(("cut_off", "rejected"), [(" It", " It has a harbour."), (" It has an opera house.", None)])
def test_the_longer_of_what_was_cut_off_and_the_counterfactual_is_rejected(cut_off: str, rejected: str | None) -> None:
    row = one(record(discarded={"reasoning": cut_off}, counterfactual=" It has a harbour."), exporter=plugin)
    assert row["rejected"]["assistant"]["reasoning"].endswith(rejected or cut_off)


def test_a_counterfactual_stands_in_where_nothing_was_cut_off() -> None:
    nothing: dict[str, Any] = {"discarded": {"reasoning": " "}}
    assert why(record(**nothing), exporter=plugin) == "nothing to reject"
    row = one(record(**nothing, counterfactual=" It has a harbour."), exporter=plugin)
    assert spans(row["rejected"])[-1][1] == " It has a harbour."


def test_chosen_and_rejected_differ() -> None:
    said = " No, the capital is Canberra. So I say that."
    of = record(discarded={"reasoning": said, "content": "Canberra."})
    assert why(of, exporter=plugin) == "chosen equals rejected"


def test_a_turn_cut_short_gives_no_text_row(tokenizer: Any) -> None:
    assert not one(record(complete=False), exporter=plugin)["ended"]
    assert why(record(complete=False), tokenizer, plugin) == "turn not complete"
    assert why(record(known=0.1), tokenizer, BEFORE) == "turn not complete"


def test_what_trl_would_misread_gives_no_row(tokenizer: Any) -> None:
    assert why(record(followed=" <|im_end|>."), tokenizer, plugin) == "control token in the text"
    assert why(record(followed=" \ud800."), tokenizer, plugin) == "not text-exact"


def test_tokens_that_merge_across_the_border_give_no_row() -> None:
    made = make(TEMPLATES["qwen"])
    cut = record(text=" It is Sydney; the capi", put_in="tal is Canberra.")
    assert why(cut, made, plugin) == "tokens merge"


def test_a_place_that_is_none_is_refused() -> None:
    assert isinstance(plugin, Placed)
    with pytest.raises(ConfigError, match="'between'"):
        plugin.at("between")


def _with_start() -> Any:
    """As Llama's: the template writes the start token, and so does the tokenizer."""
    made = make("{{- bos_token }}" + TEMPLATES["qwen"])
    made.add_special_tokens({"bos_token": "<|start|>"})
    pieces: dict[str, Any] = {"single": "<|start|> $A", "special_tokens": [("<|start|>", made.bos_token_id)]}
    made.backend_tokenizer.post_processor = tokenizers.processors.TemplateProcessing(**pieces)
    return made


@pytest.mark.parametrize("exporter", [plugin, BEFORE], ids=["after", "before"])
@pytest.mark.parametrize("made", [*TOKENIZERS.values(), _with_start()], ids=[*TOKENIZERS, "start"])
def test_trl_reads_the_row_as_it_is_meant(made: Any, exporter: Any) -> None:
    datasets = pytest.importorskip("datasets")
    trl = pytest.importorskip("trl", reason="TRL reads the rows in the `train` extra")
    row = one(record(), made, exporter)
    data = datasets.Dataset.from_list([{name: row[name] for name in ("prompt", "chosen", "rejected")}])
    how = SimpleNamespace(dataset_num_proc=None, max_length=None, truncation_mode="keep_start")
    this = SimpleNamespace(_tokenizer=made)
    read = trl.DPOTrainer._prepare_dataset(this, data, made, how, "train")[0]
    start = made.bos_token or ""
    assert made.decode(read["prompt_ids"]) == start + row["prompt"]
    assert made.decode(read["chosen_ids"]) == row["chosen"] + "<|endoftext|>"
    assert made.decode(read["rejected_ids"]) == row["rejected"] + "<|endoftext|>"
    assert read["prompt_ids"].count(made.bos_token_id) == bool(start)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    claim=CLAIMS,
    kept=WORDS,
    followed=WORDS,
    answer=WORDS,
    discarded=WORDS,
    correction=WORDS,
    correct=st.sampled_from(["interrupt", "retract"]),
    channel=st.sampled_from(["reasoning", "content"]),
    known=st.sampled_from([None, 0.2, 0.9]),
    name=st.sampled_from(sorted(TEMPLATES)),
    exporter=st.sampled_from([plugin, BEFORE]),
)
def test_chosen_is_never_the_claim_and_never_rejected(
    claim: str,
    kept: str,
    followed: str,
    answer: str,
    discarded: str,
    correction: str,
    correct: str,
    channel: str,
    known: float | None,
    name: str,
    exporter: Any,
) -> None:
    made = TOKENIZERS[name]
    of = record(
        text=claim,
        kept={channel: kept},
        followed=followed,
        answer=answer if channel == "reasoning" else "",
        put_in=f" {correction}",
        correction=correction,
        discarded={channel: discarded},
        correct=correct,
        channel=channel,
        known=known,
    )
    for row in exporter.rows([of]):
        for name_ in ("reasoning", "content"):
            chosen = [s for s in row["chosen"]["spans"] if s["train"] and s["channel"] == name_]
            turn = row["chosen"]["assistant"][name_]
            assert not repeats(claim, "".join(turn[s["start"] : s["end"]] for s in chosen))
        assert not any(train for _, _, train in spans(row["rejected"]))
        assert row["chosen"] != row["rejected"]
    for row in exporter.rows([of], tokenizer=made):
        assert row["chosen"] != row["rejected"]
        assert not repeats(claim, row["chosen"])
        ids = made(row["prompt"])["input_ids"]
        for text in (row["prompt"] + row["chosen"], row["prompt"] + row["rejected"]):
            whole = made(text)["input_ids"]
            assert whole[: len(ids)] == ids
            assert made.decode(whole) == text
        assert row["prompt"].endswith(kept + claim if exporter is plugin else kept)
