"""What reviewers said, and what they make of it together.

A subject is an interruption, or a segment that was let pass. Rules:

- The consensus is of each reviewer's newest judgement; those who are unsure abstain. It stands beside the subject, and
  an interruption's record carries it with the newest edit.
- Taking a judgement back leaves what there was before it.
- A judgement is stored as its subject is: redacted, or without any text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import sqlalchemy as sa

from guard.core.records import Judgement, Review, Revision
from guard.store import privacy
from guard.store.codec import decode
from guard.store.recording import Recording
from guard.store.rows import judgement_row
from guard.store.schema import INTERRUPTION, JUDGEMENT, SEGMENT, SESSION, plain

_ROW = JUDGEMENT.c
_BATCH = 500


class Judging(Recording):
    """The part of `Database` that keeps judgements."""

    def judge(self, judgement: Judgement) -> Review | None:
        """Write a judgement down; returns the consensus, or None where the subject is not on record.

        The judgement's `session` is its subject's, whatever it says.
        """
        with self._writing("flushed") as connection:
            found = _subject(connection, judgement.subject)
            if found is None:
                return None
            session, prompts = found
            said = privacy.judgement(replace(judgement, session=session), prompts, self._redactor(session))
            connection.execute(JUDGEMENT.insert().values(judgement_row(said)))
            return self._agree(connection, judgement.subject)

    def undo(self, key: str) -> Judgement | None:
        """Take one judgement back; returns it, or None where it is not on record."""
        with self._writing("flushed") as connection:
            text = connection.scalar(sa.select(_ROW.record).where(_ROW.id == plain(key)))
            if text is None:
                return None
            judgement = decode(text, Judgement)
            _subject(connection, judgement.subject)
            connection.execute(JUDGEMENT.delete().where(_ROW.id == plain(key)))
            self._agree(connection, judgement.subject)
            return judgement

    def last_judgement(self, reviewer: str) -> Judgement | None:
        """The newest judgement of a reviewer."""
        newest = sa.select(_ROW.record).where(_ROW.reviewer == plain(reviewer)).order_by(_ROW.seq.desc()).limit(1)
        with self._reading() as connection:
            text = connection.scalar(newest)
        return None if text is None else decode(text, Judgement)

    def judgements(self, subject: str) -> list[Judgement]:
        """What was said of one subject, oldest first, also what its reviewer has said anew since."""
        with self._reading() as connection:
            return _judgements(connection, subject)

    def iter_judgements(self) -> Iterator[Judgement]:
        """Every judgement, oldest first; no transaction stays open between batches."""
        after = 0
        query = sa.select(_ROW.seq, _ROW.record).order_by(_ROW.seq).limit(_BATCH)
        while True:
            with self._reading() as connection:
                rows = connection.execute(query.where(_ROW.seq > after)).all()
            yield from (decode(row.record, Judgement) for row in rows)
            if len(rows) < _BATCH:
                return
            after = rows[-1].seq

    def _agree(self, connection: sa.Connection, subject: str) -> Review:
        """Write the consensus beside its subject."""
        newest = _newest(_judgements(connection, subject))
        review = consensus(newest)
        if not self._change(connection, subject, review=review, revised=_revision(newest)):
            connection.execute(SEGMENT.update().where(SEGMENT.c.id == plain(subject)).values(review=review))
        return review


def consensus(newest: Sequence[Judgement]) -> Review:
    """What judgements of different reviewers amount to."""
    rulings = {judgement.ruling for judgement in newest} - {"unsure"}
    if len(rulings) > 1:
        return "disputed"
    return "confirmed" if "confirmed" in rulings else "rejected" if rulings else "unreviewed"


def _newest(judgements: Sequence[Judgement]) -> list[Judgement]:
    """The newest of each reviewer, the newest last."""
    found: dict[str, Judgement] = {}
    for judgement in judgements:
        found.pop(judgement.reviewer, None)
        found[judgement.reviewer] = judgement
    return list(found.values())


def _revision(newest: Sequence[Judgement]) -> Revision | None:
    for said in reversed(newest):
        if said.label or said.reason is not None or said.correction is not None:
            return Revision(label=said.label, reason=said.reason, correction=said.correction)
    return None


def _judgements(connection: sa.Connection, subject: str) -> list[Judgement]:
    query = sa.select(_ROW.record).where(_ROW.subject == plain(subject)).order_by(_ROW.seq)
    return [decode(text, Judgement) for text in connection.scalars(query)]


def _subject(connection: sa.Connection, key: str) -> tuple[str, privacy.Prompts] | None:
    """Its session and how that is stored. Locked, so that two reviewers at once both count."""
    cut, segment = INTERRUPTION.c, SEGMENT.c
    row = connection.execute(
        sa.select(cut.session, cut.prompts).where(cut.id == plain(key)).with_for_update()
    ).one_or_none()
    if row is None:
        source = sa.join(SEGMENT, SESSION, SESSION.c.id == segment.session)
        query = sa.select(segment.session, SESSION.c.prompts).select_from(source).where(segment.id == plain(key))
        row = connection.execute(query.with_for_update()).one_or_none()
    return None if row is None else (row[0], row[1])
