"""Pages of interruptions, newest first, and how many there are.

Chooses how the rows are found; a database's own planner guesses wrong where two filters depend on each other (a check
that only one policy has), and then reads a million rows to find none. The ways, in this order:

1. Few rows have the words or the score: those are looked at.
2. A user, a conversation or a session: its rows in order.
3. Combinations: the newest rows of each, from one index; only those whose newest row is new enough are opened. Where
   many combinations are meant, a look at the newest rows of all comes first: they are probably among them.
4. Else all rows in order.

Each reads an index that holds what the filter asks of a row; the records of the page are read last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from guard.core.records import InterruptionRecord
from guard.store import conditions
from guard.store.codec import decode
from guard.store.connected import Connected
from guard.store.schema import COMBINATION, INTERRUPTION, plain
from guard.store.where import Filter
from guard.store.words import words

PAGE = 100
"""Records in a page whose filter sets no limit."""

FEW = 10_000
"""So many rows are looked at one by one."""

COUNTED = 100_000
"""Where more rows than this have the words, a count walks all rows until it has enough."""

_WINDOW = 10_000
_MANY = 8
_AT_ONCE = 100
_ROW = INTERRUPTION.c
_NEWEST = (_ROW.at.desc(), _ROW.seq.desc())

Conditions: TypeAlias = Sequence[sa.ColumnElement[bool]]
Place: TypeAlias = tuple[float, int]
"""An interruption's `at` and `seq`."""


class Paging(Connected):
    """The part of `Database` that finds interruptions."""

    def interruptions(self, wanted: Filter) -> list[InterruptionRecord]:
        """A page, newest first; `limit` defaults to 100."""
        limit = PAGE if wanted.limit is None else wanted.limit
        with self._reading() as connection:
            return self._records(connection, self._page(connection, wanted, limit))

    def count(self, wanted: Filter, cap: int | None = None) -> int:
        """How many interruptions there are, or `cap` where there are more."""
        with self._reading() as connection:
            common = wanted.text is not None and self._few(connection, wanted, COUNTED) is None
            found = self._conditions(connection, wanted, walking=cap is not None and common)
            if found is None:
                return 0
            query = sa.select(sa.literal(1)).select_from(INTERRUPTION).where(*found, *conditions.of_times(wanted))
            if cap is not None:
                query = query.limit(cap)
            return connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0

    def facets(self) -> dict[str, list[str]]:
        """The values of `model`, `policy`, `check` and `channel` on record, sorted. They name no user."""
        with self._reading() as connection:
            return {
                name: sorted(connection.scalars(sa.select(COMBINATION.c[name]).distinct()))
                for name in ("model", "policy", "check", "channel")
            }

    def _page(self, connection: sa.Connection, wanted: Filter, limit: int) -> list[Place]:
        after = self._after(connection, wanted)
        ids = _combinations(connection, wanted)
        if limit <= 0 or after is None or ids == [] or (wanted.text is not None and not words(wanted.text)):
            return []
        asked = [*after, *conditions.of_times(wanted)]
        owned, scores = conditions.of_owners(wanted), conditions.of_scores(wanted)
        if wanted.text is not None and self.dialect == "postgresql":
            # It knows how common every word is, and finds the rows of a rare one without our help.
            words_ = conditions.has_words(wanted.text, self.dialect)
            return _scan(connection, None, [words_, *asked, *scores, *owned.values(), *_among(ids)], limit)
        few = self._few(connection, wanted, FEW)
        if few is not None:
            return _scan(connection, None, [_ROW.seq.in_(few), *asked, *scores, *owned.values(), *_among(ids)], limit)
        if wanted.text is not None:
            scores = [*scores, conditions.has_words(wanted.text, self.dialect, walking=True)]
        if owned:
            return _scan(connection, in_order(wanted), [*owned.values(), *asked, *scores, *_among(ids)], limit)
        if ids is None:
            return _scan(connection, "ix_interruption_at", [*asked, *scores], limit)
        return self._combined(connection, ids, asked, scores, limit)

    def _conditions(
        self, connection: sa.Connection, wanted: Filter, *, walking: bool = False
    ) -> list[sa.ColumnElement[bool]] | None:
        """All that is asked but for the time, or None where nothing can match."""
        ids = _combinations(connection, wanted)
        if ids == [] or (wanted.text is not None and not words(wanted.text)):
            return None
        found = [*conditions.of_scores(wanted), *conditions.of_owners(wanted).values(), *_among(ids)]
        if wanted.text is not None:
            found.append(conditions.has_words(wanted.text, self.dialect, walking=walking))
        return found

    def _after(self, connection: sa.Connection, wanted: Filter) -> list[sa.ColumnElement[bool]] | None:
        """The condition that a row stands behind `before`; None where that one is not on record: retention deletes the
        oldest first, so nothing is older."""
        if wanted.before is None:
            return []
        mark = connection.execute(sa.select(_ROW.at, _ROW.seq).where(_ROW.id == plain(wanted.before))).one_or_none()
        return None if mark is None else [sa.tuple_(_ROW.at, _ROW.seq) < sa.tuple_(*map(sa.literal, mark))]

    def _few(self, connection: sa.Connection, wanted: Filter, few: int) -> sa.Select[Any] | None:
        """The rows that have the words (as SQLite tells) or the score, where they are few."""
        by_words = wanted.text is not None and words(wanted.text) and self.dialect == "sqlite"
        ways = [conditions.matching(wanted.text or "")] if by_words else []
        if scores := conditions.of_scores(wanted):
            ways.append(_hinted(sa.select(_ROW.seq), "ix_interruption_score").where(*scores))
        for way in ways:
            number = connection.scalar(sa.select(sa.func.count()).select_from(way.limit(few + 1).subquery()))
            if number is not None and number <= few:
                return way
        return None

    def _combined(
        self, connection: sa.Connection, ids: Sequence[int], asked: Conditions, scores: Conditions, limit: int
    ) -> list[Place]:
        if len(ids) > _MANY:
            floor = self._floor(connection, asked)
            new = [] if floor is None else [sa.tuple_(_ROW.at, _ROW.seq) >= sa.tuple_(*map(sa.literal, floor))]
            found = _scan(connection, "ix_interruption_at", [*asked, *new, *scores, *_among(ids)], limit)
            if floor is None or len(found) == limit:
                return found
            ids = self._heads(connection, ids, [*asked, *scores], limit)
        found = []
        for start in range(0, len(ids), _AT_ONCE):
            found += self._tops(connection, ids[start : start + _AT_ONCE], [*asked, *scores], limit)
        return sorted(found, reverse=True)[:limit]

    def _floor(self, connection: sa.Connection, asked: Conditions) -> Place | None:
        """Where a window of the newest rows ends; None where it holds them all."""
        newest = _hinted(sa.select(_ROW.at, _ROW.seq), "ix_interruption_at").where(*asked).order_by(*_NEWEST)
        row = connection.execute(newest.limit(1).offset(_WINDOW)).one_or_none()
        return None if row is None else (row.at, row.seq)

    def _heads(self, connection: sa.Connection, ids: Sequence[int], asked: Conditions, limit: int) -> list[int]:
        """The combinations whose newest rows are the newest: no other one can have a row on the page."""
        top = _hinted(sa.select(_ROW.at), "ix_interruption_combination").where(_ROW.combination == COMBINATION.c.id)
        head = top.where(*asked).order_by(*_NEWEST).limit(1).correlate(COMBINATION).scalar_subquery()
        heads = connection.execute(sa.select(head, COMBINATION.c.id).where(COMBINATION.c.id.in_(ids)))
        newest = sorted(((at, key) for at, key in heads if at is not None), reverse=True)
        # As many as share the last one's time: the order among those is not known yet.
        return [key for at, key in newest if at >= newest[min(limit, len(newest)) - 1][0]]

    def _tops(self, connection: sa.Connection, ids: Sequence[int], asked: Conditions, limit: int) -> list[Place]:
        """The newest rows of each combination."""
        each = _hinted(sa.select(_ROW.at, _ROW.seq), "ix_interruption_combination")
        parts = [
            sa.select(each.where(_ROW.combination == key, *asked).order_by(*_NEWEST).limit(limit).subquery())
            for key in ids
        ]
        return [(at, seq) for at, seq in connection.execute(sa.union_all(*parts))]

    def _records(self, connection: sa.Connection, places: Sequence[Place]) -> list[InterruptionRecord]:
        seqs = [seq for _, seq in places]
        rows = connection.execute(sa.select(_ROW.seq, _ROW.record).where(_ROW.seq.in_(seqs)))
        texts = {row.seq: row.record for row in rows}
        # One that has been deleted since is left out.
        return [decode(texts[seq], InterruptionRecord) for seq in seqs if seq in texts]


