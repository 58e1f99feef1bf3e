"""How often, and at what price, a response may be interrupted. Counts; does not know why anything was flagged."""

from __future__ import annotations

from collections import Counter

from guard.core.policy import Interrupt
from guard.core.types import normalise


class Budget:
    """What is left of a policy's limits in one choice."""

    __slots__ = ("_checks", "_claims", "_limits", "interruptions", "since", "wasted")

    def __init__(self, limits: Interrupt) -> None:
        self._limits = limits
        self._checks: Counter[str] = Counter()
        self._claims: list[tuple[int, str]] = []
        self.interruptions = 0
        self.since: int | None = None
        """Segments the model has completed since the last interruption."""
        self.wasted = 0
        """Tokens of whole segments that were thrown away: a count that the cutting of deltas cannot change."""

    def segment(self) -> None:
        """The model completed a segment."""
        if self.since is not None:
            self.since += 1

    def refusal(self, check: str, claim: str, segment: int | None = None) -> str:
        """Why this claim, in this segment, may not be interrupted, or "" if it may."""
        limits = self._limits
        if self.interruptions >= limits.max_per_response:
            return "max_per_response"
        if self._checks[check] >= limits.max_per_check:
            return "max_per_check"
        if limits.cooldown_segments and self.since is not None and self.since <= limits.cooldown_segments:
            return "cooldown_segments"
        if self.wasted >= limits.max_wasted_tokens and self.interruptions:
            return "max_wasted_tokens"
        return "repeated" if self.times(claim, segment) > 1 else ""

    def times(self, claim: str, segment: int | None = None) -> int:
        """How often this claim, normalised, has been interrupted in front of a segment (None: at all): what was
        corrected behind it is discarded with a cut there, and nobody has heard of it."""
        same = normalise(claim)
        return sum(text == same and (segment is None or at < segment) for at, text in self._claims)

    def spend(self, check: str, claim: str, tokens: int, segment: int = 0) -> None:
        """An interruption takes place in a segment and throws away `tokens`."""
        self.interruptions += 1
        self._checks[check] += 1
        self._claims = [made for made in self._claims if made[0] <= segment] + [(segment, normalise(claim))]
        self.since = 0
        self.wasted += tokens
