"""What playing a row brought to light: segments, what each check said of them, and what it cost.

Plain values, in characters of the row's text. Knows no labels beyond the row they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from guard.core.types import Status
from guard.evaluation.rows import Row


class Flag(NamedTuple):
    """A flagged stretch and how sure its check is."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One check's verdict on a segment. `interrupts`: the policy would have interrupted on it; `used`: it did so only
    once a later segment built on the statement; `weighed`: the policy's fusion weighs the check; `ms` of CPU."""

    check: str
    status: Status
    why: str = ""
    score: float = 0.0
    interrupts: bool = False
    used: bool = False
    weighed: bool = False
    ms: float = 0.0
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A segment without the white space before it, and its verdicts.

    `fused` is the probability that the policy's fusion gave it, or None; `used_at` the end of the later segment that
    built on it, where an interruption waited for that.
    """

    start: int
    end: int
    heard: tuple[Heard, ...] = ()
    fused: float | None = None
    used_at: int | None = None

    @property
    def score(self) -> float:
        """The surest finding of any check, 0..1; 0 without any. A fused probability stands for the checks it weighs."""
        alone = (heard.score for heard in self.heard if self.fused is None or not heard.weighed)
        return min(1.0, max((self.fused or 0.0, *alone)))

    @property
    def flagged(self) -> bool:
        """Whether any check flagged it under the policy."""
        return any(heard.status == "flagged" for heard in self.heard)

    @property
    def interrupts(self) -> bool:
        """Whether the policy would have interrupted it, however many checks asked for that."""
        return any(heard.interrupts for heard in self.heard)

    @property
    def known_at(self) -> int:
        """Where the text stands when it is interrupted."""
        return self.end if self.used_at is None else self.used_at

    @property
    def ms(self) -> float:
        """Milliseconds of CPU that its checks took."""
        return sum(heard.ms for heard in self.heard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A row that was played, its segments in order.

    `past_deadline` counts answers that came too late for live traffic, `spent` a supervisor's tokens, both by check.
    """

    row: Row
    segments: tuple[Judged, ...]
    past_deadline: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, int] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The row's score: its surest segment's."""
        return max((segment.score for segment in self.segments), default=0.0)

    @property
    def flagged(self) -> bool:
        """Whether any segment is flagged."""
        return any(segment.flagged for segment in self.segments)

    @property
    def flags(self) -> tuple[tuple[str, Flag], ...]:
        """Every flagged stretch with its check, in the order of the text."""
        found = [(heard.check, flag) for segment in self.segments for heard in segment.heard for flag in heard.flags]
        return tuple(sorted(found, key=lambda each: each[1][:2]))

    @property
    def interruptions(self) -> tuple[Judged, ...]:
        """The segments that would have been interrupted. The turn is cut at each one's end."""
        return tuple(segment for segment in self.segments if segment.interrupts)

    @property
    def first_error(self) -> int:
        """The step in which the first flagged stretch begins, or -1; -1 too for a row without steps."""
        if not self.flags or not self.row.steps:
            return -1
        first = self.flags[0][1].start
        return sum(start <= first for start in self.row.steps) - 1
