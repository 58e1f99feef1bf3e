"""Single records, and streams of all of them.

Knows the tables, changes none. Every method is one short read; a stream is many, so that a long export holds
nothing open that a writer would wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import sqlalchemy as sa

from guard.core.records import InterruptionRecord, SessionRecord
from guard.store import conditions
from guard.store.codec import decode
from guard.store.paging import Paging, in_order
from guard.store.schema import COMBINATION, INTERRUPTION, META, SESSION, plain
from guard.store.where import Filter

T = TypeVar("T", InterruptionRecord, SessionRecord)

_CUT = INTERRUPTION.c


class Reader(Paging):
    """The part of `Database` that reads sessions and interruptions; safe in any number of threads."""

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

    def reviewed(self) -> dict[str, tuple[int, int]]:
        """Per check: interruptions that reviewers confirmed and rejected."""
        rows = sa.select(sa.func.count()).where(INTERRUPTION.c.combination == COMBINATION.c.id).scalar_subquery()
        kind = COMBINATION.c
        query = sa.select(kind.check, kind.review, rows).where(kind.review.in_(("confirmed", "rejected")))
        counts: dict[str, tuple[int, int]] = {}
        with self._reading() as connection:
            for check, review, number in connection.execute(query):
                good, bad = counts.get(check, (0, 0))
                counts[check] = good + number * (review == "confirmed"), bad + number * (review == "rejected")
        return {check: pair for check, pair in sorted(counts.items()) if any(pair)}

    def iter_interruptions(self, wanted: Filter, batch: int = 500) -> Iterator[InterruptionRecord]:
        """Every interruption, oldest first, `batch` at a time; no transaction stays open between batches."""
        with self._reading() as connection:
            found = self._conditions(connection, wanted, walking=True)
        if found is not None:
            asked = [*found, *conditions.of_times(wanted)]
            hint = f"INDEXED BY {in_order(wanted)}"
            query = sa.select(_CUT.at, _CUT.seq, _CUT.record).with_hint(INTERRUPTION, hint, "sqlite").where(*asked)
            yield from self._stream(query, (_CUT.at, _CUT.seq), wanted.limit, batch, InterruptionRecord)

    def iter_sessions(self, wanted: Filter, batch: int = 100) -> Iterator[SessionRecord]:
        """Every session, oldest first, as `iter_interruptions`."""
        asked = conditions.of_sessions(wanted)
        row = SESSION.c
        query = sa.select(row.started, row.seq, row.record).where(*asked)
        yield from self._stream(query, (row.started, row.seq), wanted.limit, batch, SessionRecord)

    def _one(self, table: sa.Table, key: str, kind: type[T]) -> T | None:
        with self._reading() as connection:
            text = connection.scalar(sa.select(table.c.record).where(table.c.id == plain(key)))
        return None if text is None else decode(text, kind)

    def _stream(
        self, query: sa.Select[Any], place: tuple[sa.Column[Any], ...], left: int | None, batch: int, kind: type[T]
    ) -> Iterator[T]:
        """The records of a query, `batch` at a time: no batch may sort what comes after it."""
        query = query.order_by(*place)
        after: sa.ColumnElement[bool] = sa.true()
        while left is None or left > 0:
            with self._reading() as connection:
                rows = connection.execute(query.where(after).limit(batch if left is None else min(batch, left))).all()
            yield from (decode(row.record, kind) for row in rows)
            if len(rows) < batch:
                return
            after = sa.tuple_(*place) > sa.tuple_(*map(sa.literal, rows[-1][:2]))
            left = None if left is None else left - len(rows)
