"""The rows of a source, made in this process, one record at a time."""

from __future__ import annotations

from collections.abc import Iterator

from guard.harvest.counts import Counts
from guard.harvest.maker import Job, Made, Maker
from guard.harvest.sources import Source
from guard.harvest.turns import turns


def rows(job: Job, source: Source, counted: Counts) -> Iterator[Made]:
    """The rows in order; `counted` is whole when the last one has come."""
    maker = Maker(job)
    if maker.of_sessions:
        return maker.session_rows(source.sessions(), source.reviews(), counted)
    taken = maker.selected(source.interruptions(), source.missed(), counted)
    together = turns(taken) if job.of_turns else ([record] for record in taken)
    return (made for records in together for made in maker.rows(records, counted))
