"""What reviewers made together of each subject.

Of an interruption its record says so; of a segment that guard let pass only the judgements do.
"""

from __future__ import annotations

from collections.abc import Iterable

from guard.core.records import InterruptionRecord, Judgement, Review
from guard.store import Database
from guard.store.judging import consensus


def of_records(records: Iterable[InterruptionRecord]) -> dict[str, Review]:
    """Of interruptions that were reviewed, by their id.

    One whose reason or correction a reviewer wrote anew counts as disputed here: in a whole session guard's own words
    stand behind the claim, and of those nobody said that they are right.
    """
    reviewed = (record for record in records if record.review != "unreviewed")
    return {record.interruption.id: "disputed" if _reworded(record) else record.review for record in reviewed}


def _reworded(record: InterruptionRecord) -> bool:
    told, made = record.revised, record.interruption
    if told is None:
        return False
    reason = made.reason if told.reason is None else told.reason
    correction = made.correction if told.correction is None else told.correction
    return (reason, correction) != (made.reason, made.correction)


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
