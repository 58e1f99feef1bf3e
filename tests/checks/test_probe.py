"""Probe: the largest average, where it is, and nothing where tokens carry none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.checks import Context, NotApplicable, Resources, Result
from guard.checks.probe import highest, plugin
from guard.core.types import Evidence, Finding, Segment, Spelled, Token

Said = list[tuple[str, float | None]]


def examine(said: Said, text: str | None = None, **params: int) -> Result:
    spelling: list[tuple[int, Token]] = []
    at = 0
    for word, probe in said:
        spelling.append((at, Token(id=at, text=word, probe=probe)))
        at += len(word)
    told: Spelled = tuple(spelling)
    text = "".join(word for word, _ in said) if text is None else text
    segment = Segment(id=0, channel="content", start=7, end=7 + len(text), text=text, attempt=0)
    check = plugin(plugin.Params.model_validate(params), Resources())
    return check.examine(segment, Context(evidence=Evidence(), tokens=lambda of: told))


def test_the_highest_average_of_neighbours_and_its_place() -> None:
    said: Said = [("Ada", 0.9), (" is", 0.1), (" from", 0.5), (" Kar", 0.8), ("gate", 0.7), (".", 0.2)]
    assert examine(said) == (Finding(score=0.75, start=11, end=19),)
    assert examine(said, smooth=1) == (Finding(score=0.9, start=0, end=3),)
    assert examine(said[:2], smooth=64) == (Finding(score=0.5, start=0, end=6),)


def test_tokens_without_a_probability_are_passed_over() -> None:
    assert examine([("Ada", None), (" is", 0.4), (" x", None)]) == (Finding(score=0.4, start=3, end=6),)


@pytest.mark.parametrize("said", [[], [("Ada", None)]])
def test_without_any_it_cannot_say(said: Said) -> None:
    assert examine(said) == NotApplicable("no probe")


def test_the_last_token_may_reach_beyond_the_segment() -> None:
    assert examine([("Ada", 0.1), (".\n\n", 0.9)], "Ada.", smooth=1) == (Finding(score=0.9, start=3, end=4),)


@pytest.mark.parametrize("smooth", [0, 65])
def test_what_cannot_be_averaged_is_refused(smooth: int) -> None:
    with pytest.raises(ValidationError):
        plugin.Params(smooth=smooth)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 14))
def test_no_window_is_higher(values: list[float], width: int) -> None:
    score, first, last = highest(values, width)
    assert last - first + 1 == min(width, len(values))
    assert 0 <= first <= last < len(values)
    assert min(values) - 1e-9 <= score <= max(values) + 1e-9
    own = values[first : last + 1]
    assert score == pytest.approx(sum(own) / len(own))
    for at in range(len(values) - len(own) + 1):
        assert sum(values[at : at + len(own)]) / len(own) <= score + 1e-9
