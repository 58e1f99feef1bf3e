"""Writes down what happens: interruptions, how they ended, sessions.

Every method is one short transaction, or a savepoint of the `batch` it is called in. Rules:

- What a method wrote survives the death of this process once it returns (in a batch: once that ends). An interruption
  survives a loss of power too (as far as the disk honours a flush); of the rest such a loss may take the last few on
  SQLite, and an interruption without its closing is `abandoned`.
- An interruption names the process that will close it. `recover` closes as `abandoned` those whose process is
  gone, never those of one that lives: a process on this host is looked up; one elsewhere (another container)
  is given `grace` seconds. Should that be wrong, the real closing, when it comes, replaces it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.core.types import Closing
from guard.store import owner, privacy
from guard.store.codec import decode
from guard.store.privacy import Prompts
from guard.store.reader import Reader
from guard.store.redactor import Redactor
from guard.store.rows import interruption_row, segment_rows, session_row
from guard.store.schema import COMBINATION, INTERRUPTION, SEGMENT, SESSION, plain

_REDACTORS = 1024
_UNCHANGED: Any = object()


class Recording(Reader):
    """The part of `Database` that a server writes with.

    `clock` gives unix seconds; `redactor` makes the placeholders of one session.
    """

    def __init__(
        self, url: str, *, clock: Callable[[], float] = time.time, redactor: Callable[[], Redactor] = Redactor
    ) -> None:
        super().__init__(url)
        self._clock = clock
        self._new_redactor = redactor
        self._redactors: OrderedDict[str, Redactor] = OrderedDict()
        self._kept: dict[str, list[int]] = {}

    def add_interruption(self, record: InterruptionRecord, prompts: Prompts = "full") -> None:
        """Store an interruption whose response still runs."""
        safe = privacy.interruption(record, prompts, self._redactor(record.provenance.session))
        row = interruption_row(safe, prompts=prompts, owner=owner.name())
        with self._writing("flushed") as connection:
            self._combine(connection, row)
            connection.execute(INTERRUPTION.insert().values(row | {"rev": self._rev(connection)}))

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
        """Store a session with the segments to review; one without a finding only if `want_clean`. Returns whether it
        was stored."""
        flagged, policy = record.flagged, record.provenance.policy
        if not flagged and not self.want_clean(clean_ratio, policy):
            return False
        safe = privacy.session(record, prompts, self._redactor(record.provenance.session))
        with self._writing() as connection:
            row = session_row(safe, prompts=prompts)
            connection.execute(SESSION.insert().values(row | {"rev": self._rev(connection)}))
            for segment in segment_rows(safe):
                connection.execute(SEGMENT.insert().values(segment))
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
        with self._writing() as connection:
            lost = [row.id for row in self._open(connection) if self._is_lost(row.owner, row.at, grace)]
            closings = [Closing(id=key, outcome="abandoned", continuation=None, followed="") for key in lost]
            return sum(self._change(connection, closing.id, closing=closing) for closing in closings)

    # Inside

    def _redactor(self, session: str) -> Redactor:
        """The session's placeholders. Kept in memory only: written down, they would undo themselves."""
        found = self._redactors.setdefault(session, self._new_redactor())
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

    def _open(self, connection: sa.Connection) -> Sequence[Any]:
        table = INTERRUPTION.c
        kinds = sa.select(COMBINATION.c.id).where(COMBINATION.c.outcome == "open")
        return connection.execute(sa.select(table.id, table.at, table.owner).where(table.combination.in_(kinds))).all()

    def _is_lost(self, process: str, at: float, grace: float) -> bool:
        return owner.is_gone(process) or (at < self._clock() - grace and process != owner.name())

    def _change(self, connection: sa.Connection, key: str, **changes: Any) -> bool:
        columns = (INTERRUPTION.c.record, INTERRUPTION.c.prompts, INTERRUPTION.c.owner)
        where = INTERRUPTION.c.id == plain(key)
        row = connection.execute(sa.select(*columns).where(where).with_for_update()).one_or_none()
        if row is None:
            return False
        record = replace(decode(row.record, InterruptionRecord), **changes)
        redactor = self._redactor(record.provenance.session)
        new = interruption_row(_safe(record, changes, row.prompts, redactor), prompts=row.prompts, owner=row.owner)
        self._combine(connection, new)
        connection.execute(INTERRUPTION.update().where(where).values(new | {"rev": self._rev(connection)}))
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
