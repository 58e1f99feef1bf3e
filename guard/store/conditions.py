"""A filter as conditions on the tables.

Knows columns and both databases' word search; chooses no plan and reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from guard.store.schema import COMBINATION, COMBINED, INTERRUPTION, SESSION, plain
from guard.store.where import Filter
from guard.store.words import words

WORDS = sa.table("interruption_words", sa.column("rowid"), sa.column("search"))
"""SQLite's index of words."""

_VECTOR: sa.ColumnClause[Any] = sa.literal_column("interruption.words")
"""PostgreSQL's column of words."""

_OWN = ("user", "conversation", "session")


def of_sessions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """What a filter asks of a session; fields that it does not have do not restrict it."""
    table = SESSION.c
    named = {"id": wanted.session} | {name: getattr(wanted, name) for name in _OWN[:2]}
    named |= {"model": wanted.model, "policy": wanted.policy, "flagged": wanted.flagged}
    found = [table[name] == plain(value) for name, value in named.items() if value is not None]
    return found + _between(table.started, wanted.since, wanted.until)


def of_combinations(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """What a filter asks of an interruption's combination."""
    given = ((name, getattr(wanted, name)) for name in COMBINED)
    return [COMBINATION.c[name] == plain(value) for name, value in given if value is not None]


def of_owners(wanted: Filter) -> dict[str, sa.ColumnElement[bool]]:
    """What a filter asks of whose interruption it is, by column."""
    given = ((name, getattr(wanted, name)) for name in _OWN)
    return {name: INTERRUPTION.c[name] == plain(value) for name, value in given if value is not None}


def of_times(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """What a filter asks of an interruption's time."""
    return _between(INTERRUPTION.c.at, wanted.since, wanted.until)


def of_scores(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    """What a filter asks of an interruption's score."""
    found = [] if wanted.score_min is None else [INTERRUPTION.c.score >= wanted.score_min]
    return found if wanted.score_max is None else [*found, INTERRUPTION.c.score <= wanted.score_max]


def matching(text: str, dialect: str) -> sa.Select[Any]:
    """The `seq` of every interruption that has all of the words."""
    if dialect != "sqlite":
        return sa.select(INTERRUPTION.c.seq).where(_has(_VECTOR, words(text)))
    return sa.select(WORDS.c.rowid).where(_match(text))


def has_words(text: str, dialect: str, *, walking: bool = False) -> sa.ColumnElement[bool]:
    """Whether an interruption has all of the words; `walking`: asked of one row after the other, until there are
    enough."""
    if dialect != "sqlite":
        # A sum is in no index: that would first gather all that begins so.
        return _has(_VECTOR.concat(sa.literal_column("''::tsvector")) if walking else _VECTOR, words(text))
    if walking:
        # Its index of words would be opened anew for every row; the column holds nothing but words, one space apart.
        *whole, start = (f" {word}" for word in words(text))
        spaced = sa.literal(" ") + INTERRUPTION.c.search + " "
        return sa.and_(*(sa.func.instr(spaced, part) > 0 for part in (start, *(f"{word} " for word in whole))))
    return INTERRUPTION.c.seq.in_(matching(text, dialect))


def has_whole(text: str, dialect: str) -> sa.ColumnElement[bool] | None:
    """PostgreSQL: whether an interruption has all of the words but the last, which may be a beginning of many."""
    *whole, _ = words(text)
    return _has(_VECTOR, whole, begins=False) if whole and dialect != "sqlite" else None


def _match(text: str) -> sa.ColumnElement[bool]:
    quoted = [f'"{word}"' for word in words(text)]
    return sa.literal_column("interruption_words").op("MATCH", is_comparison=True)(" ".join(quoted) + "*")


def _has(vector: sa.ColumnElement[Any], found: Sequence[str], *, begins: bool = True) -> sa.ColumnElement[bool]:
    query = " & ".join(f"'{word}'" for word in found) + ":*" * begins
    simple: sa.ColumnClause[str] = sa.literal_column("'simple'")
    return vector.op("@@", is_comparison=True)(sa.func.to_tsquery(simple, query))


def _between(column: sa.Column[float], since: float | None, until: float | None) -> list[sa.ColumnElement[bool]]:
    found = [] if since is None else [column >= since]
    return found if until is None else [*found, column < until]
