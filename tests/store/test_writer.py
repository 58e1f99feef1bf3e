"""Writes that wait together, reads that wait for none, and what a crash leaves."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from guard.errors import StoreError
from guard.store import Database, Filter, Store, writer
from tests.store.postgres import Missing, Server
from tests.store.records import closed, interruption, session, spoken

ROOT = Path(__file__).parents[2]


class Held:
    """Keeps a store's writing thread busy until it is let go."""

    def __init__(self, store: Store) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        self.task = asyncio.ensure_future(store._write("alone", self._wait))

    def _wait(self) -> None:
        self.entered.set()
        assert self.leave.wait(60)


def commits(store: Store) -> list[str]:
    seen: list[str] = []
    event.listen(store.database._engine, "commit", lambda connection: seen.append("commit"))
    return seen


async def test_what_waits_together_is_one_transaction_and_one_failure_takes_nothing_along(store: Store) -> None:
    await store.add_interruption(interruption(3))
    held, seen = Held(store), commits(store)
    waiting = [asyncio.ensure_future(store.add_interruption(interruption(number))) for number in range(6)]
    sessions = asyncio.ensure_future(store.add_session(spoken("f", "flagged")))
    closings = asyncio.ensure_future(store.close_interruptions([closed("s1.0.1"), closed("s1.0.3")]))
    await asyncio.sleep(0)
    held.leave.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 3 + [StoreError] + [type(None)] * 2
    assert await sessions
    assert await closings == 2
    assert seen == ["commit"]
    assert await store.count() == 6
    assert await store.segment("f.0#0") is not None


async def test_a_batch_has_a_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "AT_ONCE", 4)
    held, seen = Held(store), commits(store)
    waiting = [asyncio.ensure_future(store.add_interruption(interruption(number))) for number in range(9)]
    await asyncio.sleep(0)
    held.leave.set()
    await asyncio.gather(*waiting)
    assert len(seen) == 3


async def test_nobody_is_told_before_the_commit(store: Store) -> None:
    held = Held(store)
    waiting = [asyncio.ensure_future(store.add_interruption(interruption(number))) for number in range(3)]
    told: list[bool] = []

    def committing(connection: Any) -> None:
        told.extend(one.done() for one in waiting)

    event.listen(store.database._engine, "commit", committing)
    await asyncio.sleep(0)
    held.leave.set()
    await asyncio.gather(*waiting)
    assert told == [False] * 3


@pytest.mark.parametrize("kind", [StoreError, RuntimeError])
async def test_a_transaction_that_fails_fails_for_all_in_it(store: Store, kind: type[Exception]) -> None:
    held = Held(store)
    waiting = [asyncio.ensure_future(store.add_interruption(interruption(number))) for number in range(3)]

    def refuse(connection: Any) -> None:
        raise kind("no room")

    event.listen(store.database._engine, "commit", refuse)
    await asyncio.sleep(0)
    held.leave.set()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)
    event.remove(store.database._engine, "commit", refuse)
    assert [str(result) for result in results] == ["no room"] * 3
    assert await store.count() == 0
    await store.add_interruption(interruption(1))


async def test_a_cancelled_caller_changes_nothing(store: Store) -> None:
    held = Held(store)
    waiting = [asyncio.ensure_future(store.add_interruption(interruption(number))) for number in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    held.leave.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert waiting[1].cancelled()
    assert await store.count() == 3


async def test_a_page_does_not_wait_for_a_write(store: Store) -> None:
    await store.add_interruption(interruption(1))
    held = Held(store)
    assert await store.count() == 1
    assert len(await store.interruptions()) == 1
    assert not held.leave.is_set()
    held.leave.set()
    await held.task


async def test_closing_writes_what_is_queued(url: str) -> None:
    store = Store(url)
    await store.open()
    held = Held(store)
    waiting = [asyncio.ensure_future(store.add_interruption(interruption(number))) for number in range(3)]
    await asyncio.sleep(0)
    held.leave.set()
    await store.close()
    await asyncio.gather(*waiting)
    again = Database(url)
    assert again.count(Filter()) == 3
    again.close()


async def test_many_tallies_add_up(store: Store) -> None:
    await asyncio.gather(*(store.tally("m", "p", at=1.0, responses=1, segments=2) for _ in range(100)))
    (bucket,) = await store.trends(0.0, 3600.0, 3600.0)
    assert bucket.responses == 100


WRITER = """
    import asyncio, sys
    sys.path.insert(0, {root!r})
    from guard.store import Store
    from tests.store.records import closed, interruption, session

    async def write(store, name):
        for number in range(100_000):
            await store.add_interruption(interruption(number, name))
            print(f"{{name}}.0.{{number}}", flush=True)
            await store.close_interruptions([closed(f"{{name}}.0.{{number}}")])
            await store.add_session(session(f"{{name}}-{{number}}", flagged=True))

    async def main():
        store = Store({url!r})
        await store.open()
        await asyncio.gather(*(write(store, f"{{sys.argv[1]}}{{one}}") for one in "abcd"))

    asyncio.run(main())
"""


def test_nothing_that_was_told_is_lost_by_killing_the_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/guard.db"
    program = textwrap.dedent(WRITER).format(root=str(ROOT), url=url)
    rng, told = random.Random(1), set[str]()
    for life in range(5):
        process = subprocess.Popen([sys.executable, "-c", program, f"{life}"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(rng.randint(1, 60))]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        told |= {line.strip() for line in (*lines, *rest.splitlines(keepends=True)) if line.endswith("\n")}
        database = Database(url)
        database.open()
        assert database.recover() <= 4
        stored = {one.interruption.id for one in database.iter_interruptions(Filter())}
        assert told <= stored
        assert database.count(Filter(outcome="open")) == 0
        assert len(stored) == database.count(Filter(text="claim"))
        database.close()


@pytest.fixture
def durable() -> Iterator[Server]:
    """A server that waits for the disk."""
    try:
        server = Server()
        server.start()
    except Missing as missing:
        pytest.skip(f"PostgreSQL: NOT TESTED: {missing}")
    yield server
    server.stop()


async def test_a_killed_postgresql_loses_nothing_and_is_found_again(durable: Server) -> None:
    durable.execute("CREATE DATABASE guard")
    store = Store(durable.url("guard"))
    await store.open()
    told: set[str] = set()

    async def write(name: str) -> None:
        for number in range(100_000):
            record = interruption(number, name)
            await store.add_interruption(record)
            told.add(record.interruption.id)

    for life in range(2):
        writing = [asyncio.ensure_future(write(f"{life}{name}")) for name in "abcd"]
        while len(told) < 40 * (life + 1):
            await asyncio.sleep(0.01)
        durable.kill()
        ended = await asyncio.gather(*writing, return_exceptions=True)
        assert {type(error) for error in ended} == {StoreError}
        assert "hello" not in str(ended)
        with pytest.raises(StoreError):
            await store.count()
        durable.start()
        await store.add_interruption(interruption(0, f"after{life}"))
        assert told <= {one.interruption.id for one in store.iter_interruptions()}
    await store.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_two_open_transactions_do_not_wait_for_each_other(url: str, database: Database) -> None:
    other = Database(url)
    database.add_interruption(interruption(0))
    with database.batch():
        database.add_interruption(interruption(1))
        database.tally("m", "p", at=0.0)
        with other.batch():
            other.add_interruption(interruption(2))
            other.add_session(session("s9", flagged=True))
    assert database.count(Filter()) == 3
    other.close()
