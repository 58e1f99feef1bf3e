"""A database's URL made into a SQLAlchemy engine, and its errors into ours.

Knows drivers, pragmas and error classes; does not know tables. Rules:

- No message and no log carries a password or a row's content.
- SQLite writers take the write lock when they begin, so that two processes wait for each other instead of
  failing; readers never wait.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import StaticPool

from guard.errors import ConfigError, MissingExtra, StoreError

_KNOWN = "sqlite:///FILE or postgresql://"

BUSY_MS = 10_000
"""How long a SQLite writer waits for another process's write."""

_CACHE_KB = 32_000
"""Of a SQLite file's pages, in memory for each connection: the indexes of a large log stay there."""

_WAY_OUT = (
    ("locked", "another process has been writing to it for long; try again"),
    ("unable to open", "create its folder, or name another file in `store.url`"),
    ("readonly", "give this process the right to write to the file and its folder"),
    ("read-only", "give this process the right to write to the file and its folder"),
    ("disk is full", "make room, or shorten `store.retention_days`"),
    ("not a database", "the file is something else or damaged; name another one in `store.url`"),
    ("malformed", "the file is damaged; `sqlite3 FILE .recover` may save it"),
    ("no such table", "open the store first"),
    ("undefined", "open the store first"),
    ("does not exist", "create it, or open the store first"),
    ("refused", "start the database, or name another one in `store.url`"),
    ("closed the connection", "the database went away; try again"),
    ("unique", "a record of this id is already stored"),
    ("duplicate key", "a record of this id is already stored"),
)


class _Hinting(SQLiteCompiler):
    """Writes out which index a table is read by (`Select.with_hint`), which SQLAlchemy leaves out for SQLite."""

    def get_from_hint_text(self, table: sa.FromClause, text: str | None) -> str | None:
        """The hint behind the table's name."""
        return text


def connect(url: str) -> sa.Engine:
    """An engine for a SQLAlchemy URL such as ``sqlite:///guard.db``; nothing is opened yet.

    Raises:
        ConfigError: the URL is none, or names a database other than SQLite and PostgreSQL.
        MissingExtra: the database's driver is not installed.
    """
    try:
        parsed = _with_driver(make_url(url))
        engine = sa.create_engine(parsed, hide_parameters=True, **_options(parsed))
    except exc.NoSuchModuleError:
        raise ConfigError(f"store.url {name(url)!r}: no such database; use {_KNOWN}") from None
    except exc.ArgumentError:
        raise ConfigError("store.url is no database URL; write for example sqlite:///guard.db") from None
    except ImportError as error:
        raise MissingExtra(_missing(url, error)) from None
    if engine.dialect.name == "sqlite":
        engine.dialect.statement_compiler = _Hinting
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
    else:
        sa.event.listen(engine, "connect", _steady)
    return engine


def name(url: str) -> str:
    """The URL as it may be shown: no password, no query."""
    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except exc.ArgumentError:
        return "the configured URL"


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what SQLAlchemy and its drivers raise into StoreError."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        raise StoreError(_told(url, error)) from error


def _with_driver(url: URL) -> URL:
    """The URL, with the driver that guard brings where it names none."""
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"store.url {name(str(url))!r}: guard keeps no log in {url.drivername!r}; use {_KNOWN}")
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() != "sqlite":
        return {"pool_pre_ping": True}
    if url.database in (None, "", ":memory:"):
        # One connection, or every thread would see an empty database of its own.
        return {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    return {"connect_args": {"timeout": BUSY_MS / 1000}}


def _missing(url: str, error: ImportError) -> str:
    return f"store.url {name(url)!r} needs {error.name!r}; pip install 'premise-guard[postgres]'"


def _told(url: str, error: exc.SQLAlchemyError) -> str:
    # The driver's own words only: SQLAlchemy's carry the statement.
    said = str(error.orig) if isinstance(error, exc.DBAPIError) else type(error).__name__
    way = next((way for sign, way in _WAY_OUT if sign in said.casefold()), "see `guard serve --help` for --store")
    # Its first line only: PostgreSQL's next one may quote the row.
    return f"store {name(url)!r}: {(said.strip().splitlines() or [''])[0]}; {way}"


def _prepare(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: `_begin` says which kind.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_MS}", "secure_delete=ON", f"cache_size=-{_CACHE_KB}"):
        connection.execute(f"PRAGMA {pragma}").close()
    _write_ahead(connection)


def _steady(connection: Any, _record: Any) -> None:
    """A page of a large log is a few milliseconds' work, which its planner takes for seconds' and prepares for."""
    with connection.cursor() as cursor:
        cursor.execute("SET jit = off")
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SET work_mem = '32MB'")
    connection.commit()


def _write_ahead(connection: Any) -> None:
    """Switch to the write-ahead log. SQLite does not wait for its busy timeout where processes switch a new file at
    once: each would wait for the other's lock, so it refuses, and we ask again."""
    until = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _begin(connection: sa.Connection) -> None:
    """The execution option `write` is "flushed" (on the disk when it commits), "written", or absent for a
    read."""
    write = connection.get_execution_options().get("write")
    if write:
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if write == 'flushed' else 'NORMAL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
