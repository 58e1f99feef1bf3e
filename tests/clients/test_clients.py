"""Real clients against guard in front of real servers: what each of them must get, streamed and not.

All of it is one group, so that every server and every client starts once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.clients import scripts, table
from tests.clients.house import House
from tests.clients.matrix import Cell, cells, left_out
from tests.server.live import eventually

pytestmark = pytest.mark.xdist_group("clients")
Ask = Callable[[Cell], dict[str, Any]]


def every(scenario: str) -> pytest.MarkDecorator:
    """All cells of a scenario."""
    params = [cell for cell in cells() if cell.scenario.name == scenario and not left_out(cell)]
    return pytest.mark.parametrize("cell", params, ids=str, indirect=True)


def content(cell: Cell, got: dict[str, Any]) -> str:
    """The content a client got, without what `transformers serve` streams beside the answer: prompt and last tag."""
    assert "error" not in got, got
    text = str(got["content"])
    if cell.upstream != "transformers":
        return text
    return text.removeprefix(f"<|user|>{cell.question}<|end|><|assistant|>").removesuffix("<|end|>")


def world(cell: Cell) -> bool:
    """Whether the built-in model answers."""
    return cell.upstream in ("transformers", "llama")


@every("plain")
def test_an_answer_arrives_as_it_was_said(cell: Cell, ask: Ask) -> None:
    assert content(cell, ask(cell)) == ("Velmark." if world(cell) else scripts.PLAIN)


@every("tools")
def test_parallel_calls_arrive_whole_and_their_results_are_answered(cell: Cell, ask: Ask) -> None:
    got = ask(cell)
    assert content(cell, got) == scripts.WEATHER
    assert got["calls"] == [{"name": "weather", "arguments": {"city": city}} for city in ("Paris", "Oslo")]


@every("structured")
def test_a_structured_answer_is_one_object(cell: Cell, ask: Ask) -> None:
    assert ask(cell).get("object") == scripts.PERSON


@every("reasoning")
def test_reasoning_arrives_where_the_client_shows_it_and_never_in_the_content(cell: Cell, ask: Ask) -> None:
    got = ask(cell)
    thought = "Doran Castor was born in Karmere. Karmere is a city in Velmark." if world(cell) else scripts.THOUGHT
    assert content(cell, got) == ("Velmark." if world(cell) else scripts.THOUGHT_OUT)
    assert got["reasoning"] == (thought if cell.client.reasoning else "")


@every("interruption")
def test_interrupted_reasoning_leads_to_the_corrected_answer(cell: Cell, ask: Ask) -> None:
    got = ask(cell)
    assert content(cell, got) == ("Thuria." if world(cell) else scripts.CORRECTED)
    if cell.client.reasoning:
        claim, said, rest = got["reasoning"].partition(f" {scripts.NO} ")
        assert (claim, bool(said), bool(rest.strip())) == (scripts.CLAIM, True, True)
    else:
        assert got["reasoning"] == ""
    if cell.client.events:
        assert [event["event"] for event in got["events"]] == ["interruption"]


@every("retraction")
def test_a_false_statement_in_the_content_is_replaced_and_never_seen(cell: Cell, ask: Ask) -> None:
    got = ask(cell)
    assert content(cell, got) == scripts.RETRACTED
    assert not got.get("reasoning")
    if cell.client.events:
        assert [event["event"] for event in got["events"]] == ["retraction"]


@every("error")
def test_an_upstream_that_breaks_off_is_an_error_of_the_client_s(cell: Cell, ask: Ask) -> None:
    got = ask(cell)
    assert got.get("error"), got
    assert "out of luck" in got["message"]


@every("leaving")
def test_a_client_that_leaves_ends_the_upstream_s_answer_and_is_on_record(cell: Cell, ask: Ask, house: House) -> None:
    front = house.front(cell.upstream)
    left, upstream_left, newest = front.left(), house.scripted.left(), front.newest()["id"]
    assert ask(cell) == {"left": True}
    eventually(lambda: front.left() == left + 1, 20)
    eventually(lambda: house.scripted.left() > upstream_left and not house.scripted.running(), 20)
    eventually(lambda: not front.running(), 20)
    record = eventually(lambda: (row := front.newest())["outcome"] != "open" and row, 20)
    assert record["id"] != newest
    assert (record["claim"], record["outcome"]) == ("Petra Tallow was born in Dundal.", "abandoned")


def test_the_readme_shows_what_is_tried_here() -> None:
    every_one = list(cells())
    assert table.shown() == table.render(every_one, every_one), "`make clients` writes it anew"
