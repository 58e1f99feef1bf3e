"""An answer that repeats the client's unfinished turn, and one that only seems to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.backends import Item, Usage
from guard.chat.echo import LEAST, Echo
from guard.core.events import Delta, Extra, Finished, Opened
from guard.core.types import Channel

TURN = "Ada Velm was born in"


def said(*texts: tuple[Channel, str]) -> list[Item]:
    deltas: list[Item] = [(0, Delta(0, channel, text)) for channel, text in texts if text]  # type: ignore[arg-type]
    return [(0, Opened(0)), (0, Extra(0, b"role")), *deltas, (0, Finished(0, "stop"))]


def through(prefix: dict[Any, str], items: Sequence[Item], cut: int = 1) -> list[Item]:
    echo, out = Echo(prefix, [0]), []
    for i in range(0, len(items), cut):
        out += echo.feed(items[i : i + cut])
    return [*out, *echo.end()]


def echoes(items: Sequence[Item]) -> bool:
    (opened,) = [item[1] for item in items if not isinstance(item, Usage) and isinstance(item[1], Opened)]
    return opened.echoes


@given(st.integers(0, len(TURN)), st.text(max_size=8), st.integers(1, 6))
def test_a_repetition_is_seen_however_it_was_cut(at: int, rest: str, cut: int) -> None:
    items = said(("content", TURN[:at]), ("content", TURN[at:] + rest))
    out = through({"content": TURN}, items, cut)
    assert echoes(out)
    assert out[1:] == items[1:]


@given(st.text(max_size=30).filter(lambda text: not text.startswith(TURN)), st.integers(1, 6))
def test_an_answer_that_goes_on_passes_as_it_is(text: str, cut: int) -> None:
    items = said(*(("content", char) for char in text))
    assert through({"content": TURN}, items, cut) == items


def test_reasoning_and_answer_are_both_repeated() -> None:
    prefix = {"reasoning": "I think of", "content": "It is"}
    assert echoes(through(prefix, said(("reasoning", "I think of"), ("content", "It is so."))))
    assert not echoes(through(prefix, said(("reasoning", "I think of"), ("content", "It was so."))))
    assert not echoes(through(prefix, said(("content", "It is so."))))


@pytest.mark.parametrize("text", [TURN[: LEAST - 1], ""])
def test_too_short_a_turn_is_not_compared(text: str) -> None:
    items = said(("content", text + text))
    assert through({"content": text}, items) == items


def test_other_choices_and_usage_are_not_held() -> None:
    echo = Echo({"content": TURN}, [0, 1])
    other: Item = (1, Delta(0, "content", "No."))
    usage = Usage(0, {})
    assert echo.feed([(0, Opened(0)), (0, Delta(0, "content", "Ada")), (1, Opened(0)), other, usage]) == [
        (1, Opened(0)),
        other,
        usage,
    ]
    assert [item[1] for item in echo.end() if not isinstance(item, Usage)] == [Opened(0), Delta(0, "content", "Ada")]
