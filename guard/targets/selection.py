"""Which records are worth training on, and what becomes of those that give no row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from guard.core.records import InterruptionRecord
from guard.targets.example import IN_PLACE
from guard.targets.repeats import before_repeat, repeats

R = TypeVar("R", bound=dict[str, Any])


def select(
    records: Iterable[InterruptionRecord], *, unreviewed: bool = False, trusted: Collection[str] = ()
) -> Iterator[InterruptionRecord]:
    """The records to train on: corrected, continued in place, and confirmed by a reviewer.

    `unreviewed` admits what nobody has looked at, `trusted` what these checks found (those whose reviewed
    precision is high enough). What reviewers rejected, or disagree about, is never admitted.
    """
    for record in records:
        closing, check = record.closing, record.interruption.check
        free = record.review == "unreviewed" and (unreviewed or check in trusted)
        good = closing and closing.outcome == "corrected" and closing.continuation in IN_PLACE
        if good and (free or record.review == "confirmed"):
            yield record


def up_to_missed(record: InterruptionRecord, missed: Sequence[str]) -> InterruptionRecord:
    """The record as if guard had flagged what reviewers say that it let pass wrongly in the turn: what followed ends
    before that, and one before the claim stands uncorrected."""
    closing = record.closing
    if closing is None or not missed:
        return record
    followed, answer = closing.followed, closing.answer
    for text in missed:
        followed, answer = before_repeat(text, followed), before_repeat(text, answer)
    answer = answer if followed == closing.followed else ""
    whole = (followed, answer) == (closing.followed, closing.answer)
    stand = sum(any(repeats(text, kept) for kept in record.interruption.kept.values()) for text in missed)
    ended = replace(
        closing,
        followed=followed,
        answer=answer,
        complete=closing.complete and whole,
        uncorrected=closing.uncorrected + stand,
    )
    return replace(record, closing=ended)


def counted(rows: Iterable[R | str], skipped: Counter[str] | None) -> Iterator[R]:
    """The rows; the reasons that stand in place of one are counted."""
    for row in rows:
        if not isinstance(row, str):
            yield row
        elif skipped is not None:
            skipped[row] += 1
