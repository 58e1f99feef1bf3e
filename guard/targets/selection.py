"""Which records are worth training on, and what becomes of those that give no row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeVar

from guard.core.records import InterruptionRecord
from guard.targets.example import IN_PLACE

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


def counted(rows: Iterable[R | str], skipped: Counter[str] | None) -> Iterator[R]:
    """The rows; the reasons that stand in place of one are counted."""
    for row in rows:
        if not isinstance(row, str):
            yield row
        elif skipped is not None:
            skipped[row] += 1
