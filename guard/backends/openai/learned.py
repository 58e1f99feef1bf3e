"""What is believed of a server for a while, and then found out again.

Knows clocks and counts, not servers. Rules: nothing that was refused once is refused for ever; one refusal may be about
the one request that it answered, several in a row are about the server; whoever names keys cannot fill the memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeAlias, TypeVar

FORGET_S = 600.0
"""Seconds that a refusal is remembered: a server that was updated is asked again without anybody restarting guard."""

TABLE_LIMIT = 256
"""Entries of a table: clients may choose names of models."""

Clock: TypeAlias = Callable[[], float]
"""Seconds on a clock that never goes back."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Standing:
    """Whether a server is taken to refuse one kind of request.

    Args:
        now: the clock.
        strikes: refusals in a row, none older than `FORGET_S`, that are taken to be about the server.
    """

    def __init__(self, now: Clock, strikes: int = 3) -> None:
        self._now = now
        self._needed = strikes
        self._strikes = 0
        self._lapses = self._until = float("-inf")

    @property
    def refused(self) -> bool:
        """It need not be asked."""
        return self._now() < self._until

    def strike(self) -> None:
        """It was refused, perhaps for what was in the request."""
        now = self._now()
        self._strikes = self._strikes + 1 if now < self._lapses else 1
        self._lapses = now + FORGET_S
        if self._strikes >= self._needed:
            self.condemn()

    def condemn(self) -> None:
        """It was refused for good."""
        self._strikes = 0
        self._until = self._now() + FORGET_S

    def clear(self) -> None:
        """It was taken."""
        self._strikes = 0
        self._until = float("-inf")


class Table(Generic[K, V]):
    """At most `TABLE_LIMIT` values, each until its time is over; the one not used for longest goes first."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value, or None."""
        until, value = self._entries.get(key, (0.0, None))
        if value is None:
            return None
        if self._now() >= until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, seconds: float = float("inf")) -> None:
        """Remember it for so long."""
        self._entries[key] = (self._now() + seconds, value)
        self._entries.move_to_end(key)
        if len(self._entries) > TABLE_LIMIT:
            self._entries.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget it."""
        self._entries.pop(key, None)

    def latest(self) -> K | None:
        """The key used last."""
        return next(reversed(self._entries), None)
