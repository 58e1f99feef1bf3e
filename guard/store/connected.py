"""Transactions: one for each read, and one for each write or for a batch of them.

Knows the engine and the counter of writes; no records. Rules:

- In a batch every write has a savepoint of its own: one that fails takes nothing of the others with it.
- A batch is one thread's: what another thread asks for meanwhile has a transaction of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import StaticPool

from guard.store.engine import connect, translated
from guard.store.schema import COMBINATION, META, REV, combination


class Connected:
    """The database at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = connect(url)
        self._batch = threading.local()
        self._turn: AbstractContextManager[object] = nullcontext() if self.reads_apart else threading.RLock()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def reads_apart(self) -> bool:
        """Whether one thread can read while another one writes: not where all share one connection."""
        return not isinstance(self._engine.pool, StaticPool)

    @contextmanager
    def batch(self, how: str = "written") -> Iterator[None]:
        """One transaction for all that this thread writes inside; nothing is durable before its end.

        `how`: "flushed" (on the disk when it ends) or "written".
        """
        with self._turn, translated(self.url), self._engine.execution_options(write=how).begin() as connection:
            self._batch.connection = connection
            try:
                yield
            finally:
                self._batch.connection = None

    @contextmanager
    def _writing(self, how: str = "written") -> Iterator[sa.Connection]:
        with self._turn, translated(self.url):
            connection = getattr(self._batch, "connection", None)
            if connection is not None:
                with connection.begin_nested():
                    yield connection
                return
            with self._engine.execution_options(write=how).begin() as connection:
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._turn, translated(self.url):
            connection = getattr(self._batch, "connection", None)
            if connection is not None:
                yield connection
                return
            with self._engine.connect() as connection:
                yield connection

    def _rev(self, connection: sa.Connection) -> Any:
        """The next number of a write. PostgreSQL's is taken by the statement it stands in, so that whoever waits for
        the table's writers has waited for every number given out."""
        if self.dialect != "sqlite":
            return REV.next_value()
        number = sa.cast(META.c.value, sa.Integer)
        connection.execute(META.update().where(META.c.key == "rev").values(value=sa.cast(number + 1, sa.String)))
        return connection.scalar(sa.select(number).where(META.c.key == "rev"))

    def _insert(self, table: sa.Table) -> Any:
        """An INSERT that may say what to do on a conflict."""
        return sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)

    def _combine(self, connection: sa.Connection, row: dict[str, Any]) -> None:
        """See that the combination that an interruption's row names is on record."""
        if connection.scalar(sa.select(COMBINATION.c.id).where(COMBINATION.c.id == row["combination"])) is None:
            connection.execute(self._insert(COMBINATION).values(combination(row)).on_conflict_do_nothing())
