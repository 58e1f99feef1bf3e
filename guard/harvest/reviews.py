"""What reviewers made together of each subject.

Of an interruption its record says so; of a segment that guard let pass only the judgements do.
"""

from __future__ import annotations

from collections.abc import Iterable

from guard.core.records import InterruptionRecord, Judgement, Review
from guard.store import Database
from guard.store.judging import consensus


def of_records(records: Iterable[InterruptionRecord]) -> dict[str, Review]:
    """Of interruptions that were reviewed, by their id."""
    return {record.interruption.id: record.review for record in records if record.review != "unreviewed"}


def of_judgements(judgements: Iterable[Judgement]) -> dict[str, Review]:
    """Of all that was judged, by its id. `judgements`: oldest first; the newest of each reviewer counts."""
    newest: dict[str, dict[str, Judgement]] = {}
    for said in judgements:
        newest.setdefault(said.subject, {})[said.reviewer] = said
    return {subject: consensus(list(found.values())) for subject, found in newest.items()}


def missed(database: Database) -> dict[str, list[str]]:
    """What guard let pass wrongly, as reviewers say or dispute: the texts, by turn (``{session}.{choice}``)."""
    found: dict[str, list[str]] = {}
    for subject, review in of_judgements(database.iter_judgements()).items():
        turn, of_segment, _ = subject.rpartition("#")
        passed = database.segment(subject) if of_segment and review in ("rejected", "disputed") else None
        if passed is not None:
            found.setdefault(turn, []).append(passed.segment.text)
    return found
