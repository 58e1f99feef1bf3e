"""The log: durable, shared, paged, forgetful on demand."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from guard.core.records import InterruptionRecord
from guard.core.types import Closing
from guard.errors import ConfigError, MissingExtra, StoreError
from guard.store import Database, Filter, Store, owner
from tests.store.records import closed, interruption, provenance, session


async def test_an_interruption_is_opened_closed_and_reviewed(store: Store) -> None:
    record = interruption(1)
    await store.add_interruption(record)
    assert await store.interruption("s1.0.1") == record
    assert await store.close_interruptions([closed("s1.0.1"), closed("never stored")]) == 1
    assert await store.amend("s1.0.1", review="confirmed", known=0.5, counterfactual="or else")
    assert not await store.amend("s1.0.9", review="confirmed")
    assert await store.interruption("s1.0.1") == dataclasses.replace(
        record, closing=closed("s1.0.1"), review="confirmed", known=0.5, counterfactual="or else"
    )
    assert await store.reviewed() == {"phrase": (1, 0)}
    assert await store.interruption("s1.0.9") is None


async def test_amending_leaves_what_is_not_named(store: Store) -> None:
    await store.add_interruption(interruption(1, known=0.25))
    await store.amend("s1.0.1", review="rejected")
    found = await store.interruption("s1.0.1")
    assert found is not None
    assert (found.known, found.review) == (0.25, "rejected")


async def test_pages_are_newest_first_and_meet(store: Store) -> None:
    records = [interruption(n, at=float(n // 3)) for n in range(10)]
    for record in records:
        await store.add_interruption(record)
    found: list[InterruptionRecord] = []
    before = None
    while page := await store.interruptions(Filter(limit=4, before=before)):
        found += page
        before = page[-1].interruption.id
    assert found == sorted(records, key=lambda r: (r.at, r.interruption.id), reverse=True)
    assert await store.interruptions(Filter(before="unknown")) == []
    assert await store.count() == 10


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(), {1, 2, 3}),
        (Filter(outcome="corrected"), {1}),
        (Filter(outcome="open"), {2, 3}),
        (Filter(check="other"), {2}),
        (Filter(policy="strict"), {3}),
        (Filter(since=2.0), {2, 3}),
        (Filter(until=2.0), {1}),
        (Filter(session="s1", channel="reasoning", model="m", user="u", conversation="c"), {1, 2, 3}),
        (Filter(channel="content"), set()),
        (Filter(review="confirmed"), {2}),
        (Filter(review="unreviewed", since=2.0), {3}),
    ],
)
async def test_filters(store: Store, wanted: Filter, numbers: set[int]) -> None:
    await store.add_interruption(interruption(1))
    await store.add_interruption(interruption(2, check="other", review="confirmed"))
    await store.add_interruption(interruption(3, policy="strict"))
    await store.close_interruptions([closed("s1.0.1")])
    assert {r.interruption.number for r in await store.interruptions(wanted)} == numbers
    assert {r.interruption.number for r in store.iter_interruptions(wanted)} == numbers
    assert await store.count(wanted) == len(numbers)


@pytest.mark.parametrize("batch", [1, 3, 10, 500])
async def test_a_stream_is_complete_in_order_and_in_batches(store: Store, batch: int) -> None:
    records = [interruption(n, at=float(n // 4)) for n in range(10)]
    for record in records:
        await store.add_interruption(record)
    sizes: list[int] = []

    def watch(*args: Any) -> None:
        if "FROM interruption" in args[2]:
            sizes.append(args[3][-2] if isinstance(args[3], tuple) else 0)

    event.listen(store.database._engine, "before_cursor_execute", watch)
    assert list(store.iter_interruptions(batch=batch)) == records
    assert len(sizes) == 10 // batch + 1
    assert list(store.iter_interruptions(Filter(limit=7), batch=batch)) == records[:7]


async def test_a_stream_holds_nothing_open(store: Store) -> None:
    for n in range(4):
        await store.add_interruption(interruption(n))
    stream = store.iter_interruptions(batch=2)
    next(stream)
    await store.add_interruption(interruption(9))
    assert await store.purge(older_than=0.5) == 1
    assert [r.interruption.number for r in stream] == [1, 2, 3, 9]


async def test_clean_sessions_keep_pace_with_flagged_ones(store: Store) -> None:
    assert not await store.want_clean(1.0, "default")
    assert not await store.add_session(session("c0", flagged=False), 1.0)
    assert await store.add_session(session("f1", flagged=True), 0.0)
    assert await store.want_clean(1.0, "default")
    assert not await store.want_clean(1.0, "other")
    offered = [store.add_session(session(f"c{n}", flagged=False), 2.0) for n in range(1, 9)]
    assert sum(await asyncio.gather(*offered)) == 2
    assert await store.session("c0") is None
    assert await store.session("f1") == session("f1", flagged=True)


async def test_what_was_kept_is_counted_on_the_next_start(store: Store, url: str) -> None:
    await store.add_session(session("f1", flagged=True))
    await store.add_session(session("c1", flagged=False))
    again = Store(url)
    await again.open()
    assert not await again.want_clean(1.0, "default")
    assert await again.want_clean(2.0, "default")
    assert {r.provenance.session for r in again.iter_sessions(Filter(flagged=False))} == {"c1"}
    await again.close()


CHILD = """
    import dataclasses, os, sys
    sys.path.insert(0, {root!r})
    from tests.store.records import interruption, closed
    from guard.store import Database
    database = Database({url!r})
    database.open()
    {work}
