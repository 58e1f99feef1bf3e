"""What can be asked of the store.

Knows the tables, changes none. Every method is one short read; a stream is many, so that a long export holds
nothing open that a writer would wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa

from guard.core.records import InterruptionRecord, SessionRecord
from guard.store.codec import decode
from guard.store.engine import connect, translated
from guard.store.schema import INTERRUPTION, META, SESSION, Filter, clauses, plain

T = TypeVar("T", InterruptionRecord, SessionRecord)

PAGE = 100
"""Records in a page whose filter sets no limit."""


class Reader:
    """The reading half of `Database`; safe in any number of threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = connect(url)

    def ping(self) -> None:
        """Raises StoreError if the store cannot be read."""
        with self._reading() as connection:
            connection.scalar(sa.select(META.c.value))

    def interruption(self, key: str) -> InterruptionRecord | None:
        """One interruption, or None."""
        return self._one(INTERRUPTION, key, InterruptionRecord)

    def session(self, key: str) -> SessionRecord | None:
        """One session, or None."""
        return self._one(SESSION, key, SessionRecord)

    def interruptions(self, wanted: Filter) -> list[InterruptionRecord]:
        """A page, newest first; `limit` defaults to 100."""
        table = INTERRUPTION
        query = sa.select(table.c.record).where(*clauses(table, wanted), *_before(wanted))
        query = query.order_by(table.c.at.desc(), table.c.id.desc()).limit(
            PAGE if wanted.limit is None else wanted.limit
        )
        with self._reading() as connection:
            return [decode(text, InterruptionRecord) for text in connection.scalars(query)]

    def count(self, wanted: Filter) -> int:
        """How many interruptions there are."""
        query = sa.select(sa.func.count()).select_from(INTERRUPTION).where(*clauses(INTERRUPTION, wanted))
        with self._reading() as connection:
            return connection.scalar(query) or 0

    def reviewed(self) -> dict[str, tuple[int, int]]:
        """Per check: interruptions that a reviewer confirmed and rejected."""
        table = INTERRUPTION.c
        query = sa.select(table.check, table.review, sa.func.count()).group_by(table.check, table.review)
        counts: dict[str, tuple[int, int]] = {}
        with self._reading() as connection:
            for check, review, number in connection.execute(query):
                good, bad = counts.get(check, (0, 0))
                counts[check] = (
                    good + number * (review == "confirmed"),
                    bad + number * (review == "rejected"),
                )
        return {check: pair for check, pair in counts.items() if any(pair)}

    def iter_interruptions(self, wanted: Filter, batch: int = 500) -> Iterator[InterruptionRecord]:
        """Every interruption, oldest first, `batch` at a time; no transaction stays open between batches."""
        return self._stream(INTERRUPTION, INTERRUPTION.c.at, wanted, batch, InterruptionRecord)

    def iter_sessions(self, wanted: Filter, batch: int = 100) -> Iterator[SessionRecord]:
        """Every session, oldest first, as `iter_interruptions`."""
        return self._stream(SESSION, SESSION.c.started, wanted, batch, SessionRecord)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with translated(self.url), self._engine.connect() as connection:
            yield connection

    def _one(self, table: sa.Table, key: str, kind: type[T]) -> T | None:
        with self._reading() as connection:
            text = connection.scalar(sa.select(table.c.record).where(table.c.id == plain(key)))
        return None if text is None else decode(text, kind)

    def _stream(self, table: sa.Table, when: sa.Column[Any], wanted: Filter, batch: int, kind: type[T]) -> Iterator[T]:
        query = sa.select(when, table.c.id, table.c.record).where(*clauses(table, wanted)).order_by(when, table.c.id)
        left = wanted.limit
        after: sa.ColumnElement[bool] = sa.true()
        while left is None or left > 0:
            with self._reading() as connection:
                rows = connection.execute(query.where(after).limit(batch if left is None else min(batch, left))).all()
            yield from (decode(row.record, kind) for row in rows)
            if len(rows) < batch:
                return
            after = sa.tuple_(when, table.c.id) > sa.tuple_(*rows[-1][:2])
            left = None if left is None else left - len(rows)


def _before(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    if wanted.before is None:
        return []
    # Nothing is older than a row that retention has deleted: the oldest go first.
    mark = sa.select(INTERRUPTION.c.at).where(INTERRUPTION.c.id == plain(wanted.before)).scalar_subquery()
    older, same = INTERRUPTION.c.at < mark, INTERRUPTION.c.at == mark
    return [sa.or_(older, sa.and_(same, INTERRUPTION.c.id < plain(wanted.before)))]
