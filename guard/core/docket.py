"""The segments that stand, and what each still waits for: the answer to "how far may the tape be released?"

Knows nothing of budgets or corrections. A segment that was discarded is not here any more, so a verdict that names
it finds nothing: that is all there is to staleness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from guard.core.types import Segment, Verdict


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """A standing segment.

    Attributes:
        start, end: its place on the tape.
        checked: whether its channel holds text back until it is judged.
        inline, pending: checks that have not answered; text behind an inline one is not released in any channel.
        asked: checks that an earlier finding called for.
        expired: checks whose hold ran out before they answered; they may still answer.
        overdue: its hold ran out; nothing waits for it any more.
        broken_off: the turn was cut off inside it; what its last word says is not held against it.
        settled: the claim has been corrected or limited; further verdicts on it are only noted, and none that comes
            beside the stream is waited for.
    """

    segment: Segment
    start: int
    end: int
    checked: bool
    inline: set[str] = field(default_factory=set)
    pending: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    settled: bool = False
    overdue: bool = False
    broken_off: bool = False

    @property
    def judged(self) -> bool:
        """No verdict is outstanding that anything has to wait for."""
        return not self.inline and (self.settled or not self.pending)


class Docket:
    """Standing segments in the order of the turn."""

    __slots__ = ("_entries", "_fresh", "_line")

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._line: list[Entry] = []  # those that may still hold something: the rest need no more looking at
        self._fresh = True

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def add(self, entry: Entry) -> None:
        """The next segment of the turn."""
        self._entries[entry.segment.id] = entry
        self._line.append(entry)
        self._fresh = False

    def touch(self) -> None:
        """Something may have been judged since it was last asked."""
        self._fresh = False

    def get(self, segment: int) -> Entry | None:
        """The entry, or None if the segment was discarded."""
        return self._entries.get(segment)

    def after(self, segment: int) -> list[Entry]:
        """The entries behind a segment."""
        return [entry for id_, entry in self._entries.items() if id_ > segment]

    def before(self, segment: int, most: int) -> list[Entry]:
        """At most so many entries before a segment, the nearest first."""
        ids = (id_ for id_ in reversed(self._entries) if id_ < segment)
        return [self._entries[id_] for id_ in islice(ids, most)]

    def drop(self, entry: Entry) -> None:
        """The segment is discarded."""
        del self._entries[entry.segment.id]
        if entry in self._line:
            self._line.remove(entry)
        self._fresh = False

    @property
    def waiting(self) -> list[Entry]:
        """The entries with an outstanding verdict, in order."""
        if not self._fresh:
            self._line = [entry for entry in self._line if not entry.judged]
            self._fresh = True
        return self._line

    def frontier(self) -> int | None:
        """Where the tape must stop; None if no closed segment holds itself back."""
        return next((entry.start for entry in self.waiting if entry.inline or entry.checked), None)
