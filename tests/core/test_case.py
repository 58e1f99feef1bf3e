"""What a case may say, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from guard.core.case import Case


def case(**changes: Any) -> Case:
    return Case.model_validate({"name": "n", "text": "A bird. A fish."} | changes)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"interrupted": ["A bird.", " A fish. "]},
        {"expect": "clean"},
        {"expect": "interrupt"},
        {"expect": "interrupt", "segment": "A fish.", "reason": "no fish"},
        {"channel": "tool_calls", "tool": "look_up", "text": "{}"},
    ],
)
def test_what_a_case_says(said: dict[str, Any]) -> None:
    assert case(**said).model_dump(exclude_unset=True, mode="json") == {"name": "n", "text": "A bird. A fish."} | said


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"expect": "clean", "interrupted": ["A bird."]}, "keep one of them"),
        ({"expect": "clean", "segment": "A bird."}, "segment belongs to expect: interrupt"),
        ({"reason": "r"}, "reason belongs to expect: interrupt"),
        ({"interrupted": ["A cat."]}, "'A cat.' is no part of its text"),
        ({"expect": "interrupt", "segment": "A cat."}, "'A cat.' is no part of its text"),
        ({"channel": "tool_calls"}, "go together"),
        ({"tool": "look_up"}, "go together"),
    ],
)
def test_what_contradicts_itself(said: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        case(**said)
