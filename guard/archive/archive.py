"""The archive itself: what is done to it and read from it.

Every change is one attempt after another until one is committed: take the newest version, read what is to change (from
the store, too: what was forgotten there meanwhile must not come back), write files, commit. Whoever loses the race
begins anew from the version that won.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from guard.archive import reading, verifying
from guard.archive.ledger import Ledger
from guard.archive.manifest import TABLES, DataFile, Manifest, Mark, Part, TableName
from guard.archive.partition import Rewriter
from guard.archive.rows import run_name, table_of
from guard.archive.storage import storage
from guard.core.records import InterruptionRecord
from guard.errors import ConfigError, StoreError
from guard.store import Database, Filter
from guard.store.changes import Change

T = TypeVar("T")

ROUND_ROWS = 10_000
ROUND_BYTES = 12 << 20
"""The store is read, and committed to the archive, in rounds that end at either: memory stays bounded, and what a
killed run has committed stays. Bytes of records."""

_PAGE: dict[TableName, int] = {"interruption": 500, "session": 100}
_MARKS = 8
_ATTEMPTS = 100
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an update did: rows that are new, rows that replaced an older version of theirs, files written."""

    added: int = 0
    replaced: int = 0
    files: int = 0

    def plus(self, other: Report) -> Report:
        """Both together."""
        return Report(
            added=self.added + other.added, replaced=self.replaced + other.replaced, files=self.files + other.files
        )


class Archive:
    """The log as Parquet files at a path or an fsspec URL; nothing is opened or made yet.

    Any number of processes may use one archive at once. The constructor raises ConfigError for a URL that cannot be
    used; every method raises ConfigError where there is no archive (`update` makes one) and StoreError.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._ledger = Ledger(storage(url))

    @property
    def shown(self) -> str:
        """Where it is, without a password."""
        return self._ledger.storage.shown

    def update(self, database: Database) -> Report:
        """Take in what was written to a store since the last time: closed interruptions and sessions.

        An archive is of one store, which must be open.
        """
        self._ledger.begin()
        total = Report()
        for table in TABLES:
            more = True
            while more:
                done = self._attempted(partial(self._round, table=table, database=database))
                report, more = done or (Report(), False)
                total = total.plus(report)
        self._ledger.sweep()
        return total

    def forget(self, *, session: str | None = None, user: str | None = None, conversation: str | None = None) -> int:
        """Delete the rows that are of all that is given; returns how many there were.

        Forget them in the store first: only then does no `update`, not even one at work now, bring them back. When
        this returns, no file here holds them, but for one that another run is writing and will delete, since it cannot
        commit it. A storage that keeps old versions of files by itself must be told to let them go.

        Raises ConfigError if none is given.
        """
        if not (session or user or conversation):
            raise ConfigError("forget: name a session, a user or a conversation")
        lost = reading.same(session=session, user=user, conversation=conversation)

        def attempt(base: Manifest) -> tuple[Manifest, int]:
            new, dropped = base.next(run_name()), 0
            for table, part in base.tables.items():
                change = self._rewriter(table, new).drop(part.files, lost)
                new = new.having(table, replace(part, files=change.files))
                dropped += change.lost
            # Committed even without a change: it stops an update that read the store before the rows were forgotten.
            return new, dropped

        dropped = self._attempted(attempt)
        self._ledger.sweep()
        return dropped or 0

    def iter_interruptions(self, where: Filter | None = None) -> Iterator[InterruptionRecord]:
        """Every interruption that matches, oldest first, a row group in memory at a time."""
        return reading.interruptions(self._ledger, where or Filter())

    def files(self, table: TableName) -> list[DataFile]:
        """The files that hold a table now, in the order of their rows."""
        return list(self._ledger.newest().tables[table].files)

    def verify(self, database: Database) -> verifying.Comparison:
        """Compare with the store, row by row, and every file with its digest."""
        return verifying.compared(self._ledger, database)

    # Inside

    def _attempted(self, attempt: Callable[[Manifest], tuple[Manifest, T] | None]) -> T | None:
        """What came of the first attempt that was committed; None where there was nothing to do."""
        for number in range(_ATTEMPTS):
            base = self._ledger.newest()
            try:
                planned = attempt(base)
            except FileNotFoundError as error:
                reading.newer(self._ledger, base, error)
                continue
            if planned is None:
                return None
            if self._ledger.commit(base, planned[0]):
                return planned[1]
            self._ledger.sweep()
            time.sleep(random.uniform(0, _PAUSE_S * min(1.0, number / 10)))
        raise StoreError(f"archive {self.shown!r}: others kept changing it for {_ATTEMPTS} attempts")

    def _round(
        self, base: Manifest, table: TableName, database: Database
    ) -> tuple[Manifest, tuple[Report, bool]] | None:
        """The next version with rows of the store's, what they are, and whether there are more."""
        part, settled = base.tables[table], database.settled(table)
        if settled < part.rev or _is_another(database, table, part):
            raise StoreError(
                f"archive {self.shown!r} is of another store, or of a newer copy of this one; archive this store to a "
                "folder of its own"
            )
        rows, reached = _read(database, table, part.rev, settled)
        if not rows:
            return None
        new = base.next(run_name())
        change = self._rewriter(table, new).take(part.files, table_of(table, rows))
        report = Report(added=len(rows) - change.lost, replaced=change.lost, files=change.written)
        marks = tuple(Mark(rev=row["rev"], digest=_digest(row["id"])) for row in rows[-_MARKS:])
        return new.having(table, Part(rev=reached, files=change.files, marks=marks)), (report, reached < settled)

    def _rewriter(self, table: TableName, new: Manifest) -> Rewriter:
        return Rewriter(storage=self._ledger.storage, table=table, version=new.version, run=new.run)


def _is_another(database: Database, table: TableName, part: Part) -> bool:
    """Whether a write that the archive has seen is of another row in this store. One that is there no more (written
    again, or deleted) tells nothing."""
    for mark in part.marks:
        found = database.changes(table, mark.rev - 1, 1)
        if found and found[0].rev == mark.rev and _digest(found[0].id) != mark.digest:
            return True
    return False


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def _read(database: Database, table: TableName, after: int, settled: int) -> tuple[list[dict[str, Any]], int]:
    """Rows that were written after a `rev` and are settled, as many as a round takes; and how far that goes."""
    rows: list[dict[str, Any]] = []
    size = 0
    while len(rows) < ROUND_ROWS and size < ROUND_BYTES:
        page = database.changes(table, after, _PAGE[table])
        for change in page:
            if change.rev > settled:
                return rows, settled
            rows.append(_row(change))
            size += len(change.record)
            after = change.rev
        if len(page) < _PAGE[table]:
            return rows, settled
    return rows, after


def _row(change: Change) -> dict[str, Any]:
    """What the archive's columns hold of a row of the store's."""
    named = ("rev", "id", "at", "session", "user", "conversation", "record")
    return {**change.columns, **{name: getattr(change, name) for name in named}}
