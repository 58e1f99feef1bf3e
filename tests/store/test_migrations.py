"""The tables are made, upgraded and refused."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

import guard.store
from guard.core.records import SessionRecord
from guard.core.types import Evidence
from guard.errors import StoreError
from guard.store import Database, Filter
from guard.store.codec import encode
from guard.store.rows import interruption_row, segment_rows, session_row
from guard.store.schema import COMBINATION, INTERRUPTION, METADATA, SEGMENT, SESSION
from tests.store.records import closed, interruption, provenance, scored, session, spoken

ROOT = Path(__file__).parents[2]
RECORDS = [
    dataclasses.replace(scored(2, 0.9, "clean"), closing=closed("s1.0.2"), review="confirmed"),
    scored(3, 0.6, at=2.0, provenance=provenance(user="u" * 900, evidence=Evidence(question="What of Crème brûlée?"))),
    interruption(1, at=1.0, counterfactual="odd \0 \ud800 text"),
]


def make_first(url: str) -> None:
    """A store as the first guards made it: their tables, and no trace of alembic."""
    engine = Database(url)._engine
    with engine.execution_options(write="written").begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(guard.store.__file__).parent / "migrations"))
        command.upgrade(config, "1")
        connection.execute(sa.text("DROP TABLE alembic_version"))
        for name, rows in (("interruption", interruption_rows()), ("session", session_rows())):
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            for row in rows:
                connection.execute(table.insert().values({key: row[key] for key in row if key in table.c}))
    engine.dispose()


def interruption_rows() -> list[dict[str, object]]:
    rows = [interruption_row(one, prompts="full", owner="h/1/a") for one in RECORDS]
    return [row | {"record": encode(one)} for row, one in zip(rows, RECORDS, strict=True)]


def session_rows() -> list[dict[str, object]]:
    return [session_row(one, prompts="full") for one in SESSIONS]


SESSIONS: list[SessionRecord] = [
    spoken("s0", "clean", "flagged", "interrupted", "flagged", "clean", started=0.5),
    session("s1", flagged=True),
    session("s2", flagged=False, started=5.0),
]


@pytest.fixture
def fresh(url: str, request: pytest.FixtureRequest) -> str:
    """A database without any tables."""
    if url.startswith("sqlite"):
        return url
    name = url.partition("@/")[2].partition("?")[0]
    server = request.getfixturevalue("postgresql")
    server.execute(f"DROP DATABASE {name}")
    server.execute(f"CREATE DATABASE {name}")
    return url


def test_a_first_store_keeps_every_record(fresh: str) -> None:
    make_first(fresh)
    database = Database(fresh)
    database.open()
    in_order = sorted(RECORDS, key=lambda one: (one.at, one.interruption.id))
    assert list(database.iter_interruptions(Filter())) == in_order
    assert list(database.iter_sessions(Filter())) == SESSIONS
    with database._reading() as connection:
        rows = [dict(row._mapping) for row in connection.execute(sa.select(INTERRUPTION).order_by(INTERRUPTION.c.seq))]
        kinds = {row.id for row in connection.execute(sa.select(COMBINATION))}
        segments = [dict(row) for row in connection.execute(sa.select(SEGMENT).order_by(SEGMENT.c.seq)).mappings()]
    assert [row | {"seq": 0} for row in segments] == [row | {"seq": 0} for one in SESSIONS for row in segment_rows(one)]
    for row, one in zip(rows, in_order, strict=True):
        assert {"seq", "rev"} < row.keys()
        assert row | {"record": ""} == row | interruption_row(one, prompts="full", owner="h/1/a") | {"record": ""}
    assert {row["combination"] for row in rows} == kinds
    assert database.count(Filter(text="creme brulee")) == 1
    assert database.interruptions(Filter(review="confirmed")) == [RECORDS[0]]
    assert [one.rev for one in database.changes("interruption", 0, 9)] == [2]
    assert database.settled("session") == 6
    database.add_interruption(interruption(9, at=9.0))
    database.add_session(session("s3", flagged=True))
    assert database.settled("session") == 8
    assert [one.id for one in database.segments(9)] == ["s0.0#3", "s0.0#1"]
    database.close()


def test_an_upgraded_store_and_a_new_one_have_the_same_tables(fresh: str, tmp_path: Path) -> None:
    make_first(fresh)
    upgraded = Database(fresh)
    upgraded.open()
    with upgraded._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _is_ours, "compare_type": False})
        assert compare_metadata(context, METADATA) == []
    upgraded.close()


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    # What is searched for words: a table of SQLite's own kind with others behind it, or a column of PostgreSQL's.
    if (name or "").startswith(("interruption_words", "ix_interruption_words", "alembic_version")):
        return False
    return kind != "column" or name != "words"


def test_a_long_store_is_read_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/guard.db"
    make_first(url)
    database = Database(url)
    plans: list[str] = []

    def note(connection: sa.Connection, cursor: object, statement: str, values: object, *_: object) -> None:
        if "FROM interruption_1" in statement or "FROM session_1" in statement:
            plan = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[union-attr]
            plans.extend(row[-1] for row in plan)

    sa.event.listen(database._engine, "before_cursor_execute", note)
    database.open()
    database.close()
    assert len(plans) == 4
    assert all("USING INDEX" in plan for plan in plans)


def test_processes_that_open_an_old_store_at_once_wait_for_each_other(fresh: str) -> None:
    make_first(fresh)
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from guard.store import Database, Filter
        database = Database({fresh!r})
        database.open()
        assert database.count(Filter()) == {len(RECORDS)}
    """
    openers = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)]) for _ in range(3)]
    assert [opener.wait() for opener in openers] == [0, 0, 0]


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/guard.db"
    make_first(url)
    with sqlite3.connect(tmp_path / "guard.db") as connection:
        connection.execute("UPDATE interruption SET record = '{\"interruption\": {}}' WHERE id = 's1.0.1'")
    connection.close()
    with pytest.raises(StoreError, match=r"record 's1\.0\.1' cannot be read"):
        Database(url).open()
    with sqlite3.connect(tmp_path / "guard.db") as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == ("1",)
        assert connection.execute("SELECT count(*) FROM interruption").fetchone() == (3,)
    connection.close()


@pytest.mark.parametrize("found", ["99", "pre-3"])
def test_a_newer_schema_is_refused(database: Database, url: str, found: str) -> None:
    with database._engine.execution_options(write="written").begin() as connection:
        connection.execute(sa.text("UPDATE meta SET value = :found WHERE key = 'schema'"), {"found": found})
    other = Database(url)
    with pytest.raises(StoreError, match=rf"schema '{found}'.*upgrade guard"):
        other.open()
    other.close()


def test_the_columns_that_are_asked_for_have_an_index() -> None:
    led = {index.columns[0].name for index in INTERRUPTION.indexes}
    assert {"at", "combination", "user", "conversation", "session", "score", "rev", "review"} <= led
    assert {"started", "rev", "user", "conversation"} <= {index.columns[0].name for index in SESSION.indexes}
