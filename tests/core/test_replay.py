from __future__ import annotations

import json

import pytest

from guard.core import events as ev
from guard.core.replay import EventLog, from_json
from guard.core.types import Finding, Token


def logged(*events: ev.Event) -> list[object]:
    log = EventLog()
    for event in events:
        log.append(event)
    told: list[object] = json.loads(json.dumps(log.to_json()))
    assert log.to_json() == told  # asking twice changes nothing
    return told


EVENTS: list[ev.Event] = [
    ev.Opened(1, "reask"),
    ev.Delta(1, "reasoning", "Some text."),
    ev.ToolDelta(1, 0, "id", "name", "{}"),
    ev.Extra(1, None, "<think>", "open"),
    ev.Checked(3, "quick", (Finding(score=0.5, reason="r", start=1, end=2),)),
    ev.Checked(4, "quick"),
    ev.Unchecked(4, "slow", "unscanned", "deadline"),
    ev.HoldExpired(4),
    ev.Recorded("s.0.1", "disk full"),
    ev.Finished(1, "stop"),
    ev.Failed(1, "broken", 503),
    ev.ClientLeft(),
]


def test_every_event_comes_back_from_json_as_it_was() -> None:
    assert list(from_json(logged(*EVENTS))) == EVENTS


def test_the_choice_a_line_belongs_to_is_not_the_events() -> None:
    assert list(from_json([{"event": "left", "choice": 1}])) == [ev.ClientLeft()]


def test_deltas_of_one_channel_and_attempt_are_joined() -> None:
    deltas: list[ev.Event] = [ev.Delta(0, "content", "a"), ev.Delta(0, "content", "b"), ev.Delta(0, "reasoning", "c")]
    assert list(from_json(logged(*deltas, ev.Delta(1, "reasoning", "d")))) == [
        ev.Delta(0, "content", "ab"),
        ev.Delta(0, "reasoning", "c"),
        ev.Delta(1, "reasoning", "d"),
    ]


def test_an_event_between_two_deltas_keeps_them_apart() -> None:
    events: list[ev.Event] = [ev.Delta(0, "content", "a"), ev.HoldExpired(0), ev.Delta(0, "content", "b")]
    assert list(from_json(logged(*events))) == events


def test_chunks_without_text_are_left_out_and_so_is_the_upstreams_form() -> None:
    token = Token(id=1, text="a")
    raw = ev.Delta(0, "content", "a", {"chunk": 1}, "reasoning", (token,), {"content": []})
    assert list(from_json(logged(raw, ev.Extra(0, {"role": "assistant"}), ev.Delta(0, "content", "b")))) == [
        ev.Delta(0, "content", "ab")
    ]


@pytest.mark.parametrize("line", [{"event": "unheard"}, {"event": "delta", "color": "red"}])
def test_what_was_not_written_here_is_refused(line: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        list(from_json([line]))
