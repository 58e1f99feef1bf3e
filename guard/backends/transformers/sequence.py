"""Token ids and the key-value cache that belongs to them.

Knows which caches can be cut. Does not know text. Its rules:

1. The cache always holds a beginning of `ids`: what it holds is never of other ids.
2. A cache is cut only where that is exact, that is where every layer is plain full attention. Sliding-window and
   recurrent layers forget or fold what they have seen: for them a cut means reading everything again.
3. The last id is always read after a change, so that the logits are those of the ids as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence as Ids
from typing import Any

from transformers.cache_utils import DynamicLayer

from guard.backends.transformers.model import LocalModel, Output


class Sequence:
    """One row of the engine. Not thread-safe: the engine's thread owns it."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._cache: Any = None
        self._last: Output | None = None
        self.ids: list[int] = []
        self.cached = 0

    @property
    def pending(self) -> int:
        """Ids that the model has not read yet."""
        return len(self.ids) - self.cached

    def append(self, id: int) -> None:
        """One more id, to be read with the next `feed`."""
        self.ids.append(id)

    def retarget(self, ids: Ids[int]) -> None:
        """Become `ids`, keeping what the cache has of their beginning."""
        self._cut(min(self._same(ids), len(ids) - 1))
        self.ids = list(ids)

    def spares(self, ids: Ids[int]) -> int:
        """How many of `ids` it would not have to read if it were to become them."""
        keep = min(self._same(ids), len(ids) - 1)
        return keep if keep == self.cached or (keep and _croppable(self._cache)) else 0

    def _same(self, ids: Ids[int]) -> int:
        """Ids at the beginning that the cache holds."""
        same = zip(self.ids[: self.cached], ids, strict=False)
        return next((i for i, (old, new) in enumerate(same) if old != new), min(self.cached, len(ids)))

    def feed(self, limit: int) -> Output | None:
        """Let the model read up to `limit` pending ids: what it says about the next one, or None if some are left."""
        if not self.pending and self._last is not None:
            return self._last
        if self._cache is None:
            self._cache = self._model.cache()
        chunk = self.ids[self.cached : self.cached + limit]
        output = self._model.forward(chunk, self._cache)
        self.cached += len(chunk)
        self._last = None if self.pending else output
        return self._last

    def fork(self) -> Sequence:
        """A copy that goes its own way from here."""
        other = Sequence(self._model)
        other._cache = copy.deepcopy(self._cache)
        other._last = self._last
        other.ids, other.cached = list(self.ids), self.cached
        return other

    def drop(self) -> None:
        """Forget the cache: after a failed pass nobody knows what is in it."""
        self._cache = self._last = None
        self.cached = 0

    def _cut(self, keep: int) -> None:
        self._last = None
        if keep < self.cached:
            if not keep or not _croppable(self._cache):
                return self.drop()
            self._cache.crop(keep - self.cached)
            self.cached = keep
            assert self._cache.get_seq_length() == keep
        return None


def _croppable(cache: Any) -> bool:
    return all(type(layer) is DynamicLayer for layer in cache.layers)