def _combinations(connection: sa.Connection, wanted: Filter) -> list[int] | None:
    """The combinations that a filter means; None: all."""
    asked = conditions.of_combinations(wanted)
    return list(connection.scalars(sa.select(COMBINATION.c.id).where(*asked))) if asked else None


def _among(ids: Sequence[int] | None) -> list[sa.ColumnElement[bool]]:
    # Written out: a thousand parameters take a driver longer than a database takes to read them.
    return [] if ids is None else [_ROW.combination.in_(sa.bindparam(None, ids, expanding=True, literal_execute=True))]


def in_order(wanted: Filter) -> str:
    """The index in which the rows of the filter's session, conversation or user, or all rows, stand in order."""
    named = (name for name in ("session", "conversation", "user") if getattr(wanted, name) is not None)
    return f"ix_interruption_{next(named, 'at')}"


def _hinted(query: sa.Select[Any], index: str) -> sa.Select[Any]:
    # SQLite has no statistics of a table that nobody analysed. Each of these indexes has the columns it is asked for.
    return query.with_hint(INTERRUPTION, f"INDEXED BY {index}", "sqlite")


def _scan(connection: sa.Connection, index: str | None, asked: Conditions, limit: int) -> list[Place]:
    query = sa.select(_ROW.at, _ROW.seq) if index is None else _hinted(sa.select(_ROW.at, _ROW.seq), index)
    query = query.where(*asked).order_by(*_NEWEST).limit(limit)
    return [(at, seq) for at, seq in connection.execute(query)]
