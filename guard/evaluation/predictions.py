"""One JSON line for each row that was played: what was flagged and where it would have been cut.

    {"id", "score" 0..1, "flagged", "spans": [{"start", "end", "score", "check"}], "first_error" (steps only: index or
     -1), "interrupted_at" (character of the first cut, or null), "interruptions": [characters], "ms": [CPU a segment]}

Offsets are characters of the response, of the steps joined by newlines, or of the sentence. A cut lies at the end of
the segment that is interrupted.
"""

from __future__ import annotations

from typing import Any

from guard.evaluation.judged import Played


def prediction(played: Played) -> dict[str, Any]:
    """The row's line, as plain values."""
    cuts = [segment.end for segment in played.interruptions]
    line: dict[str, Any] = {
        "id": played.row.id,
        "score": played.score,
        "flagged": played.flagged,
        "spans": [{**flag._asdict(), "check": check} for check, flag in played.flags],
        "interrupted_at": cuts[0] if cuts else None,
        "interruptions": cuts,
        "ms": [round(segment.ms, 4) for segment in played.segments],
    }
    return line | {"first_error": played.first_error} if played.row.steps else line
