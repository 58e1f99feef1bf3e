"""A Responses request as a chat request: what becomes what, what cannot, and which error names which field."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from guard.core.types import Passage
from guard.errors import RequestError
from guard.server import wire
from guard.server.request import parse_chat
from guard.server.responses_items import messages
from guard.server.responses_request import ResponsesCall, needs_native, parse_responses
from guard.server.responses_wire import ResponsesCollector

BASE: dict[str, Any] = {"model": "m", "input": "Hi"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True, "description": None}
CHAT_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
G = {"type": "function", "name": "g", "parameters": None}


def parsed(headers: dict[str, str] | None = None, /, **body: Any) -> ResponsesCall:
    return parse_responses(json.dumps(BASE | body).encode(), headers)


def chat(**body: Any) -> dict[str, Any]:
    """What upstream is asked beside the model and the messages."""
    return {name: value for name, value in parsed(**body).chat.body.items() if name not in ("model", "messages")}


def refused(**body: Any) -> RequestError:
    with pytest.raises(RequestError) as raised:
        parsed(**body)
    assert "\n" not in str(raised.value)
    assert raised.value.status == 400
    return raised.value


def call(id_: str = "c", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": id_, "name": "f", "arguments": arguments}


def called(*ids: str) -> list[dict[str, Any]]:
    return [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]


def answered(id_: str = "c", output: Any = "42") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id_, "output": output}


def tool(id_: str = "c", content: Any = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def said(text: str, **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part], "status": "completed"} | fields


def thought(*texts: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": text} for text in texts]
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": content, "encrypted_content": None} | fields


def user(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


ITEMS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "easy": ([{"role": "user", "content": "A"}], [{"role": "user", "content": "A"}]),
    "typed": ([{"type": "message", "role": "developer", "content": "A"}], [{"role": "developer", "content": "A"}]),
    "named": ([{"role": "user", "name": "Ann", "content": "A"}], [{"role": "user", "content": "A", "name": "Ann"}]),
    "one text": ([user({"type": "input_text", "text": "A"})], [{"role": "user", "content": "A"}]),
    "two texts": (
        [user({"type": "input_text", "text": "A"}, {"type": "text", "text": "B"})],
        [user({"type": "text", "text": "A"}, {"type": "text", "text": "B"})],
    ),
    "a marked text": (
        [user({"type": "input_text", "text": "A", "prompt_cache_breakpoint": {"mode": "explicit"}})],
        [user({"type": "text", "text": "A", "prompt_cache_breakpoint": {"mode": "explicit"}})],
    ),
    "an image": (
        [user({"type": "input_image", "image_url": "data:x", "detail": "low", "file_id": None})],
        [user({"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}})],
    ),
    "a file": (
        [
            user(
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:x"},
                {"type": "input_file", "file_id": "f"},
            )
        ],
        [
            user(
                {"type": "file", "file": {"file_data": "data:x", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_id": "f"}},
            )
        ],
    ),
    "a part that is the same in chat": (
        [user({"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}})],
        [user({"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}})],
    ),
    "a turn": (
        [thought("Hm"), said("A"), call("c1"), call("c2"), answered("c1"), answered("c2", [])],
        [
            {"role": "assistant", "content": "A", "reasoning_content": "Hm", "tool_calls": called("c1", "c2")},
            tool("c1"),
            tool("c2", []),
        ],
    ),
    "words behind a call": (
        [call(), said("A"), thought("Hm"), call("d"), answered()],
        [{"role": "assistant", "content": "A", "reasoning_content": "Hm", "tool_calls": called("c", "d")}, tool()],
    ),
    "calls apart": (
        [call("c"), answered("c"), call("d"), answered("d")],
        [
            {"role": "assistant", "content": None, "tool_calls": called("c")},
            tool("c"),
            {"role": "assistant", "content": None, "tool_calls": called("d")},
            tool("d"),
        ],
    ),
    "words behind words": (
        [said("A"), said("B"), call()],
        [{"role": "assistant", "content": "A"}, {"role": "assistant", "content": "B", "tool_calls": called("c")}],
    ),
    "thoughts behind words": (
        [said("A"), thought("Hm", "So"), said("B", phase="final_answer")],
        [{"role": "assistant", "content": "A"}, {"role": "assistant", "content": "B", "reasoning_content": "Hm\nSo"}],
    ),
    "thoughts alone": (
        [thought("Hm"), thought("So"), {"role": "user", "content": "A"}],
        [{"role": "assistant", "content": "", "reasoning_content": "Hm\nSo"}, {"role": "user", "content": "A"}],
    ),
    "thoughts that were not kept": (
        [{"role": "user", "content": "A"}, thought(status="in_progress"), call(), answered(), thought()],
        [{"role": "user", "content": "A"}, {"role": "assistant", "content": None, "tool_calls": called("c")}, tool()],
    ),
    "a summary": (
        [thought(summary=[{"type": "summary_text", "text": "S"}]), said("A")],
        [{"role": "assistant", "content": "A", "reasoning_content": "S"}],
    ),
    "a summary beside the thing itself": (
        [thought("Hm", summary=[{"type": "summary_text", "text": "S"}]), said("A")],
        [{"role": "assistant", "content": "A", "reasoning_content": "Hm"}],
    ),
    "a refusal": (
        [said("", content=[{"type": "refusal", "refusal": "No."}])],
        [{"role": "assistant", "content": None, "refusal": "No."}],
    ),
    "parts of an answer": (
        [said("", content=[{"type": "output_text", "text": "A"}, {"type": "output_text", "text": "B"}])],
        [{"role": "assistant", "content": "AB"}],
    ),
    "output in parts": (
        [
            call(),
            answered(output=[{"type": "input_text", "text": "4"}, {"type": "input_image", "image_url": "data:x"}]),
        ],
        [
            {"role": "assistant", "content": None, "tool_calls": called("c")},
            tool(content=[{"type": "text", "text": "4"}, {"type": "image_url", "image_url": {"url": "data:x"}}]),
        ],
    ),
}


@pytest.mark.parametrize("name", ITEMS)
def test_items_become_messages(name: str) -> None:
    items, expected = ITEMS[name]
    assert parsed(input=items).chat.body["messages"] == expected


def test_instructions_are_the_first_message() -> None:
    assert parsed(instructions="Be brief.").chat.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert parsed(instructions="").chat.body["messages"] == [{"role": "user", "content": "Hi"}]


SETTINGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"max_output_tokens": 5}, {"max_tokens": 5}),
    ({"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
    ({"temperature": 1, "top_p": 0.5, "stream": True, "user": "u"},) * 2,
    ({"service_tier": "flex", "prompt_cache_key": "k", "safety_identifier": "s", "seed": 1, "stop": ["x"]},) * 2,
    ({"top_k": 5, "extra": {"deep": [1, None]}},) * 2,
    ({"temperature": None, "user": None, "tools": None, "text": None, "reasoning": None, "unknown": None}, {}),
    ({"store": True, "metadata": {"a": "b"}, "truncation": "auto", "max_tool_calls": 3, "background": False}, {}),
    ({"previous_response_id": None, "conversation": None, "prompt": None, "context_management": [], "n": 1}, {}),
    ({"stream_options": {"include_obfuscation": False}}, {}),
    ({"stream_options": {"include_obfuscation": False, "odd": 1}}, {"stream_options": {"odd": 1}}),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
    ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
    ({"reasoning": {"effort": None}, "text": {"format": None}}, {}),
    ({"text": {"format": {"type": "text"}}}, {}),
    ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": None}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
    ),
    ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
    ({"include": ["reasoning.encrypted_content"], "top_logprobs": 2}, {}),
    ({"tools": [TOOL]}, {"tools": [CHAT_TOOL]}),
    ({"tools": [G]}, {"tools": [{"type": "function", "function": {"name": "g"}}]}),
    (
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": [CHAT_TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    ),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}},
        {"tools": [CHAT_TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    ),
    (
        {"tools": [G, TOOL], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "f"}]}},
        {"tools": [CHAT_TOOL], "tool_choice": "auto"},
    ),
    ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
    ({"tool_choice": "none"}, {}),
]


@pytest.mark.parametrize(("body", "expected"), SETTINGS, ids=[json.dumps(body) for body, _ in SETTINGS])
def test_settings_get_chats_names(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert chat(**body) == expected


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": 1}, "model"),
    ({"input": None}, "input"),
    ({"input": 1}, "input"),
    ({"input": []}, "input"),
    ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
    ({"input": ["Hi"]}, "input.0"),
    ({"input": [{}]}, "input.0.role"),
    ({"input": [{"type": 5}]}, "input.0.type"),
    ({"input": [{"role": "tool", "content": "A"}]}, "input.0.role"),
    ({"input": [{"role": "user"}]}, "input.0.content"),
    ({"input": [{"role": "user", "content": "A"}, {"role": "user", "content": 1}]}, "input.1.content"),
    ({"input": [{"role": "user", "content": ["A"]}]}, "input.0.content.0"),
    ({"input": [user({"type": "input_text"})]}, "input.0.content.0.text"),
    ({"input": [user({"type": "input_image"})]}, "input.0.content.0.image_url"),
    ({"input": [user({"type": "input_file", "file_data": 1})]}, "input.0.content.0.file_data"),
    ({"input": [{"role": "assistant", "content": [{"type": "input_image"}]}]}, "input.0.content.0.type"),
    ({"input": [{"role": "assistant", "content": [{"type": "refusal"}]}]}, "input.0.content.0.refusal"),
    ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input.0.call_id"),
    ({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]}, "input.0.arguments"),
    ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input.0.output"),
    (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "text"}]}]},
        "input.0.output.0.text",
    ),
    ({"input": [{"type": "reasoning", "content": "Hm"}]}, "input.0.content"),
    ({"input": [{"type": "reasoning", "summary": [{}]}]}, "input.0.summary.0.text"),
    ({"instructions": []}, "instructions"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": "5"}, "max_output_tokens"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"include": "x"}, "include"),
    ({"n": 2}, "n"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"text": "json"}, "text"),
    ({"text": {"format": "json"}}, "text.format"),
    ({"text": {"format": {}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
    ({"text": {"format": {"type": "json_schema", "name": "n", "schema": []}}}, "text.format.schema"),
    ({"reasoning": "low"}, "reasoning"),
    ({"reasoning": {"effort": 1}}, "reasoning.effort"),
    ({"tools": {}}, "tools"),
    ({"tools": ["f"]}, "tools.0"),
    ({"tools": [{"name": "f"}]}, "tools.0.type"),
    ({"tools": [{"type": "function"}]}, "tools.0.name"),
    ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools.0.parameters"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"tool_choice": {}}, "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "all", "tools": []}}, "tool_choice.mode"),
    ({"tool_choice": "required"}, "tool_choice"),
    (
        {"tools": [G], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "f"}]}},
        "tool_choice.tools",
    ),
    ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ({"stream_options": []}, "stream_options"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"stream": "yes"}, "stream"),
    ({"temperature": 3}, "temperature"),
    ({"user": 1}, "user"),
    ({"seed": "1"}, "seed"),
    ({"guard": {"polciy": "strict"}}, "guard.polciy"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0"),
]


@pytest.mark.parametrize(("body", "param"), WRONG, ids=[json.dumps(body) for body, _ in WRONG])
def test_a_wrong_value_is_refused_and_its_field_named(body: dict[str, Any], param: str) -> None:
    error = refused(**body)
    assert error.param == param
    assert param in str(error)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(RequestError, match=r"^input: Field required$"):
        parse_responses(b'{"model": "m"}')
    with pytest.raises(RequestError, match=r"^model: Field required$"):
        parse_responses(b'{"input": "Hi"}')
    with pytest.raises(RequestError, match="must be a JSON object"):
        parse_responses(b"[]")


def test_an_item_that_chat_has_no_place_for_is_refused() -> None:
    with pytest.raises(RequestError, match="has no counterpart in chat") as raised:
        messages([{"type": "web_search_call"}])
    assert raised.value.param == "input.0.type"


NATIVE: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"previous_response_id": None, "background": False, "conversation": None, "prompt": None}, None),
    ({"conversation": "conv_1"}, "conversation"),
    ({"conversation": {"id": "conv_1"}}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"background": True}, "background"),
    ({"context_management": [{"type": "compaction"}]}, "context_management"),
    ({"tools": [TOOL]}, None),
    ({"tools": [TOOL, {"type": "web_search"}]}, "tools.1 (web_search)"),
    ({"tools": [{"type": "custom", "name": "f"}]}, "tools.0 (custom)"),
    ({"tools": "f", "tool_choice": "auto"}, None),
    ({"tool_choice": {"type": "function", "name": "f"}}, None),
    ({"tool_choice": {"type": "mcp", "server_label": "s"}}, "tool_choice (mcp)"),
    ({"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function"}]}}, None),
    ({"tool_choice": {"type": "allowed_tools", "tools": [{"type": "mcp"}]}}, "tool_choice.tools.0 (mcp)"),
    ({"input": [said("A"), call(), answered(), thought("Hm"), "junk", {}]}, None),
    ({"input": [{"type": "computer_call", "id": "x"}]}, "input.0 (computer_call)"),
    ({"input": [{"type": "a\nb" * 100}]}, "input.0 (" + ("a\\nb" * 20)[:56] + "..)"),
    ({"input": [{"id": "msg_1"}]}, "input.0 (item_reference)"),
    ({"input": [{"id": "msg_1", "type": None}]}, "input.0 (item_reference)"),
    ({"input": [said("A"), thought(encrypted_content="gAAA")]}, "input.1 (encrypted reasoning)"),
    ({"include": ["reasoning.encrypted_content"]}, None),
    ({"input": [user({"type": "input_image", "file_id": "f"})]}, "input.0.content.0 (an image by its file_id)"),
    ({"input": [user({"type": "input_file", "file_url": "u"})]}, "input.0.content.0 (a file by its file_url)"),
    (
        {"input": [answered(output=[{"type": "input_file", "file_url": "u"}])]},
        "input.0.output.0 (a file by its file_url)",
    ),
]


@pytest.mark.parametrize(("body", "why"), NATIVE, ids=[json.dumps(body) for body, _ in NATIVE])
def test_what_only_responses_can_do_is_told(body: dict[str, Any], why: str | None) -> None:
    assert needs_native(BASE | body) == why
    if why is not None:
        assert str(refused(**body)).startswith(why)


def test_policy_and_conversation_are_chosen_as_in_chat() -> None:
    headers = {"x-guard-policy": "of-header", "x-guard-conversation": "mine"}
    call = parsed(headers, model="m@of-name", guard={"evidence": ["A fact."]}).chat
    assert (call.model, call.policy, call.conversation) == ("m", "of-header", "mine")
    assert call.evidence.passages[0] == Passage(source="evidence", text="A fact.")
    assert "guard" not in call.body
    assert parsed(guard={"policy": "p"}).chat.policy == "p"


def test_evidence_is_what_chat_would_take() -> None:
    image = {"type": "input_image", "image_url": "data:x", "detail": "auto"}
    items = [
        {"role": "developer", "content": "Be kind."},
        user({"type": "input_text", "text": "One"}, image),
        thought("Because."),
        said("I say so."),
        call(),
        answered(output=[{"type": "input_text", "text": "42"}]),
        {"role": "user", "content": "Last?"},
    ]
    evidence = parsed(input=items, instructions="First.").chat.evidence
    assert [(p.source, p.text) for p in evidence.passages] == [
        ("system", "First."),
        ("system", "Be kind."),
        ("user", "One"),
        ("tool", "42"),
        ("user", "Last?"),
    ]
    assert (evidence.question, evidence.unreadable) == ("Last?", ("image_url",))


@pytest.mark.parametrize(
    ("items", "prefix"),
    [
        ([said("So", status="in_progress")], {"content": "So"}),
        ([said("So", status="incomplete")], {"content": "So"}),
        ([thought("Hm"), said("So", status="incomplete")], {"reasoning": "Hm", "content": "So"}),
        ([said("A"), thought("Hm", status="in_progress")], {"reasoning": "Hm"}),
        ([{"role": "assistant", "content": "So", "status": "in_progress"}], {"content": "So"}),
        ([said("So")], {}),
        ([{"role": "assistant", "content": "So"}], {}),
        ([thought("Hm")], {}),
        ([said("So"), thought(status="in_progress")], {}),
        ([call() | {"status": "incomplete"}], {}),
        ([said("So", status="incomplete"), {"role": "user", "content": "On"}], {}),
    ],
)
def test_only_an_unfinished_item_at_the_end_is_gone_on_from(items: list[Any], prefix: dict[str, str]) -> None:
    assert parsed(input=[{"role": "user", "content": "Hi"}, *items]).chat.prefix == prefix


def test_limits_and_structure_are_understood() -> None:
    call = parsed(max_output_tokens=5, stop="END", text={"format": {"type": "json_object"}}, stream=True).chat
    assert (call.max_tokens, call.stops, call.structured, call.stream, call.n) == (5, ("END",), True, True, 1)
    assert not parsed(text={"format": {"type": "text"}}).chat.structured
    # Upstreams that know only the newer name can be told it, and the client's word is the one that counts.
    assert parsed(max_completion_tokens=7).chat.max_tokens == 7


# The settings that a Response repeats --------------------------------------------------------------------------------


def response(**body: Any) -> dict[str, Any]:
    """The Response of a request, found valid."""
    collector = ResponsesCollector(wire.Identity("resp_1", 7, "m"), parsed(**body).echo)
    whole = collector.answer({})
    Response.model_validate_json(json.dumps(whole), strict=True)
    return whole


def test_a_response_repeats_what_was_asked() -> None:
    asked = {
        "instructions": "Be brief.",
        "max_output_tokens": 5,
        "max_tool_calls": 2,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "temperature": 1,
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [TOOL],
        "top_p": 0.5,
        "user": "u",
    }
    found = response(**asked)
    assert {name: found[name] for name in asked} == asked


def test_a_response_has_a_value_for_what_was_not_asked() -> None:
    found = response()
    assert (found["tools"], found["tool_choice"], found["parallel_tool_calls"]) == ([], "auto", True)
    assert found["text"] == {"format": {"type": "text"}}
    assert found["reasoning"] == {"effort": None, "summary": None}
    assert (found["instructions"], found["metadata"], found["temperature"]) == (None, {}, None)
    assert "top_logprobs" not in found


def test_a_response_claims_nothing_that_guard_does_not_do() -> None:
    found = response(store=True, truncation="auto", service_tier="flex")
    assert (found["store"], found["truncation"], found["background"]) == (False, "disabled", False)
    assert "service_tier" not in found


def test_a_response_completes_what_was_half_said() -> None:
    found = response(reasoning={"effort": "low"}, text={"verbosity": "low", "format": None})
    assert found["reasoning"] == {"effort": "low", "summary": None}
    assert found["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    assert response(text={"format": schema})["text"] == {"format": schema}
    assert response(include=["message.output_text.logprobs"])["top_logprobs"] == 0
    assert response(top_logprobs=3)["top_logprobs"] == 3


# Any request ---------------------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-1, 3) | WORDS | st.just([]) | st.just({}) | st.just(["x"])
)
PARTS = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["input_text", "output_text", "text"]), "text": WORDS}),
    st.fixed_dictionaries({"type": st.just("input_image"), "detail": st.just("auto"), "image_url": WORDS}),
    st.fixed_dictionaries({"type": st.just("input_file"), "file_data": WORDS, "filename": WORDS}),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": WORDS}),
    st.fixed_dictionaries({"type": JUNK, "text": JUNK}),
)
CONTENT = WORDS | st.lists(PARTS, max_size=3)
STATUS = st.sampled_from([None, "in_progress", "completed", "incomplete"])
ROLES = st.sampled_from(["user", "assistant", "assistant", "system", "developer"])
THOUGHTS = st.none() | st.lists(st.fixed_dictionaries({"type": st.just("reasoning_text"), "text": WORDS}), max_size=2)
ITEM = st.one_of(
    st.fixed_dictionaries({"role": ROLES, "content": CONTENT}, optional={"status": STATUS, "name": JUNK}),
    st.fixed_dictionaries({"type": st.just("reasoning"), "summary": THOUGHTS, "content": THOUGHTS, "status": STATUS}),
    st.builds(call, WORDS, WORDS),
    st.builds(answered, WORDS, CONTENT),
    st.dictionaries(st.sampled_from(["type", "role", "content", "id", "name", "output"]), JUNK, max_size=4),
)
FUNCTION = st.sampled_from([TOOL, G, {"type": "function"}])
CHOICES: list[Any] = ["auto", "none", "required", {"type": "function", "name": "f"}]
CHOICES += [{"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}]
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "instructions": WORDS,
    "max_output_tokens": st.integers(1, 9),
    "max_completion_tokens": st.integers(1, 9),
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "top_logprobs": st.integers(0, 20),
    "include": st.lists(st.sampled_from(["message.output_text.logprobs", "reasoning.encrypted_content"]), max_size=2),
    "tools": st.lists(FUNCTION, max_size=2),
    "tool_choice": st.sampled_from(CHOICES),
    "parallel_tool_calls": st.booleans(),
    "text": st.fixed_dictionaries({"format": st.sampled_from([None, {"type": "text"}, {"type": "json_object"}])}),
    "reasoning": st.fixed_dictionaries({"effort": st.sampled_from([None, "low", "high"])}),
    "metadata": st.dictionaries(WORDS, WORDS, max_size=2),
    "stream": st.booleans(),
    "stream_options": st.fixed_dictionaries({"include_obfuscation": st.booleans()}),
    "store": st.booleans(),
    "user": WORDS,
    "stop": st.lists(WORDS, max_size=2),
    "guard": st.fixed_dictionaries({"policy": WORDS, "evidence": st.lists(WORDS, max_size=2)}),
}


def bodies(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    required = {"model": st.sampled_from(["m", "m@p"]), "input": WORDS | st.lists(ITEM, min_size=1, max_size=5)}
    return st.fixed_dictionaries(required, optional=fields)


def understood(body: dict[str, Any]) -> ResponsesCall | RequestError:
    try:
        return parse_responses(json.dumps(body).encode())
    except RequestError as error:
        return error


@settings(max_examples=300, deadline=None)
@given(bodies(FIELDS) | bodies({name: valid | JUNK for name, valid in FIELDS.items()}))
def test_any_request_is_refused_or_becomes_one_that_chat_accepts(body: dict[str, Any]) -> None:
    call = understood(body)
    if isinstance(call, RequestError):
        assert (call.param or "").partition(".")[0] in body
        return
    again = parse_chat(json.dumps(call.chat.body).encode())
    policy = call.chat.policy if "guard" in body or "@" in body["model"] else None
    supplied = tuple(passage for passage in call.chat.evidence.passages if passage.source == "evidence")
    evidence = replace(again.evidence, passages=supplied + again.evidence.passages)
    prefix = again.prefix if call.chat.prefix else {}
    assert replace(again, policy=policy, evidence=evidence, prefix=prefix) == call.chat
    collector = ResponsesCollector(wire.Identity("resp_1", 7, "m"), call.echo)
    Response.model_validate_json(json.dumps(collector.answer({})), strict=True)
