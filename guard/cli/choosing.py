"""Which sessions conditions mean, where some of them are about interruptions.

A session is meant if it holds one interruption that meets all of them, or one statement that was flagged and let pass
and does (that one has only `check`, `channel`, `score`, `text` and `review`). Times are the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from guard.core.records import SessionRecord
from guard.core.types import Segment, Verdict
from guard.store import Database, Filter
from guard.store.rows import surest, was_let_pass
from guard.store.words import words

INSIDE = ("check", "channel", "correct", "late", "outcome", "review", "score", "text")
"""Fields that a session does not have and what is in it has."""

_FIELDS = (*(name for name in INSIDE if name != "score"), "score_min", "score_max")
_OF_CUTS = ("correct", "late", "outcome")


def inside(wanted: Filter) -> list[str]:
    """The fields that are asked for and that a session does not have."""
    named = (name for name in _FIELDS if getattr(wanted, name) is not None)
    return list(dict.fromkeys(name.partition("_")[0] for name in named))


def sessions(log: Database, wanted: Filter) -> Iterator[SessionRecord]:
    """The sessions that match, oldest first."""
    if not inside(wanted):
        return log.iter_sessions(wanted)
    cuts = log.iter_interruptions(replace(wanted, since=None, until=None, limit=None))
    named = {cut.provenance.session for cut in cuts}
    found = log.iter_sessions(replace(wanted, limit=None))
    meant = (record for record in found if record.provenance.session in named or _holds(record, wanted, log))
    return islice(meant, wanted.limit)


def _holds(record: SessionRecord, wanted: Filter, log: Database) -> bool:
    """Whether a statement that was flagged and let pass is as it is wanted."""
    if any(getattr(wanted, name) is not None for name in _OF_CUTS):
        return False
    asked = _says(wanted.text, record.provenance.evidence.question)
    for choice in record.choices:
        for segment in choice.segments:
            verdicts = [verdict for verdict in choice.verdicts if verdict.segment == segment.id]
            key = f"{record.provenance.session}.{choice.choice}#{segment.id}"
            if was_let_pass(verdicts) and _is(segment, verdicts, wanted) and asked(segment.text):
                kept = None if wanted.review is None else log.segment(key)
                if wanted.review is None or (kept is not None and kept.review == wanted.review):
                    return True
    return False


def _is(segment: Segment, verdicts: Sequence[Verdict], wanted: Filter) -> bool:
    low, high = wanted.score_min or 0.0, 1.0 if wanted.score_max is None else wanted.score_max
    return wanted.channel in (None, segment.channel) and any(
        verdict.status == "flagged" and wanted.check in (None, verdict.check) and low <= surest([verdict]) <= high
        for verdict in verdicts
    )


def _says(text: str | None, question: str) -> Callable[[str], bool]:
    """Whether a statement and its question have all the words of a text; the last one may be a word's beginning."""
    if text is None:
        return lambda _: True
    *whole, start = words(text) or [""]

    def says(statement: str) -> bool:
        there = {*words(question), *words(statement)}
        return bool(start) and there.issuperset(whole) and any(word.startswith(start) for word in there)

    return says
