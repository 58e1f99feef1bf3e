"""The first characters of a reply that should go on: kept, trimmed, or found to start over."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.backends import Item, Usage
from guard.chat.opening import ENOUGH, LEAST, Opening
from guard.core.events import Delta, Finished, Opened, ToolDelta

TOLD = "The answer is A, as everybody knows. No, it is B."


def reply(*texts: str, channel: Any = "content") -> list[Item]:
    return [
        (0, Opened(1, "field_prefill")),
        *[(0, Delta(1, channel, text)) for text in texts],
        (0, Finished(1, "stop")),
    ]


def passed(opening: Opening, items: list[Item], cuts: list[int] | None = None) -> list[Item]:
    """What comes through, in batches cut at these places."""
    out: list[Item] = []
    for start, end in pairwise([0, *(cuts or range(1, len(items))), len(items)]):
        if not opening.astray:
            out += opening.feed(items[start:end])
    return out if opening.astray else out + opening.end()


def text(items: list[Item]) -> str:
    return "".join(item[1].text for item in items if not isinstance(item, Usage) and isinstance(item[1], Delta))


@pytest.mark.parametrize(
    "said", [" And so on.", "", "The answer to all of it.", TOLD[:LEAST] + "!", TOLD[1:], " " + TOLD]
)
def test_what_goes_on_comes_through_whole(said: str) -> None:
    for texts in ([said], list(said)):
        items = reply(*texts)
        opening = Opening("content", TOLD)
        assert passed(opening, items) == items
        assert not opening.astray


@pytest.mark.parametrize("said", [TOLD, TOLD[:ENOUGH] + " or C", TOLD[:LEAST]])
def test_what_starts_over_does_not_come_through_at_all(said: str) -> None:
    for texts in ([said], list(said)):
        opening = Opening("content", TOLD)
        assert passed(opening, reply(*texts)) == []
        assert opening.astray


def test_white_space_at_the_beginning_is_part_of_it() -> None:
    opening = Opening("reasoning", "\n" + TOLD)
    assert passed(opening, reply("\n", TOLD, channel="reasoning")) == []
    assert opening.astray


def test_it_is_seen_as_soon_as_it_can_be() -> None:
    opening = Opening("content", TOLD)
    assert opening.feed(reply(TOLD[: ENOUGH - 1])[:2]) == []
    assert not opening.astray
    assert opening.feed([(0, Delta(1, "content", TOLD[ENOUGH - 1]))]) == []
    assert opening.astray
    other = Opening("content", TOLD)
    assert other.feed([(0, Delta(1, "content", "T"))]) == []
    assert len(other.feed([(0, Delta(1, "content", "o"))])) == 2


def test_a_short_message_is_not_compared() -> None:
    items = reply("Yes. So it is.")
    assert passed(Opening("content", "Yes."), items) == items
    assert passed(Opening("content", ""), items) == items


def test_reasoning_behind_content_starts_over_and_content_behind_reasoning_does_not() -> None:
    opening = Opening("content", TOLD)
    assert passed(opening, reply("Hm.", channel="reasoning")) == []
    assert opening.astray
    items = reply("So B.")
    assert passed(Opening("reasoning", TOLD), items) == items
    again = [*reply(TOLD[:LEAST], channel="reasoning")[:2], *reply("So A.")[1:]]
    opening = Opening("reasoning", TOLD)
    assert passed(opening, again) == []
    assert opening.astray


def test_a_call_or_the_end_settles_it() -> None:
    call: Item = (0, ToolDelta(1, 0, "c", "f", "{}"))
    assert passed(Opening("content", TOLD), [call]) == [call]
    usage = Usage(1, {"total_tokens": 3})
    assert passed(Opening("content", TOLD), [*reply("The"), usage]) == [*reply("The"), usage]


@given(st.text(" \nab", max_size=6), st.text(" \nab", max_size=12), st.lists(st.integers(1, 12), max_size=4))
def test_only_white_space_that_stands_there_already_is_dropped(blank: str, said: str, cuts: list[int]) -> None:
    told = "It is." + blank
    end = told[len(told.rstrip()) :]
    places = sorted({0, *[cut for cut in cuts if cut < len(said)], len(said)})
    texts = [said[a:b] for a, b in pairwise(places)] or [said]
    got = text(passed(Opening("content", told), reply(*texts)))
    dropped = said[: len(said) - len(got)]
    assert said.endswith(got)
    assert end.startswith(dropped)
    assert len(dropped) == len(end) or not got.startswith(end[len(dropped)])


def test_log_probabilities_of_what_is_dropped_go_with_it() -> None:
    logprobs = {"content": [{"token": " "}, {"token": "So"}]}
    items: list[Item] = [(0, Delta(1, "content", " So", None, "content", (), logprobs)), (0, Finished(1, "stop"))]
    delta: Any = passed(Opening("content", "It is. "), items)[0]
    assert (delta[1].text, delta[1].logprobs) == ("So", {"content": [{"token": "So"}]})
