"""Which checks are trusted without a review of each finding: those whose reviewed precision is high enough.

A check is trusted when reviewers confirmed a share of `PRECISION` or more of at least `REVIEWS` of its interruptions;
those that they do not agree about do not count. The interval beside it says how sure that is. The queue shows reviewers
what is doubtful first, so the figure is rather too low than too high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guard.errors import ConfigError
from guard.store.quality import wilson

PRECISION = 0.9
REVIEWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A check that was reviewed: how often it was right, and whether that is enough."""

    check: str
    confirmed: int
    rejected: int
    enough: bool

    @property
    def precision(self) -> float:
        """Share of confirmed ones (0..1)."""
        return self.confirmed / (self.confirmed + self.rejected)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the precision."""
        return wilson(self.confirmed, self.confirmed + self.rejected)


def trusts(reviewed: Mapping[str, tuple[int, int]], precision: float = PRECISION) -> list[Trust]:
    """Every reviewed check, by name. `reviewed`: confirmed and rejected, per check. Raises ConfigError."""
    if not 0 < precision <= 1:
        raise ConfigError(f"--trust {precision!r} is no precision; say 0.9, or 1 to trust only what was never wrong")
    return [
        Trust(
            check=check,
            confirmed=good,
            rejected=bad,
            enough=good + bad >= REVIEWS and good >= precision * (good + bad),
        )
        for check, (good, bad) in sorted(reviewed.items())
        if good + bad
    ]
