"""Conversations as clients send them, whatever they send."""

from __future__ import annotations

from typing import Any

import pytest

from guard.targets.example import conversation

ASKED = {"role": "user", "content": "Capital?"}


@pytest.mark.parametrize("thought", [["x"], {"a": 1}, 5, True])
def test_reasoning_that_is_no_text_is_none(thought: Any) -> None:
    begun = {"role": "assistant", "content": "Well", "reasoning_content": thought}
    assert conversation([ASKED, begun]) == ([ASKED], "", "Well")


@pytest.mark.parametrize("part", [{"type": ["text"], "text": "a"}, {"text": "a"}, "a", None])
def test_parts_of_another_shape_are_no_text(part: Any) -> None:
    assert conversation([{"role": "user", "content": [part]}]) == "media"
