"""Segments that were not interrupted, as a reviewer sees them.

A segment's row says that there is something to judge; its text and its verdicts are its session's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import sqlalchemy as sa

from guard.core.records import Provenance, Review, SessionRecord
from guard.core.types import Segment, Verdict
from guard.store.reader import Reader
from guard.store.rows import in_order
from guard.store.schema import SEGMENT, plain

Kind = Literal["flagged", "clean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecord:
    """A segment that guard let pass.

    Attributes:
        id: ``{session}.{choice}#{segment}``.
        at: when its response ended, in unix seconds.
        before: its channel's text before it, as it stands at the response's end.
        verdicts: the surest flagged one first.
        kind: `flagged` by a check and not interrupted, or `clean`: drawn at random from what no check had
            anything against.
    """

    id: str
    at: float
    provenance: Provenance
    segment: Segment
    verdicts: tuple[Verdict, ...]
    before: str
    kind: Kind
    review: Review


class Segments(Reader):
    """The part of `Database` that reads segments."""

    def segments(self, limit: int, kind: Kind = "flagged") -> list[SegmentRecord]:
        """The newest of this kind that were kept for review, newest first."""
        row_ = SEGMENT.c
        query = sa.select(row_.id, row_.session, row_.review).where(row_.kind == kind)
        query = query.with_hint(SEGMENT, "INDEXED BY ix_segment_at", "sqlite")
        with self._reading() as connection:
            rows = connection.execute(query.order_by(row_.at.desc(), row_.seq.desc()).limit(max(limit, 0))).all()
        made: list[SegmentRecord | None] = []
        # Those of a session stand together: it is read once.
        for name, of_session in groupby(rows, key=lambda row: row.session):
            session = self.session(name)
            made += [_found(session, row.id, kind, row.review) for row in of_session] if session else []
        return [record for record in made if record is not None]

    def segment(self, key: str) -> SegmentRecord | None:
        """One segment that was kept for review, or None."""
        row_ = SEGMENT.c
        with self._reading() as connection:
            query = sa.select(row_.session, row_.kind, row_.review).where(row_.id == plain(key))
            row = connection.execute(query).one_or_none()
        session = None if row is None else self.session(row.session)
        return None if row is None or session is None else _found(session, key, row.kind, row.review)


def _found(session: SessionRecord, key: str, kind: Kind, review: Review) -> SegmentRecord | None:
    for choice in session.choices:
        for segment in choice.segments:
            if plain(key) == plain(f"{session.provenance.session}.{choice.choice}#{segment.id}"):
                return SegmentRecord(
                    id=key,
                    at=session.ended,
                    provenance=session.provenance,
                    segment=segment,
                    verdicts=in_order(verdict for verdict in choice.verdicts if verdict.segment == segment.id),
                    before=choice.text.get(segment.channel, "")[: segment.start],
                    kind=kind,
                    review=review,
                )
    return None
