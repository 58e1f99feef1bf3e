"""What one played row counts for: plain numbers that add up over rows, and values that are ordered over them.

This is where verdicts meet labels. The rules:

1. A flagged or interrupted segment is *right* if it shares a character with a labelled span, or if its row is wrong and
   nobody says where. In text that no label speaks of it is neither right nor false. Everywhere else it is false.
2. Clean tokens are those outside labelled spans and outside text that no label speaks of; an unlocated row has none.
3. Flagged characters are those of the findings, not of their segments.
4. Of a row's interruptions the first decides whether it was exact (its segment shares a character with a span) or
   early (it ends before the first span begins). The delay runs from the first span's start to the end of the first
   interrupted segment that ends behind it; where it was interrupted because a later one built on it, to that one's end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from guard.evaluation.judged import Heard, Judged, Played
from guard.evaluation.rows import Row
from guard.evaluation.stretches import Stretch, Tokens, length, merged, overlap, touches


def is_right(row: Row, segment: Stretch) -> bool | None:
    """Rule 1: right, false, or None where no label says."""
    if not row.located or touches(segment, row.spans):
        return True
    return None if row.unknown and touches(segment, (row.unknown,)) else False


def clean_tokens(row: Row) -> int:
    """Rule 2."""
    if not row.located:
        return 0
    return Tokens(row.text).outside(merged([*row.spans, *([row.unknown] if row.unknown else [])]))


def counts(played: Played) -> Counter[str]:
    """The numbers of one row, by name; what is not named is 0."""
    row = played.row
    counted = Counter(
        rows=1,
        wrong=int(row.wrong),
        clean=int(not row.wrong),
        flagged=int(played.flagged),
        hit=int(row.wrong and played.flagged),
        segments=len(played.segments),
        clean_tokens=clean_tokens(row),
    )
    counted.update(_interruptions(played))
    counted.update(_steps(played) if row.steps else _characters(played))
    for segment in played.segments:
        counted.update(_segment(row, segment))
    return counted


def _characters(played: Played) -> dict[str, int]:
    """Rule 3; rows whose labels do not say where they are wrong do not count."""
    if not played.row.located:
        return {}
    flagged = merged((flag.start, flag.end) for _, flag in played.flags)
    return {
        "flagged_characters": length(flagged),
        "labelled_characters": length(played.row.spans),
        "shared_characters": overlap(flagged, played.row.spans),
    }


def _steps(played: Played) -> dict[str, int]:
    right = played.first_error == played.row.first_error
    return {
        "steps_right": right,
        "wrong_located": right and played.row.wrong,
        "clean_passed": right and not played.row.wrong,
    }


def _interruptions(played: Played) -> dict[str, int]:
    row, cuts = played.row, played.interruptions
    counted = {"interrupted_clean": int(bool(cuts) and not row.wrong), "caught": int(bool(cuts) and row.wrong)}
    if row.spans:
        first = cuts[0] if cuts else None
        counted["located"] = 1
        counted["exact"] = int(first is not None and touches((first.start, first.end), row.spans))
        counted["early"] = int(first is not None and first.end <= row.spans[0][0])
    return counted


def _segment(row: Row, segment: Judged) -> Iterator[str]:
    """The names that a segment adds one to."""
    right = is_right(row, (segment.start, segment.end))
    if segment.interrupts:
        yield from ("interruptions", _word(right, "interruptions"))
    for heard in segment.heard:
        yield from _verdict(heard, right)


def _verdict(heard: Heard, right: bool | None) -> Iterator[str]:
    yield from ("verdicts", f"{heard.check}.{heard.status}")
    if heard.status in ("unscanned", "not_applicable"):
        yield heard.status
        yield f"{heard.check}.{heard.status}.{heard.why}"
    if heard.status == "flagged":
        yield _word(right, f"{heard.check}.flagged")
    if heard.interrupts:
        yield from (f"{heard.check}.used",) if heard.used else ()
        yield from (f"{heard.check}.interruptions", _word(right, f"{heard.check}.interruptions"))


def _word(right: bool | None, name: str) -> str:
    return f"{name}.{'unjudged' if right is None else 'right' if right else 'false'}"


def delay_tokens(played: Played) -> int | None:
    """Rule 4, in tokens; None where no such interruption came."""
    end = _behind(played)
    return None if end is None else Tokens(played.row.text).within((played.row.spans[0][0], end))


def delay_steps(played: Played) -> int | None:
    """Rule 4, in steps: 0 where the first wrong step itself is interrupted."""
    end, wrong = _behind(played), played.row.first_error
    if end is None or wrong is None:
        return None
    return sum(start < end for start in played.row.steps) - 1 - wrong


def _behind(played: Played) -> int | None:
    if not played.row.spans:
        return None
    return next((cut.known_at for cut in played.interruptions if cut.end > played.row.spans[0][0]), None)
