"""One choice as it was recorded: its events, what its checks answered, and what guard decided.

Knows no policy and runs nothing. Rules:

1. A statement is found again by its number as long as the numbers of both runs agree; once they do not, by its place
   and its words.
2. An answer stands where it stood in the list of events: an inline one at once, any other when its turn comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from guard.core import events as ev
from guard.core.replay import from_json
from guard.core.types import JSON, Channel, Interruption, Segment, Summary, Verdict

Place: TypeAlias = tuple[Channel, int, int, str]
Answer: TypeAlias = ev.Checked | ev.Unchecked


class Recorded:
    """A choice's record.

    Args:
        events: those of this choice, as `EventLog` wrote them.
        interruptions: those of this choice, by number.
        unchanged: the new run is under the policy of the old one: what is asked now was asked then.

    Raises KeyError or TypeError for events of another version.
    """

    def __init__(
        self, summary: Summary, events: Sequence[JSON], interruptions: Mapping[int, Interruption], unchanged: bool
    ) -> None:
        self._unchanged = unchanged
        self.summary = summary
        self.events = list(from_json(events))
        self.interruptions = interruptions
        self.versions = {verdict.check: verdict.version for verdict in summary.verdicts}
        self._answers = {
            (event.segment, event.check): (at, event)
            for at, event in enumerate(self.events)
            if isinstance(event, ev.Checked | ev.Unchecked)
        }
        self._segments = {segment.id: segment for segment in summary.segments}
        self._flagged = {(v.segment, v.check) for v in summary.verdicts if v.status == "flagged"}
        channels = {id_: segment.channel for id_, segment in self._segments.items()}
        self._heard = {(check, channels[id_]) for id_, check in self._answers if id_ in channels}
        self._free: dict[Place, list[int]] = {}
        for segment in reversed(summary.segments):
            self._free.setdefault(_place(segment), []).append(segment.id)
        self._found: dict[int, int | None] = {}
        self._aligned = True

    def number(self, segment: Segment) -> int | None:
        """The number that a segment of the new run had in the old one; None where it was none there."""
        if segment.id not in self._found:
            self._found[segment.id] = self._look(segment)
        return self._found[segment.id]

    def unalign(self) -> None:
        """From here on a number means another segment than it did."""
        self._aligned = False

    def _look(self, segment: Segment) -> int | None:
        there = self._segments.get(segment.id)
        if self._aligned and (there is None or _place(there) == _place(segment)):
            return segment.id  # what was discarded is not on record, and bore this number
        self._aligned = False
        same = self._free.get(_place(segment))
        return same.pop() if same else None

    def answer(self, segment: Segment, check: str) -> tuple[int, Answer] | None:
        """What the check answered about the segment, and where in the events; None where it did not answer."""
        number = self.number(segment)
        return None if number is None else self._answers.get((number, check))

    def asked(self, segment: Segment, check: str, only_if: Sequence[str]) -> bool:
        """Whether the check was asked about the segment, though its answer was not waited for."""
        number = self.number(segment)
        if number is None or self._unchanged:
            return number is not None
        if only_if:
            return any((number, other) in self._flagged for other in only_if)
        return (check, segment.channel) in self._heard or number not in self._segments

    @property
    def starved(self) -> int | None:
        """The attempt that was not opened because no token was left for it, or None."""
        last = max(self.interruptions, default=0)
        opened = any(isinstance(event, ev.Opened) and event.attempt == last for event in self.events)
        return last if last and not opened and self.summary.finish_reason == "length" else None

    @property
    def flagged(self) -> frozenset[tuple[int, str]]:
        """What was flagged: segments' numbers and checks."""
        return frozenset(self._flagged)

    def text(self, number: int) -> str:
        """A segment's text; "" for one that is not on record."""
        return self._segments[number].text if number in self._segments else ""


def acting(summary: Summary) -> list[Verdict]:
    """The verdicts that led to something, one for each segment they are about."""
    return list({v.segment: v for v in reversed(summary.verdicts) if v.disposition != "none"}.values())


def _place(segment: Segment) -> Place:
    return segment.channel, segment.start, segment.end, segment.text
