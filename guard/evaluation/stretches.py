"""Stretches of a text and its tokens: the arithmetic of half-open character offsets.

Knows no labels and no checks. A token is `\\w+|[^\\w\\s]`, whatever a model's tokenizer makes of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Stretch: TypeAlias = tuple[int, int]
_TOKEN = re.compile(r"\w+|[^\w\s]")


def merged(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same characters in disjoint stretches, rising, with a gap between any two; empty ones are left out."""
    out: list[Stretch] = []
    for start, end in sorted(stretches):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        elif start < end:
            out.append((start, end))
    return tuple(out)


def overlap(left: Sequence[Stretch], right: Sequence[Stretch]) -> int:
    """How many characters two merged sequences share."""
    return sum(max(0, min(b, d) - max(a, c)) for a, b in left for c, d in right)


def touches(stretch: Stretch, others: Sequence[Stretch]) -> bool:
    """Whether a stretch shares a character with any of the others."""
    return any(max(stretch[0], start) < min(stretch[1], end) for start, end in others)


def length(stretches: Sequence[Stretch]) -> int:
    """Characters in merged stretches."""
    return sum(end - start for start, end in stretches)


class Tokens:
    """The tokens of a text. A token counts as in a stretch if it shares a character with it."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, text: str) -> None:
        found = [match.span() for match in _TOKEN.finditer(text)]
        self._starts = [start for start, _ in found]
        self._ends = [end for _, end in found]

    def __len__(self) -> int:
        return len(self._starts)

    def within(self, stretch: Stretch) -> int:
        """Tokens in one stretch."""
        first, last = self._range(stretch)
        return last - first

    def outside(self, stretches: Sequence[Stretch]) -> int:
        """Tokens in none of these merged stretches."""
        inside = upto = 0
        for stretch in stretches:
            first, last = self._range(stretch)
            inside += max(0, last - max(first, upto))
            upto = max(upto, last)
        return len(self) - inside

    def _range(self, stretch: Stretch) -> Stretch:
        first = bisect_right(self._ends, stretch[0])
        return first, bisect_left(self._starts, stretch[1], first) if stretch[0] < stretch[1] else first
