"""What of log-probabilities a request asks for when guard wants some of its own, and what its client is to see."""

from __future__ import annotations

from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.chat.asked import plain_messages, telling

MANY = {"logprobs": True, "top_logprobs": 9}


@pytest.mark.parametrize(
    ("body", "top", "always", "asked", "hide", "most"),
    [
        ({}, 0, False, {}, False, None),
        ({}, 0, True, {"logprobs": True}, True, None),
        ({}, 3, False, {"logprobs": True, "top_logprobs": 3}, True, None),
        ({"logprobs": None}, 3, True, {"logprobs": True, "top_logprobs": 3}, True, None),
        ({"logprobs": True}, 0, True, {"logprobs": True}, False, None),
        ({"logprobs": True}, 3, False, {"logprobs": True, "top_logprobs": 3}, False, 0),
        ({"logprobs": True, "top_logprobs": 2}, 3, False, {"logprobs": True, "top_logprobs": 3}, False, 2),
        (MANY, 3, False, MANY, False, None),
        (MANY | {"top_logprobs": "9"}, 3, False, MANY | {"top_logprobs": "9"}, False, None),
    ],
)
def test_a_chat(body: Any, top: int, always: bool, asked: Any, hide: bool, most: int | None) -> None:
    told = telling(ChatRequest(body=body | {"model": "m"}, top_logprobs=top), always)
    assert told.request.body == asked | {"model": "m"}
    assert (told.hide, told.most, told.request.top_logprobs) == (hide, most, top)


@pytest.mark.parametrize(
    ("body", "top", "asked", "hide"),
    [
        ({}, 0, {}, False),
        ({}, 3, {"logprobs": 3}, True),
        ({"logprobs": False}, 3, {"logprobs": 3}, True),
        ({"logprobs": 0}, 3, {"logprobs": 0}, False),
        ({"logprobs": 1}, 3, {"logprobs": 1}, False),
    ],
)
def test_a_raw_completion(body: Any, top: int, asked: Any, hide: bool) -> None:
    told = telling(ChatRequest(body=body, prompt="Hi", top_logprobs=top), always=True)
    assert (told.request.body, told.hide, told.most) == (asked, hide, None)


def test_text_parts_stand_on_lines_of_their_own() -> None:
    parts = [{"type": "text", "text": "Where was Ada Velm born?"}, {"type": "text", "text": "In one word."}]
    told = plain_messages(ChatRequest(body={"model": "m", "messages": [{"role": "user", "content": parts}]}))
    assert told == [{"role": "user", "content": "Where was Ada Velm born?\nIn one word."}]
