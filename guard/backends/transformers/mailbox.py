"""The bounded hand-over from the engine's thread to one asyncio reader.

Knows an event loop. Does not know what it carries. Its rules:

1. One thread writes, one task reads. What was written before a failure is read before it is raised.
2. A full box makes its writer pause (it asks `full`); reading from a full box wakes it. Nobody polls.
3. Until the reader has been woken, more items do not wake it again: a slow loop takes them all in one batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from guard.backends import Item


class Mailbox:
    """Items on their way to a reader.

    Args:
        bound: unread items that make it full; one write may overshoot it.
        on_room: called on the reader's thread when a full box has been emptied.
    """

    def __init__(self, bound: int, on_room: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._bound = bound
        self._on_room = on_room
        self._items: deque[Item] = deque()
        self._ready = asyncio.Event()
        self._error: Exception | None = None
        self._called = False

    @property
    def full(self) -> bool:
        """Whether the writer should pause."""
        return len(self._items) >= self._bound

    def put(self, items: Iterable[Item]) -> None:
        """Hand items over. Raises RuntimeError when the reader's loop is gone."""
        self._items.extend(items)
        if self._items:
            self._call()

    def fail(self, error: Exception) -> None:
        """Raise `error` in the reader once it has read everything."""
        self._error = self._error or error
        self._call()

    async def get(self) -> list[Item]:
        """All items there are, at least one. Raises what `fail` was given."""
        while not (items := self._drain()):
            if self._error is not None:
                raise self._error
            self._ready.clear()
            await self._ready.wait()
        if len(items) >= self._bound:
            self._on_room()
        return items

    def _drain(self) -> list[Item]:
        return [self._items.popleft() for _ in range(len(self._items))]

    def _call(self) -> None:
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._called = False
        self._ready.set()
