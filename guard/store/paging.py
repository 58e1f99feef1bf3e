"""Pages of interruptions, newest first, and how many there are.

Chooses how the rows are found; a database's own planner guesses wrong where two filters depend on each other (a check
that only one policy has), and then reads a million rows to find none. The ways, in this order:

1. Few rows have the words or the score: those are looked at. (Words that are neither few nor common: the newest rows
   first, then those that have the words.)
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
"""Where more rows than this have the words, all rows are walked until there are enough."""

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
            few = self._few(connection, wanted) if self.dialect != "sqlite" and words(wanted.text or "") else None
            common = self.dialect == "sqlite" and cap is not None and not self._are_few(connection, wanted, COUNTED)
            found = self._conditions(connection, wanted, walking=few is not None or common)
            if found is None:
                return 0
            asked = [*(few or ()), *found, *conditions.of_times(wanted)]
            query = sa.select(sa.literal(1)).select_from(INTERRUPTION).where(*asked)
            if cap is not None and few is None:
                query = query.limit(cap)
            number = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
            return number if cap is None else min(number, cap)

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
        few = self._few(connection, wanted)
        if few is not None:
            return _scan(connection, None, [*few, *asked, *scores, *owned.values(), *_among(ids)], limit)
        if wanted.text is not None and not owned and ids is None:
            return self._worded(connection, wanted.text, asked, scores, limit)
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

    def _few(self, connection: sa.Connection, wanted: Filter) -> Conditions | None:
        """What few rows have: the words, or the score and then the words too. A text has words here."""
        scores = conditions.of_scores(wanted)
        whole = None if wanted.text is None else conditions.has_whole(wanted.text, self.dialect)
        if whole is not None and _is_few(connection, sa.select(_ROW.seq).where(whole), FEW):
            return [whole, conditions.has_words(wanted.text or "", self.dialect, walking=True)]
        # What begins with one letter is most of a language, and long to be counted.
        if wanted.text is not None and not _ends_in_letter(wanted.text) and self._are_few(connection, wanted, FEW):
            return [conditions.has_words(wanted.text, self.dialect)]
        scored = _hinted(sa.select(_ROW.seq), "ix_interruption_score").where(*scores)
        if not scores or not _is_few(connection, scored, FEW):
            return None
        found = [_ROW.seq.in_(scored)]
        return found if wanted.text is None else [*found, conditions.has_words(wanted.text, self.dialect, walking=True)]

    def _are_few(self, connection: sa.Connection, wanted: Filter, few: int) -> bool:
        """Whether so few rows have the words, where any are asked for."""
        if wanted.text is None or not words(wanted.text):
            return True
        return _is_few(connection, conditions.matching(wanted.text, self.dialect), few)

    def _worded(
        self, connection: sa.Connection, text: str, asked: Conditions, scores: Conditions, limit: int
    ) -> list[Place]:
        """Words that are many, and perhaps all in rows of long ago."""
        walked = conditions.has_words(text, self.dialect, walking=True)
        found, whole = self._newest(connection, asked, [*scores, walked], limit)
        if whole:
            return found
        if _is_few(connection, conditions.matching(text, self.dialect), COUNTED):
            return _scan(connection, None, [conditions.has_words(text, self.dialect), *asked, *scores], limit)
        return _scan(connection, "ix_interruption_at", [*asked, *scores, walked], limit)

    def _combined(
        self, connection: sa.Connection, ids: Sequence[int], asked: Conditions, scores: Conditions, limit: int
    ) -> list[Place]:
        if len(ids) > _MANY:
            found, whole = self._newest(connection, asked, [*scores, *_among(ids)], limit)
            if whole:
                return found
            ids = self._heads(connection, ids, [*asked, *scores], limit)
        found = []
        for start in range(0, len(ids), _AT_ONCE):
            found += self._tops(connection, ids[start : start + _AT_ONCE], [*asked, *scores], limit)
        return sorted(found, reverse=True)[:limit]

    def _newest(
        self, connection: sa.Connection, asked: Conditions, more: Conditions, limit: int
    ) -> tuple[list[Place], bool]:
        """What there is in a window of the newest rows, and whether that is the whole page."""
        floor = self._floor(connection, asked)
        new = [] if floor is None else [sa.tuple_(_ROW.at, _ROW.seq) >= sa.tuple_(*map(sa.literal, floor))]
        found = _scan(connection, "ix_interruption_at", [*asked, *new, *more], limit)
        return found, floor is None or len(found) == limit

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


def _ends_in_letter(text: str) -> bool:
    last = words(text)[-1]
    return len(last) == 1 and last.isascii()


def _is_few(connection: sa.Connection, way: sa.Select[Any], few: int) -> bool:
    number = connection.scalar(sa.select(sa.func.count()).select_from(way.limit(few + 1).subquery()))
    return number is not None and number <= few


def _hinted(query: sa.Select[Any], index: str) -> sa.Select[Any]:
    # SQLite has no statistics of a table that nobody analysed. Each of these indexes has the columns it is asked for.
    return query.with_hint(INTERRUPTION, f"INDEXED BY {index}", "sqlite")


def _scan(connection: sa.Connection, index: str | None, asked: Conditions, limit: int) -> list[Place]:
    """The newest rows, by an index in which they stand in order; None: they are few, to be found first and then sorted.
    The sum keeps a planner from walking all rows in order until it has come across enough of them."""
    query = sa.select(_ROW.at, _ROW.seq) if index is None else _hinted(sa.select(_ROW.at, _ROW.seq), index)
    order = _NEWEST if index is not None else ((_ROW.at + 0).desc(), _ROW.seq.desc())
    return [(at, seq) for at, seq in connection.execute(query.where(*asked).order_by(*order).limit(limit))]
