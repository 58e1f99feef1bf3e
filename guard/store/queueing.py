"""What a reviewer should judge next.

Nothing is written down for it and nothing is drawn anew: the same reviewer sees the same queue until something is
judged, two reviewers see different ones. In this order:

1. What nobody has judged, most informative first (`rows`: the doubt). Of what is about as doubtful, each reviewer
   begins elsewhere.
2. What others have judged and this one has not, second opinions: disputed ones before others where not all fit.

Into it are mixed segments that no check had anything against, drawn at random: only they tell what the checks miss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import sqlalchemy as sa

from guard.store.reader import Reader
from guard.store.schema import INTERRUPTION, JUDGEMENT, SEGMENT, plain, share

Why = Literal[
    "near the threshold",
    "checks disagree",
    "not judged yet",
    "random clean segment",
    "flagged, not interrupted",
    "second opinion",
]

NEAR = 0.9
"""An interruption of a lower score is called near its threshold. The row does not tell which one that was; those of the
policies that guard brings are from 0.48 to 0.85."""

_WINDOW = 4
"""So many times the rows that are asked for are looked at to tell reviewers' queues apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something to judge, and why.

    Attributes:
        score: of the surest finding, 0..1.
        doubt: how much a review would tell, 0..2.
        why: the first that holds; an interruption that is sure and undisputed among the checks is ``not judged yet``.
    """

    kind: Literal["interruption", "segment"]
    id: str
    at: float
    score: float
    doubt: float
    check: str
    session: str
    why: Why


class Queueing(Reader):
    """The part of `Database` that says what to judge."""

    def queue(self, reviewer: str, limit: int, clean_share: float = 0.2) -> list[Subject]:
        """What this reviewer has not judged, most informative first, `clean_share` of it clean segments."""
        with self._reading() as connection:
            doubtful = _fresh(connection, reviewer, limit)
            clean = _clean(connection, reviewer, limit)
            second = _second(connection, reviewer, max(limit - len(doubtful), 0))
        return list(islice(_mixed(iter([*doubtful, *second]), iter(clean), clean_share, share(reviewer)), limit))


def _mixed(first: Iterator[Subject], clean: Iterator[Subject], part: float, phase: float) -> Iterator[Subject]:
    """One of the clean ones whenever `part` of another one is due; what is left of either when the other is used up."""
    due = phase
    while True:
        due += part
        ways = (clean, first) if due >= 1 else (first, clean)
        due -= due >= 1
        found = next(ways[0], None) or next(ways[1], None)
        if found is None:
            return
        yield found


def _fresh(connection: sa.Connection, reviewer: str, limit: int) -> list[Subject]:
    """Interruptions and flagged segments that nobody has judged."""
    cut, segment = INTERRUPTION.c, SEGMENT.c
    cuts = _subjects(INTERRUPTION).where(cut.review == "unreviewed", ~_judged(cut.id, reviewer))
    segments = _subjects(SEGMENT).where(
        segment.kind == "flagged", segment.review == "unreviewed", ~_judged(segment.id, reviewer)
    )
    window = limit * _WINDOW
    rows = [
        *_interruptions(connection.execute(cuts.order_by(cut.doubt.desc(), cut.seq.desc()).limit(window))),
        *_segments(
            connection.execute(segments.order_by(segment.doubt.desc(), segment.seq.desc()).limit(window)),
            "flagged, not interrupted",
        ),
    ]
    rows.sort(key=lambda subject: (-round(subject.doubt, 1), share(reviewer + subject.id)))
    return rows[:limit]


def _clean(connection: sa.Connection, reviewer: str, limit: int) -> list[Subject]:
    """Clean segments that nobody has judged, in an order that only chance made, from the reviewer's place in it."""
    row = SEGMENT.c
    asked = row.kind == "clean", row.review == "unreviewed", ~_judged(row.id, reviewer)
    query = _subjects(SEGMENT).where(*asked).order_by(row.draw).limit(limit)
    start = share(reviewer)
    rows = [*connection.execute(query.where(row.draw >= start)), *connection.execute(query.where(row.draw < start))]
    return list(_segments(rows[:limit], "random clean segment"))


def _second(connection: sa.Connection, reviewer: str, limit: int) -> list[Subject]:
    """What others have judged."""
    found: list[Subject] = []
    for review in ("disputed", "rejected", "confirmed"):
        for table in (INTERRUPTION, SEGMENT):
            if len(found) < limit:
                row = table.c
                query = _subjects(table).where(row.review == review, ~_judged(row.id, reviewer))
                rows = connection.execute(query.order_by(row.doubt.desc(), row.seq.desc()).limit(limit - len(found)))
                made = _interruptions(rows) if table is INTERRUPTION else _segments(rows, "random clean segment")
                found += [replace(subject, why="second opinion") for subject in made]
    # In an order that does not tell what the others said.
    return sorted(found, key=lambda subject: share(reviewer + subject.id))


def _judged(key: Any, reviewer: str) -> sa.ColumnElement[bool]:
    said = JUDGEMENT.c
    return sa.exists(sa.select(1).where(said.subject == key, said.reviewer == plain(reviewer)))


def _subjects(table: sa.Table) -> sa.Select[Any]:
    row = table.c
    return sa.select(row.id, row.at, row.score, row.doubt, row.check, row.session)


def _interruptions(rows: Any) -> Iterator[Subject]:
    for row in rows:
        yield Subject(kind="interruption", why=_why(row.score, row.doubt), **row._mapping)


def _why(score: float, doubt: float) -> Why:
    if doubt > 1 - score + 1e-9:
        return "checks disagree"
    return "near the threshold" if 0 < score < NEAR else "not judged yet"


def _segments(rows: Any, why: Why) -> Iterator[Subject]:
    return (Subject(kind="segment", why=why, **row._mapping) for row in rows)