"""


def child(url: str, work: str) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(root=str(Path(__file__).parents[2]), url=url, work=work)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


async def test_a_crash_loses_nothing_and_is_recovered_from(store: Store, url: str) -> None:
    crashed = child(url, "database.add_interruption(interruption(1, 'dead')); os._exit(9)")
    assert crashed.wait() == 9
    crashed.communicate()
    await store.add_interruption(interruption(1, "mine"))
    found = await store.interruption("dead.0.1")
    assert found is not None
    assert found.closing is None
    assert await store.recover() == 1
    found = await store.interruption("dead.0.1")
    assert found is not None
    assert found.closing == Closing(id="dead.0.1", outcome="abandoned", continuation=None, followed="")
    assert [r.provenance.session for r in await store.interruptions(Filter(outcome="open"))] == ["mine"]


async def test_a_living_process_keeps_its_own(store: Store, url: str) -> None:
    work = "database.add_interruption(interruption(1, 'alive')); print('ready', flush=True); input()"
    other = child(url, work)
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    assert await store.recover(grace=2e6) == 0
    other.communicate("\n")
    assert await store.recover(grace=2e6) == 1


async def test_a_stranger_has_its_grace(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(owner, "name", lambda: "elsewhere/1/abc")
        await store.add_interruption(interruption(1, at=1e6 - 50))
    assert await store.recover(grace=60) == 0
    assert await store.recover(grace=40) == 1
    assert await store.close_interruptions([closed("s1.0.1")]) == 1
    found = await store.interruption("s1.0.1")
    assert found is not None
    assert found.closing == closed("s1.0.1")


def test_the_same_process_id_is_not_the_same_process() -> None:
    host, pid, token = owner.name().rsplit("/", 2)
    assert not owner.is_gone(owner.name())
    assert owner.is_gone(f"{host}/{pid}/not{token}")


def test_a_new_file_that_another_process_is_writing_to_is_waited_for(tmp_path: Path) -> None:
    """SQLite refuses the switch to the write-ahead log at once, whatever its busy timeout."""
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, other.rollback)
    release.start()
    database = Database(f"sqlite:///{path}")
    database.open()
    assert database.count(Filter()) == 0
    database.close()
    release.join()
    other.close()


async def test_processes_write_at_once(url: str) -> None:
    work = (
        "[(database.add_interruption(interruption(n, {name!r})),"
        " database.close_interruptions([closed({name!r} + f'.0.{{n}}')])) for n in range(40)]"
    )
    writers = [child(url, work.format(name=name)) for name in ("a", "b", "c")]
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    database = Database(url)
    assert database.count(Filter(outcome="corrected")) == 120
    database.close()


async def test_text_that_columns_cannot_hold_is_stored_exactly(store: Store) -> None:
    odd = "a\0b\ud800c"
    record = interruption(1, provenance=provenance(user=odd, conversation=odd, messages=[{"content": odd}]))
    await store.add_interruption(record)
    assert await store.interruptions(Filter(user=odd)) == [record]


async def test_a_second_record_of_one_id_is_refused(store: Store) -> None:
    await store.add_interruption(interruption(1))
    with pytest.raises(StoreError, match="already stored"):
        await store.add_interruption(interruption(1))
    await store.ping()


async def test_closing_twice_and_using_a_closed_store(url: str) -> None:
    store = Store(url)
    with pytest.raises(StoreError, match="not open"):
        await store.ping()
    await store.open()
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="not open"):
        await store.count()


async def test_a_store_in_memory_is_one_store() -> None:
    store = Store("sqlite://")
    await store.open()
    await store.add_interruption(interruption(1))
    assert [r.interruption.id for r in store.iter_interruptions()] == ["s1.0.1"]
    await store.close()


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("guard.db", ConfigError, "no database URL"),
        ("oracle9://bob:hunter2@h/x", ConfigError, "guard keeps no log in 'oracle9'"),
        ("mysql://bob:hunter2@h/x", ConfigError, "use sqlite:///FILE or postgresql://"),
        ("postgresql+psycopg3://bob:hunter2@h/x", ConfigError, "no such database"),
        ("postgresql+pg8000://bob:hunter2@h/x", MissingExtra, r"premise-guard\[postgres\]"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)


def test_errors_name_the_store_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="create its folder"):
        Database(f"sqlite:///{tmp_path}/missing/guard.db").open()
    (tmp_path / "text").write_text("not a database at all, but long enough to be looked at " * 9)
    with pytest.raises(StoreError, match="the file is something else"):
        Database(f"sqlite:///{tmp_path}/text").open()
    with pytest.raises(StoreError, match="open the store first"):
        Database(f"sqlite:///{tmp_path}/new.db").ping()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/guard.db")
    database.open()
    database.close()
    with sqlite3.connect(tmp_path / "guard.db") as connection:
        connection.execute("UPDATE meta SET value = '99'")
    connection.close()
    with pytest.raises(StoreError, match=r"schema '99'.*upgrade guard"):
        Database(f"sqlite:///{tmp_path}/guard.db").open()


def test_no_error_shows_a_record(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/guard.db")
    with pytest.raises(StoreError) as caught:
        database.add_interruption(interruption(1, counterfactual="private words"))
    assert "private words" not in str(caught.value) + str(caught.value.__cause__)


async def test_the_loop_turns_while_the_store_works(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        assert leave.wait(30), "the loop stood still"

    monkeypatch.setattr(store.database, "ping", slow)
    waiting = asyncio.create_task(store.ping())
    while not entered.is_set():
        await asyncio.sleep(0)
    leave.set()
    await waiting
