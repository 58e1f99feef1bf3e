"""The wrong part and the correction as messages, by the rules that the service states."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exporters.openai import ROLES, plugin
from tests.exporters.records import IN_CONTENT, TOKENIZERS, WORDS, one, record, why

TOOL = {"type": "function", "function": {"name": "atlas", "parameters": {"type": "object"}}}


def row(**changes: Any) -> Any:
    return one(record(**IN_CONTENT, **changes), exporter=plugin)


def demand(chat: Any) -> None:
    """OpenAI's own rules for a line of a file."""
    assert set(chat) <= {"messages", "tools", "parallel_tool_calls"}
    messages = chat["messages"]
    assert messages[-1]["role"] == "assistant"
    assert any(message.get("weight") == 1 for message in messages)
    for message in messages:
        assert set(message) <= {"role", "content", "name", "weight", "tool_calls", "tool_call_id"}
        assert message["role"] in ROLES
        assert ("weight" in message) is (message["role"] == "assistant")
        assert message.get("weight", 0) in (0, 1)
        assert isinstance(message.get("content"), str) or message["tool_calls"]


def test_the_wrong_part_weighs_nothing() -> None:
    assert row() == {
        "messages": [
            {"role": "user", "content": "Capital of Australia?"},
            {"role": "assistant", "content": "Well. It is Sydney.", "weight": 0},
            {"role": "assistant", "content": "No, the capital is Canberra. So I say that.", "weight": 1},
        ]
    }


def test_earlier_turns_of_the_model_weigh_nothing_either() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "atlas", "arguments": "{}"}, "index": 0}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Be exact."}], "cache_control": {"type": "ephemeral"}},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi.", "reasoning_content": "They greet."},
        {"role": "user", "content": "Capital of Australia?", "name": "kim"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "Canberra"},
    ]
    chat = row(messages=messages, tools=[TOOL])
    demand(chat)
    assert [message.get("weight") for message in chat["messages"]] == [None, None, 0, None, 0, None, 0, 1]
    assert chat["tools"] == [TOOL]
    assert chat["messages"][4]["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "atlas", "arguments": "{}"}}
    ]


def test_what_the_client_began_is_no_target() -> None:
    messages = [{"role": "user", "content": "Capital of Australia?"}, {"role": "assistant", "content": "Well."}]
    chat = row(messages=messages)
    assert [message["content"] for message in chat["messages"]][1:] == [
        "Well. It is Sydney.",
        "No, the capital is Canberra. So I say that.",
    ]


def test_what_the_format_cannot_say_is_left_out() -> None:
    assert why(record(), exporter=plugin) == "claim in the reasoning"
    assert why(record(**IN_CONTENT, complete=False), exporter=plugin) == "turn not complete"
    assert why(record(**IN_CONTENT, known=0.1), exporter=plugin) == "turn not complete"
    assert why(record(**IN_CONTENT, messages=[{"role": "critic", "content": "Hm."}]), exporter=plugin) == "role"
    assert why(record(**IN_CONTENT, continuation="reask"), exporter=plugin) == "not continued in place"


def test_a_tokenizer_changes_nothing() -> None:
    of = record(**IN_CONTENT)
    assert one(of, TOKENIZERS["qwen"], plugin) == one(of, exporter=plugin)


@settings(max_examples=60)
@given(
    WORDS,
    st.sampled_from(["interrupt", "retract"]),
    st.booleans(),
    st.lists(st.sampled_from(sorted(ROLES)), max_size=4),
)
def test_every_row_keeps_the_rules(text: str, correct: str, tools: bool, roles: list[str]) -> None:
    changes: dict[str, Any] = IN_CONTENT | {"correct": correct, "followed": text, "tools": [TOOL] if tools else None}
    asked = [{"role": "user", "content": "Capital of Australia?"}]
    messages = [*({"role": role, "content": text, "tool_call_id": "c"} for role in roles), *asked]
    for chat in plugin.rows([record(**changes, messages=messages)]):
        demand(chat)
