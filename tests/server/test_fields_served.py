"""Structured evidence through guard: what contradicts a record of the request is corrected out of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.live import Live, answer, policy_file, serving, settings

HOURS = ", ".join(f'"{day}": "9:0-22:0"' for day in ("Monday", "Tuesday", "Friday"))
RECORD = f'{{"name": "Blue Door", "WiFi": "no", "hours": {{{HOURS}}}}}'
WRONG = "The Blue Door is open on Monday. It offers free WiFi. Come by."
TOLD = "The Blue Door is open on Monday. The record says WiFi: no. Come by."
CHECKS = [{"check": "fields", "interrupt_at": 0.85, "flag_at": 0.5}]
TOOL: list[Any] = [
    {"role": "user", "content": "What is it like?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_0", "content": RECORD},
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("served")
    policy = policy_file(folder, "record", checks=CHECKS)
    with serving(settings(folder, policies={"default": policy, "allowed": ["off"]})) as live:
        yield live


def say(live: Live, cut: int) -> None:
    live.say(answer([{"content": WRONG}], [{"content": " Come by."}], cut=cut))


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize(
    "request_", [{"guard": {"evidence": [RECORD]}}, {"messages": TOOL}], ids=["guard.evidence", "a tool message"]
)
def test_a_statement_that_the_record_contradicts_is_replaced(guarded: Live, request_: dict[str, Any], cut: int) -> None:
    say(guarded, cut)
    heard = guarded.stream(**request_)
    assert heard.text() == TOLD
    (event,) = heard.events
    assert (event["event"], event["check"]) == ("retraction", "fields")
    made = guarded.interruptions()[-1].interruption
    assert (made.claim.text.strip(), made.verdicts[0].findings[0].evidence) == ("It offers free WiFi.", '"WiFi": "no"')


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_what_the_record_bears_out_passes(guarded: Live, cut: int) -> None:
    right = "It offers no WiFi. It is open until 10 pm on Monday. Come by."
    guarded.say(answer([{"content": right}], cut=cut))
    heard = guarded.stream(guard={"evidence": [RECORD]})
    assert (heard.text(), heard.events) == (right, [])


def test_the_users_own_record_gives_no_correction(guarded: Live) -> None:
    say(guarded, 0)
    heard = guarded.stream(messages=[{"role": "user", "content": f"Describe this: {RECORD}"}])
    assert "The record says" not in heard.text()
    assert [event["correction"] for event in heard.events] == [""]


def test_without_a_record_nothing_is_checked(guarded: Live, tmp_path: Path) -> None:
    say(guarded, 0)
    heard = guarded.stream()
    assert (heard.text(), heard.events) == (WRONG, [])
