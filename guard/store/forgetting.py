"""Deletes: what is too old, and what is someone's.

What is deleted is gone from the tables, from the index of words and, on SQLite, from the free pages and the write-ahead
log of the file. A backup, a PostgreSQL archive of its log, and the hourly counts (which name no one) are not touched.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from guard.errors import ConfigError
from guard.store.engine import translated
from guard.store.recording import Recording
from guard.store.schema import INTERRUPTION, JUDGEMENT, SEGMENT, SESSION, TALLY, plain

_OWNED = (INTERRUPTION, SESSION, SEGMENT)
_MERGED = 500
"""Pages of the index of words that are merged at a time."""


class Forgetting(Recording):
    """The part of `Database` that deletes."""

    def purge(self, older_than: float, batch: int = 500) -> int:
        """Delete up to `batch` rows of each table from before `older_than` (unix seconds), with what was said of them;
        returns how many."""
        with self._writing() as connection:
            total = 0
            for table, when in ((INTERRUPTION, "at"), (SESSION, "started")):
                old = sa.select(table.c.id).where(table.c[when] < older_than).order_by(table.c[when]).limit(batch)
                keys = list(connection.scalars(old))
                total += _delete(connection, table, table.c.id.in_(keys))
                total += _delete(connection, JUDGEMENT, JUDGEMENT.c.subject.in_(keys))
                if table is SESSION:
                    # Whatever their own time: without their session there is nothing to show a reviewer.
                    theirs = SEGMENT.c.session.in_(keys)
                    said = JUDGEMENT.c.subject.in_(sa.select(SEGMENT.c.id).where(theirs))
                    total += _delete(connection, JUDGEMENT, said) + _delete(connection, SEGMENT, theirs)
            return total + _delete(connection, TALLY, TALLY.c.hour < older_than - 3600)

    def forget(self, *, session: str | None = None, user: str | None = None, conversation: str | None = None) -> int:
        """Delete all that is on record of a session, a user or a conversation (of all that are given, what they have in
        common): interruptions, the session, its segments and what reviewers said; returns how many rows.

        Names are compared as they are stored. A policy that redacts stores a placeholder for a user who is named by an
        address, one without prompts stores no user: what it recorded is forgotten by session or by conversation.
        Raises ConfigError if none is given, or an empty one.
        """
        given = {"session": session, "user": user, "conversation": conversation}
        asked = {name: plain(value) for name, value in given.items() if value is not None}
        if not asked or "" in asked.values():
            raise ConfigError("forget: name a session, a user or a conversation")
        with self._writing("flushed") as connection:
            sessions = sa.union(*(sa.select(_session(table)).where(*_matches(table, asked)) for table in _OWNED))
            total = _delete(connection, JUDGEMENT, JUDGEMENT.c.session.in_(sessions))
            return total + sum(_delete(connection, table, *_matches(table, asked)) for table in _OWNED)

    def merged(self, begin: bool) -> bool:
        """Rewrite a part of the index of words, so that deleted words leave the file; returns whether more is to do.

        `begin`: with all of it as it is now. What is written meanwhile is left as it is, or there would be no end.
        """
        if self.dialect != "sqlite":
            return False
        with self._writing() as connection:
            changes = sa.text("SELECT total_changes()")
            before = connection.scalar(changes) or 0
            merge = sa.text("INSERT INTO interruption_words (interruption_words, rank) VALUES ('merge', :pages)")
            connection.execute(merge, {"pages": -_MERGED if begin else _MERGED})
            return (connection.scalar(changes) or 0) - before >= 2

    def purged(self) -> None:
        """After the last batch: forget deleted text in the write-ahead log too, and count anew."""
        if self.dialect == "sqlite":
            with translated(self.url), self._engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        self._count_kept()


def _session(table: sa.Table) -> Any:
    return table.c.id if table is SESSION else table.c.session


def _matches(table: sa.Table, asked: dict[str, str]) -> list[sa.ColumnElement[bool]]:
    return [(_session(table) if name == "session" else table.c[name]) == value for name, value in asked.items()]


def _delete(connection: sa.Connection, table: sa.Table, *asked: sa.ColumnElement[bool]) -> int:
    return connection.execute(table.delete().where(*asked)).rowcount
