"""Stop strings in one channel's text while it streams.

Knows characters only. Text that may begin a stop string is not clear; how the text was cut never matters.
"""

from __future__ import annotations

from collections.abc import Sequence

from guard.backends.transformers.splitter import overlap


class Stops:
    """Where the first stop string begins."""

    __slots__ = ("_held", "_stops")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, text: str) -> tuple[int, bool]:
        """(characters that became clear, counted from the first that was not; whether a stop string follows them)."""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            return min(found), True
        clear = len(self._held) - max((overlap(self._held, stop) for stop in self._stops), default=0)
        self._held = self._held[clear:]
        return clear, False
