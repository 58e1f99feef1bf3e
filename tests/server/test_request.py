"""A client's request: what is understood, what passes through, and which error names which field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guard.core.types import Passage
from guard.errors import RequestError
from guard.server.request import ChatCall, parse_chat

BASE: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def parsed(headers: dict[str, str] | None = None, /, **body: Any) -> ChatCall:
    return parse_chat(json.dumps(BASE | body).encode(), headers)


def refused(**body: Any) -> RequestError:
    with pytest.raises(RequestError) as raised:
        parsed(**body)
    assert "\n" not in str(raised.value)
    assert raised.value.status == 400
    return raised.value


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": 1}, "model"),
    ({"model": ""}, "model"),
    ({"model": None}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": ["Hi"]}, "messages.0"),
    ({"messages": [{"content": "Hi"}]}, "messages.0.role"),
    ({"messages": [{"role": ""}]}, "messages.0.role"),
    ({"messages": [{"role": 1}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": {}}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages.0.content"),
    ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages.0.tool_calls"),
    ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, "messages.0.tool_calls.0"),
    ({"stream": "yes"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"stream_options": True}, "stream_options"),
    ({"stream_options": {"include_usage": "no"}}, "stream_options.include_usage"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n": "2"}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": True}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"max_completion_tokens": []}, "max_completion_tokens"),
    ({"temperature": "0.5"}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"top_p": {}}, "top_p"),
    ({"seed": "1"}, "seed"),
    ({"seed": 1.5}, "seed"),
    ({"stop": 1}, "stop"),
    ({"stop": [1]}, "stop"),
    ({"tools": {}}, "tools"),
    ({"tools": ["f"]}, "tools.0"),
    ({"response_format": "json"}, "response_format"),
    ({"user": 1}, "user"),
    ({"guard": "strict"}, "guard"),
    ({"guard": {"policy": 1}}, "guard.policy"),
    ({"guard": {"polciy": "strict"}}, "guard.polciy"),
    ({"guard": {"evidence": 1}}, "guard.evidence"),
    ({"guard": {"evidence": [1]}}, "guard.evidence.0"),
    ({"guard": {"evidence": [{"source": "s"}]}}, "guard.evidence.0"),
    ({"guard": {"evidence": [{"text": 1}]}}, "guard.evidence.0"),
]


@pytest.mark.parametrize(("body", "param"), WRONG, ids=[json.dumps(body) for body, _ in WRONG])
def test_a_wrong_value_is_refused_and_its_field_named(body: dict[str, Any], param: str) -> None:
    error = refused(**body)
    assert (error.param or "").startswith(param)
    assert (error.param or "") in str(error)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"model": "\xff"}', b"[" * 100_000, b'{"a": 1e999}']
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestError) as raised:
        parse_chat(raw)
    assert raised.value.code == "invalid_json"


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"m"', b"null"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestError, match="must be a JSON object"):
        parse_chat(raw)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(RequestError, match=r"^messages: Field required$"):
        parse_chat(b'{"model": "m"}')


def test_a_long_value_is_shortened_in_the_error() -> None:
    assert len(str(refused(stream="x" * 1000))) < 200


def test_null_is_as_good_as_absent() -> None:
    nulls = dict.fromkeys(("stream", "n", "max_tokens", "stop", "tools", "response_format", "user", "guard", "seed"))
    call = parsed(**nulls)
    assert (call.stream, call.n, call.max_tokens, call.stops, call.structured, call.user) == (
        False,
        1,
        None,
        (),
        False,
        "",
    )


def test_body_wins_over_header_wins_over_model_name() -> None:
    header = {"x-guard-policy": "of-header"}
    assert parsed(header, model="m@of-name", guard={"policy": "of-body"}).policy == "of-body"
    assert parsed(header, model="m@of-name").policy == "of-header"
    assert parsed(model="m@of-name").policy == "of-name"
    assert parsed(model="m@").policy is None
    assert parsed().policy is None


def test_unknown_fields_pass_through_and_guard_does_not() -> None:
    call = parsed(model="m@strict", guard={"policy": "p"}, top_k=5, extra={"deep": [1, None]}, metadata={"guard": 1})
    assert call.model == "m"
    assert call.body == BASE | {"top_k": 5, "extra": {"deep": [1, None]}, "metadata": {"guard": 1}}


@pytest.mark.parametrize(
    "supplied", ["A fact.", ["A fact."], [{"text": "A fact."}], [{"text": "A fact.", "source": "notes"}]]
)
def test_evidence_in_every_shape(supplied: Any) -> None:
    passages = parsed(guard={"evidence": supplied}).evidence.passages
    assert passages == (Passage(source="evidence", text="A fact."), Passage(source="user", text="Hi"))


def test_evidence_is_never_what_a_model_wrote() -> None:
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": "I say so.", "reasoning_content": "Because."},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "user", "content": "Last?"},
    ]
    evidence = parsed(messages=messages).evidence
    assert [(p.source, p.text) for p in evidence.passages] == [
        ("system", "Be kind."),
        ("user", "One"),
        ("tool", "42"),
        ("user", "Last?"),
    ]
    assert evidence.question == "Last?"
    assert evidence.unreadable == ("image_url",)


def test_an_unfinished_assistant_turn_is_a_prefix() -> None:
    last = {"role": "assistant", "content": "So far", "reasoning_content": "Hm"}
    assert parsed(messages=[*BASE["messages"], last]).prefix == {"reasoning": "Hm", "content": "So far"}
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    assert parsed(messages=[*BASE["messages"], called]).prefix == {}


def test_limits_and_stops() -> None:
    assert parsed(max_tokens=5).max_tokens == 5
    assert parsed(max_tokens=5, max_completion_tokens=7).max_tokens == 7
    assert parsed(stop="END").stops == ("END",)
    assert parsed(stop=["a", "", "b"]).stops == ("a", "b")
    assert parsed(response_format={"type": "json_schema"}).structured
    assert not parsed(response_format={"type": "text"}).structured


def test_a_conversation_keeps_its_name() -> None:
    longer = [*BASE["messages"], {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "And?"}]
    assert parsed(messages=longer).conversation == parsed().conversation
    assert parsed(messages=[{"role": "user", "content": "Other"}]).conversation != parsed().conversation
    assert parsed({"x-guard-conversation": "mine"}).conversation == "mine"
