"""Segments and parts, read as Axolotl reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from guard.exporters import Row
from guard.exporters.axolotl import plugin
from guard.targets.tokens import IGNORED
from tests.exporters.records import CLAIMS, IN_CONTENT, TEMPLATES, TOKENIZERS, WORDS, one, record, trained, why
from tests.exporters.records import one as row_of

QWEN = TOKENIZERS["qwen"]


def encoded(row: Row, tokenizer: Any) -> dict[str, list[int]]:
    """What `type: input_output` makes of a row: each segment encoded by itself, without special tokens added, its ids
    the labels where `label` is true."""
    ids: list[int] = []
    labels: list[int] = []
    for segment in row["segments"]:
        assert set(segment) == {"label", "text"}
        new = tokenizer(segment["text"], add_special_tokens=False)["input_ids"]
        ids += new
        labels += new if segment["label"] else [IGNORED] * len(new)
    return {"input_ids": ids, "labels": labels}


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_axolotl_trains_the_tokens_that_prompt_completion_has(template: str) -> None:
    made = TOKENIZERS[template]
    for changes in ({}, IN_CONTENT):
        ours = one(record(**changes), made)
        theirs = encoded(row_of(record(**changes), made, plugin), made)
        assert theirs == {name: ours[name] for name in theirs}
        assert trained(theirs, made) == ours["completion"]


def test_segments_part_before_the_space() -> None:
    row = row_of(record(), QWEN, plugin)
    assert [segment["text"] for segment in row["segments"]][1:] == [
        "They ask for the capital. It is Sydney.",
        " No, the capital is Canberra.",
        " So I say that.",
        "\n</think>\n\n",
        "Canberra.",
        "<|im_end|>",
    ]
    assert [segment["label"] for segment in row["segments"]] == [False, False, True, True, True, True, True]


def test_an_unfinished_turn_is_not_ended() -> None:
    row = row_of(record(complete=False, answer=""), QWEN, plugin)
    assert row["segments"][-1] == {"label": True, "text": " So I say that."}
    assert why(record(complete=False), exporter=plugin) == "turn not complete"


def test_what_axolotl_would_read_as_a_control_token_is_not_written() -> None:
    assert why(record(followed=" So <|im_end|>."), QWEN, plugin) == "control token in the text"
    assert why(record(followed=" So \ud800."), QWEN, plugin) == "not text-exact"


def parts(message: Any, field: str = "content") -> list[tuple[str, bool]]:
    assert all(set(part) == {"type", "text", "train"} and part["type"] == "text" for part in message[field])
    return [(part["text"], part["train"]) for part in message[field]]


def test_a_turn_in_parts() -> None:
    *asked, turn = row_of(record(), exporter=plugin)["messages"]
    assert [(message["role"], parts(message)) for message in asked] == [("user", [("Capital of Australia?", False)])]
    assert parts(turn, "reasoning_content") == [
        ("They ask for the capital.", False),
        (" It is Sydney.", False),
        (" No, the capital is Canberra.", True),
        (" So I say that.", True),
    ]
    assert parts(turn) == [("Canberra.", True)]


def test_earlier_turns_of_the_model_are_not_trained() -> None:
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi.", "reasoning_content": "They greet."},
        {"role": "user", "content": "Capital of Australia?"},
    ]
    told = row_of(record(**IN_CONTENT, messages=messages), exporter=plugin)["messages"]
    assert parts(told[1]) == [("Hi.", False)]
    assert "reasoning_content" not in told[1]
    assert parts(told[-1])[-1] == (" So I say that.", True)


def test_a_tools_parameters_are_text() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "atlas", "parameters": schema}}
    row = row_of(record(tools=[tool, "no tool"]), exporter=plugin)
    (found,) = row["tools"]
    assert json.loads(found["function"]["parameters"]) == schema
    assert found["function"]["name"] == "atlas"
    assert row_of(record(), exporter=plugin)["tools"] is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(claim=CLAIMS, followed=WORDS, answer=WORDS)
def test_the_tokens_are_the_text(claim: str, followed: str, answer: str) -> None:
    of = record(text=claim, followed=followed, answer=answer)
    for row in plugin.rows([of], tokenizer=QWEN):
        text = "".join(segment["text"] for segment in row["segments"])
        assert QWEN.decode(encoded(row, QWEN)["input_ids"]) == text
