"""Brings a database's tables to the schema of this guard.

Knows alembic, and loads it only where there is something to do. Processes that open one store at once wait for each
other; the second one finds nothing to do.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from guard.errors import StoreError
from guard.store.engine import name
from guard.store.schema import META, SCHEMA

_LOCK = 5_206_148_201
"""Of PostgreSQL's advisory locks: a number that nothing else takes."""


def is_current(connection: sa.Connection) -> bool:
    """Whether there is nothing to do; changes nothing."""
    return _schema(connection) == SCHEMA


def migrate(connection: sa.Connection, url: str) -> None:
    """Create or upgrade the tables, in the connection's transaction.

    Raises StoreError if a newer guard made them.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    found = _schema(connection)
    if found == SCHEMA:
        return
    if found is not None and (not found.isdecimal() or int(found) > int(SCHEMA)):
        raise StoreError(f"store {name(url)!r} has schema {found!r}, this guard {SCHEMA!r}; upgrade guard")
    _run(connection, found)


def _schema(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("meta"):
        return None
    return connection.scalar(sa.select(META.c.value).where(META.c.key == "schema"))


def _run(connection: sa.Connection, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    if found is not None and not sa.inspect(connection).has_table("alembic_version"):
        # The first guards made their tables without alembic.
        command.stamp(config, found)
    command.upgrade(config, SCHEMA)
