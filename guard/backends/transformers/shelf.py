"""Caches of prompts that were read, for the next prompt that begins alike.

Knows sequences. Does not know what they are of. Its rules:

1. Everything here is touched on the engine's thread only.
2. No more than `KEPT` are kept, the latest used ones: each is as large as a conversation's cache.
3. A sequence is handed over only to a prompt that goes on from nearly all of it. One that shares a beginning, as all
   conversations with one system prompt do, gets a copy: else each conversation would cut the other's cache short.

Four answers of RAGTruth, judged statement by statement (24 of them, each prompt looked at and then gone on from): of
132,000 tokens in prompts 8,900 were read, one answer after the other and four beside each other alike.
"""

from __future__ import annotations

from collections.abc import Sequence as Ids

from guard.backends.transformers.sequence import Sequence

KEPT = 4
"""Conversations that are judged side by side without reading one anew for each statement."""

_CUT = 0.25
"""Share of a sequence that the prompt it is handed to may cut off."""


class Shelf:
    """Sequences that nobody uses now, oldest first."""

    def __init__(self) -> None:
        self._kept: list[Sequence] = []

    def take(self, ids: Ids[int]) -> Sequence | None:
        """A sequence that spares the most reading of `ids`, which is then nobody else's; None if none spares any."""
        best = self._best(ids)
        if best is None or best.cached - best.spares(ids) > best.cached * _CUT:
            return best and best.fork()
        self._kept.remove(best)
        return best

    def copy(self, ids: Ids[int]) -> Sequence | None:
        """A copy of that sequence."""
        best = self._best(ids)
        return None if best is None else best.fork()

    def put(self, sequence: Sequence) -> None:
        """Keep one; the oldest goes."""
        self._kept = [*self._kept, sequence][-KEPT:]

    def _best(self, ids: Ids[int]) -> Sequence | None:
        best = max(self._kept, key=lambda kept: kept.spares(ids), default=None)
        return best if best is not None and best.spares(ids) else None
