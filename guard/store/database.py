"""The store's synchronous core: core records in, core records out.

Knows tables and transactions; does not know asyncio. Every method is one short transaction, so that several
processes can share a SQLite file. Rules:

- What a method wrote survives the death of this process once it returns. An interruption survives a loss of
  power too (as far as the disk honours a flush); of sessions and closings such a loss may take the last few,
  and an interruption without its closing is `abandoned`.
- An interruption names the process that will close it. `recover` closes as `abandoned` those whose process is
  gone, never those of one that lives: a process on this host is looked up; one elsewhere (another container)
  is given `grace` seconds. Should that be wrong, the real closing, when it comes, replaces it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.core.types import Closing
from guard.errors import StoreError
from guard.store import owner, privacy
from guard.store.codec import decode
from guard.store.engine import name, translated
from guard.store.privacy import Prompts
from guard.store.reader import Reader
from guard.store.redactor import Redactor
from guard.store.schema import (
    INTERRUPTION,
    META,
    METADATA,
    SCHEMA,
    SESSION,
    interruption_row,
    plain,
    session_row,
)

_REDACTORS = 1024
_UNCHANGED: Any = object()


class Database(Reader):
    """Sessions and interruptions at a SQLAlchemy URL, for one writing thread and any number of reading
    ones."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(url)
        self._clock = clock
        self._redactors: OrderedDict[str, Redactor] = OrderedDict()
        self._kept: dict[str, list[int]] = {}

    # Opening and closing

    def open(self) -> None:
        """Create what is missing. Safe to call twice. Raises StoreError if a newer guard made the tables."""
        with self._writing() as connection:
            METADATA.create_all(connection)
            found = connection.scalar(sa.select(META.c.value).where(META.c.key == "schema"))
            if found is None:
                connection.execute(META.insert().values(key="schema", value=SCHEMA))
            elif found != SCHEMA:
                raise StoreError(f"store {name(self.url)!r} has schema {found!r}, this guard {SCHEMA!r}; upgrade guard")
        self._count_kept()

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    # Writing

    def add_interruption(self, record: InterruptionRecord, prompts: Prompts = "full") -> None:
        """Store an interruption whose response still runs."""
        safe = privacy.interruption(record, prompts, self._redactor(record.provenance.session))
        row = interruption_row(safe, prompts=prompts, owner=owner.name())
        with self._writing("flushed") as connection:
            connection.execute(INTERRUPTION.insert().values(row))

    def close_interruptions(self, closings: Sequence[Closing]) -> int:
        """Write how interruptions ended; returns how many are stored (one that could not be is no error)."""
        if not closings:
            return 0
        with self._writing() as connection:
            return sum(self._change(connection, closing.id, closing=closing) for closing in closings)

    def amend(
        self,
        key: str,
        *,
        review: Review = _UNCHANGED,
        known: float | None = _UNCHANGED,
        counterfactual: str | None = _UNCHANGED,
    ) -> bool:
        """Add what is learnt about an interruption later; returns whether it is stored."""
        given = {"review": review, "known": known, "counterfactual": counterfactual}
        changes = {field: value for field, value in given.items() if value is not _UNCHANGED}
        with self._writing() as connection:
            return self._change(connection, key, **changes)

    def add_session(self, record: SessionRecord, clean_ratio: float = 1.0, prompts: Prompts = "full") -> bool:
        """Store a session; one without a finding only if `want_clean`. Returns whether it was stored."""
        flagged, policy = record.flagged, record.provenance.policy
        if not flagged and not self.want_clean(clean_ratio, policy):
            return False
        safe = privacy.session(record, prompts, self._redactor(record.provenance.session))
        with self._writing() as connection:
            connection.execute(SESSION.insert().values(session_row(safe, prompts=prompts)))
        self._kept.setdefault(policy, [0, 0])[flagged] += 1
        return True

    def want_clean(self, ratio: float, policy: str) -> bool:
        """Whether one more clean session of this policy keeps clean <= ratio x flagged.

        Counted in memory from what was stored at `open`; several processes each count their own additions.
        """
        clean, flagged = self._kept.get(policy, (0, 0))
        return clean + 1 <= ratio * flagged

    def recover(self, grace: float = 3600.0) -> int:
        """Close as abandoned what a process that is gone left open; returns how many.

        `grace` is in seconds and must exceed the longest a response may take.
        """
        table, limit = INTERRUPTION.c, self._clock() - grace
        with self._writing() as connection:
            open_rows = connection.execute(sa.select(table.id, table.at, table.owner).where(table.outcome.is_(None)))
            lost = [
                row.id
                for row in open_rows
                if owner.is_gone(row.owner) or (row.at < limit and row.owner != owner.name())
            ]
            closings = [Closing(id=key, outcome="abandoned", continuation=None, followed="") for key in lost]
            return sum(self._change(connection, closing.id, closing=closing) for closing in closings)

    def purge(self, older_than: float, batch: int = 500) -> int:
        """Delete up to `batch` rows of each table from before `older_than` (unix seconds); returns how
        many."""
        with self._writing() as connection:
            return sum(
                connection.execute(
                    table.delete().where(table.c.id.in_(_oldest(table, time_, older_than, batch)))
                ).rowcount
                for table, time_ in ((INTERRUPTION, INTERRUPTION.c.at), (SESSION, SESSION.c.started))
            )

    def purged(self) -> None:
        """After the last batch: forget deleted text in the write-ahead log too, and count anew."""
        if self._engine.dialect.name == "sqlite":
            with translated(self.url), self._engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        self._count_kept()

    # Inside

    @contextmanager
    def _writing(self, how: str = "written") -> Iterator[sa.Connection]:
        with translated(self.url), self._engine.execution_options(write=how).begin() as connection:
            yield connection

    def _redactor(self, session: str) -> Redactor:
        """The session's placeholders. Kept in memory only: written down, they would undo themselves."""
        found = self._redactors.setdefault(session, Redactor())
        self._redactors.move_to_end(session)
        if len(self._redactors) > _REDACTORS:
            self._redactors.popitem(last=False)
        return found

    def _count_kept(self) -> None:
        query = sa.select(SESSION.c.policy, SESSION.c.flagged, sa.func.count())
        kept: dict[str, list[int]] = {}
        with self._reading() as connection:
            for policy, flagged, number in connection.execute(query.group_by(SESSION.c.policy, SESSION.c.flagged)):
                kept.setdefault(policy, [0, 0])[flagged] = number
        self._kept = kept

    def _change(self, connection: sa.Connection, key: str, **changes: Any) -> bool:
        columns = (INTERRUPTION.c.record, INTERRUPTION.c.prompts, INTERRUPTION.c.owner)
        row = connection.execute(sa.select(*columns).where(INTERRUPTION.c.id == plain(key))).one_or_none()
        if row is None:
            return False
        record = replace(decode(row.record, InterruptionRecord), **changes)
        redactor = self._redactor(record.provenance.session)
        new = interruption_row(_safe(record, changes, row.prompts, redactor), prompts=row.prompts, owner=row.owner)
        connection.execute(INTERRUPTION.update().where(INTERRUPTION.c.id == plain(key)).values(new))
        return True


def _safe(
    record: InterruptionRecord, changes: dict[str, Any], prompts: Prompts, redactor: Redactor
) -> InterruptionRecord:
    """Only what is new goes through the redactor: the rest has been, and offsets must not move twice."""
    if "closing" in changes and record.closing:
        return replace(record, closing=privacy.close(record.closing, prompts, redactor))
    if changes.get("counterfactual") and prompts != "full":
        return replace(record, counterfactual=None if prompts == "none" else redactor.text(changes["counterfactual"]))
    return record


def _oldest(table: sa.Table, when: sa.Column[Any], limit: float, batch: int) -> sa.Select[Any]:
    return sa.select(table.c.id).where(when < limit).order_by(when).limit(batch)
