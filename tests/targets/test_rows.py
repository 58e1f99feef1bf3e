"""Columns of one type, whatever clients sent."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from guard.core.records import Revision
from guard.targets.rows import as_text, origin, told
from tests.exporters.records import record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["role", "content", "name", "tool_calls", "audio"])


@given(st.lists(st.dictionaries(KEYS, JSON), max_size=3))
def test_every_value_of_a_message_is_text_or_calls(messages: list[dict[str, Any]]) -> None:
    for message, flat in zip(messages, told(messages), strict=True):
        assert flat.keys() <= message.keys()
        for key, value in flat.items():
            if key == "tool_calls":
                assert all(call.keys() == {"id", "type", "function"} for call in value)
            else:
                assert value == message[key] or (value is not None and json.loads(value) == message[key])
                assert value is None or isinstance(value, str)


def test_a_calls_arguments_are_text_however_they_came() -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": {"q": "é"}}}, {"function": "damaged"}, "damaged"]
    assert told([{"role": "assistant", "tool_calls": calls}])[0]["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"q": "é"}'}},
        {"id": None, "type": "function", "function": {"name": None, "arguments": None}},
    ]


def test_text_and_nothing_stay_what_they_are() -> None:
    assert (as_text(None), as_text("a"), as_text([]), as_text({"é": 1})) == (None, "a", "[]", '{"é": 1}')


def test_a_reviewers_word_for_the_mistake_is_told() -> None:
    assert origin(record(revised=Revision(label="place")))["mistake"] == "place"
    assert origin(record())["mistake"] == ""
