from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.checks import Context, Resources
from guard.checks.phrase import plugin
from guard.core.types import Evidence, Finding, Segment


def findings(text: str, *phrases: dict[str, Any]) -> tuple[Finding, ...]:
    check = plugin(plugin.Params.model_validate({"phrases": phrases}), Resources())
    segment = Segment(id=0, channel="content", start=0, end=len(text), text=text, attempt=0)
    result = check.examine(segment, Context(evidence=Evidence()))
    return result if isinstance(result, tuple) else ()


def test_says_what_it_was_told_and_where() -> None:
    phrase = {"text": "kargate", "reason": "r.", "correction": "c.", "score": 0.7, "subject": "s"}
    (found,) = findings("She came from Kargate.", phrase)
    assert found == Finding(score=0.7, reason="r.", correction="c.", subject="s", start=14, end=21)


@pytest.mark.parametrize(
    ("phrase", "text", "hit"),
    [
        ({"text": "a.c"}, "abc", ""),
        ({"text": "a.c"}, "xa.cx", "a.c"),
        ({"text": "STRASSE"}, "die strasse", "strasse"),
        ({"regex": r"version \d+\.9"}, "in Version 3.9 it", "Version 3.9"),
        ({"regex": r"\bcat\b"}, "concatenate", ""),
        ({"text": "x"}, "", ""),
    ],
)
def test_matches(phrase: dict[str, Any], text: str, hit: str) -> None:
    assert [text[f.start : f.end] for f in findings(text, phrase)] == ([hit] if hit else [])


def test_each_phrase_is_found_once_and_in_order() -> None:
    found = findings("b a b a", {"text": "a"}, {"text": "b"}, {"text": "c"})
    assert [f.start for f in found] == [2, 0]


def test_no_phrases_find_nothing() -> None:
    assert findings("anything") == ()


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ({}, "either text or regex"),
        ({"text": "a", "regex": "b"}, "either text or regex"),
        ({"regex": "(a"}, r"regex '\(a'.*use text"),
        ({"text": ""}, "at least 1 character"),
        ({"text": "a", "score": 2}, "less than or equal to 1"),
        ({"txt": "a"}, "Extra inputs"),
    ],
)
def test_bad_phrases_are_named(phrase: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        plugin.Params.model_validate({"phrases": [phrase]})


@given(st.text(min_size=1, max_size=20), st.text(max_size=60), st.text(max_size=60))
def test_a_literal_is_found_wherever_it_stands(phrase: str, before: str, after: str) -> None:
    text = before + phrase + after
    (found,) = findings(text, {"text": phrase})
    assert found.end is not None
    assert 0 <= found.start < found.end <= len(text)
