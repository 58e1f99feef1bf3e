"""What was written since: for whoever keeps a copy.

Every write of a row gives it a new number, which is never used again. So a copy is up to date when it has seen every
number up to one; which one that may be is `settled`: a writer may still be about to commit a number below the highest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from guard.store.reader import Reader
from guard.store.schema import INTERRUPTION, META, SESSION

Recorded = Literal["interruption", "session"]

_TABLES: Mapping[Recorded, sa.Table] = {"interruption": INTERRUPTION, "session": SESSION}
_NOT_COLUMNS = frozenset({"seq", "id", "rev", "at", "started", "session", "user", "conversation", "combination"}) | {
    "owner",
    "search",
    "record",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row as it stands.

    Attributes:
        rev: the number of its last write.
        at: unix seconds: when the turn was cut, or when the session's request arrived.
        columns: what else is searched for, by column.
        record: the record's JSON text.
    """

    rev: int
    id: str
    at: float
    session: str
    user: str
    conversation: str
    columns: Mapping[str, Any]
    record: str


class Changing(Reader):
    """The part of `Database` that tells what was written."""

    def settled(self, table: Recorded) -> int:
        """A number that every write of this table up to it is committed below; `changes` up to it are complete."""
        source = _TABLES[table]
        with self._reading() as connection:
            if self.dialect == "sqlite":
                return int(connection.scalar(sa.select(META.c.value).where(META.c.key == "rev")) or 0)
            # Waits for the writers that are under way and holds the next ones up for as long as reading a number takes.
            connection.execute(sa.text(f"LOCK TABLE {source.name} IN SHARE MODE"))
            return connection.scalar(sa.text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM rev")) or 0

    def changes(self, table: Recorded, after: int, limit: int) -> list[Change]:
        """The rows written since `after`, in the order of their last writes; interruptions once they are closed.

        Take no more of it than up to a `settled` asked for before: beyond that, rows may still come.
        """
        source = _TABLES[table]
        query = sa.select(source).where(source.c.rev > after).order_by(source.c.rev).limit(limit)
        if table == "interruption":
            query = query.where(source.c.outcome.is_not(None))
        with self._reading() as connection:
            return [_change(row._mapping) for row in connection.execute(query)]


def _change(row: sa.RowMapping) -> Change:
    is_session = "started" in row
    return Change(
        rev=row["rev"],
        id=row["id"],
        at=row["started" if is_session else "at"],
        session=row["id" if is_session else "session"],
        user=row["user"],
        conversation=row["conversation"],
        columns={name: value for name, value in row.items() if name not in _NOT_COLUMNS},
        record=row["record"],
    )
