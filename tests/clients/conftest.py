"""One house of servers and one process a client for the whole run; and the table, when it is to be written.

With `CLIENTS_TABLE=write` (`make clients`) a run of all cells ends with writing them into the README.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.clients import table
from tests.clients.foreign import Foreign
from tests.clients.house import House
from tests.clients.matrix import Cell, cells, missing

_WORKED: list[str] = []


def _asked(session: pytest.Session) -> list[Cell]:
    """The cells of this run that can be tried."""
    params = [item.callspec.params for item in session.items if hasattr(item, "callspec")]
    found = [value for each in params for value in each.values() if isinstance(value, Cell)]
    return [cell for cell in found if missing(cell) is None]


@pytest.fixture(scope="session")
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The servers."""
    house = House(tmp_path_factory.mktemp("house"))
    try:
        house.begin({cell.upstream for cell in _asked(request.session)} - {"scripted"})
        yield house
    finally:
        house.close()


@pytest.fixture(scope="session")
def foreign(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Foreign]]:
    """The clients by name; the next one loads while one is asked."""
    logs = tmp_path_factory.mktemp("clients")
    waiting = {cell.client.name: cell.client for cell in _asked(request.session)}
    running: dict[str, Foreign] = {}

    def start(name: str) -> None:
        running[name] = Foreign(waiting.pop(name).command, logs / name)

    def get(name: str) -> Foreign:
        if name in waiting:
            start(name)
        if waiting:
            start(next(iter(waiting)))
        return running[name]

    yield get
    for client in running.values():
        client.close()


@pytest.fixture
def cell(request: pytest.FixtureRequest, record_property: Any) -> Cell:
    """What is to be tried; skipped, with one line for all, where a part of it is not installed."""
    cell: Cell = request.param
    if why := missing(cell):
        pytest.skip(why)
    record_property("cell", f"{cell}-{cell.scenario.name}")
    return cell


@pytest.fixture
def ask(house: House, foreign: Callable[[str], Foreign]) -> Callable[[Cell], dict[str, Any]]:
    """Try a cell; what its client got."""

    def go(cell: Cell) -> dict[str, Any]:
        front = house.front(cell.upstream)
        job = {
            "kind": cell.scenario.kind,
            "url": f"{front.url}/v1",
            "key": house.key,
            "model": front.model,
            "question": cell.question,
            "stream": cell.stream,
            "watch": f"{front.url}/guard/api/interruptions?limit=1",
        }
        got = foreign(cell.client.name).ask(**job)
        # What a crashed server left the client with says nothing of guard.
        return foreign(cell.client.name).ask(**job) if house.revived(cell.upstream) else got

    return go


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        _WORKED.extend(str(value) for name, value in report.user_properties if name == "cell")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("CLIENTS_TABLE") != "write":
        return
    tried = list(cells())
    if untried := [cell for cell in tried if cell not in _asked(session)]:
        raise pytest.UsageError(f"the table needs every part; {len(untried)} cells were not tried: {untried[0]}, ...")
    table.write(table.render(tried, [cell for cell in tried if f"{cell}-{cell.scenario.name}" in _WORKED]))
