"""Where sessions and interruptions are written down: SQLite first, any SQLAlchemy database next.

`Store` is the asynchronous face of `Database`: one thread of its own does all the work in order, so the event
loop never waits for a disk. It takes and returns core records, never rows; it does not know policies, streams
or clients.
A cancelled caller stops waiting; what it asked for is still written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from guard.core.records import InterruptionRecord, SessionRecord
from guard.core.types import Closing
from guard.errors import StoreError
from guard.store.database import Database
from guard.store.engine import name
from guard.store.privacy import Prompts
from guard.store.schema import Filter

__all__ = ["Database", "Filter", "Prompts", "Store"]

P = ParamSpec("P")
R = TypeVar("R")


class Store:
    """The log at a SQLAlchemy URL such as ``sqlite:///guard.db``.

    Every method may raise StoreError; the constructor raises ConfigError for a URL that cannot be used and
    MissingExtra for a database whose driver is not installed. `clock` gives unix seconds.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self.database = Database(url, clock=clock)
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Create the tables where they are missing; call once before anything else."""
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="guard-store")
        await self._run(self.database.open)

    async def close(self) -> None:
        """Finish what was asked for and let go. Safe to call twice."""
        if self._thread is not None:
            await self._run(self.database.close)
            self._thread.shutdown(wait=False)
            self._thread = None

    async def ping(self) -> None:
        """Raises StoreError if the store cannot be read."""
        await self._run(self.database.ping)

    async def add_interruption(self, record: InterruptionRecord, prompts: Prompts = "full") -> None:
        """Store an interruption; it is durable when this returns."""
        await self._run(self.database.add_interruption, record, prompts)

    async def close_interruptions(self, closings: Sequence[Closing]) -> int:
        """Write how interruptions ended; returns how many of them are stored."""
        return await self._run(self.database.close_interruptions, closings)

    async def amend(self, key: str, **changes: Any) -> bool:
        """Set an interruption's `review`, `known` or `counterfactual`; returns whether it is stored."""
        return await self._run(lambda: self.database.amend(key, **changes))

    async def want_clean(self, ratio: float, policy: str) -> bool:
        """Whether a clean session of this policy would be stored now (worth building its record)."""
        return await self._run(self.database.want_clean, ratio, policy)

    async def add_session(self, record: SessionRecord, clean_ratio: float = 1.0, prompts: Prompts = "full") -> bool:
        """Store a session, a clean one only while clean <= `clean_ratio` x flagged; returns whether it
        was."""
        return await self._run(self.database.add_session, record, clean_ratio, prompts)

    async def recover(self, grace: float = 3600.0) -> int:
        """Close as `abandoned` what processes that are gone left open; returns how many.

        Those of a living process on this host are left alone; those of another host until they are `grace`
        seconds old.
        """
        return await self._run(self.database.recover, grace)

    async def purge(self, older_than: float) -> int:
        """Delete every record from before `older_than` (unix seconds); returns how many rows."""
        total = 0
        # In batches, so that an interruption waits for one of them and not for all.
        while deleted := await self._run(self.database.purge, older_than):
            total += deleted
        if total:
            await self._run(self.database.purged)
        return total

    async def interruption(self, key: str) -> InterruptionRecord | None:
        """One interruption by id, or None."""
        return await self._run(self.database.interruption, key)

    async def session(self, key: str) -> SessionRecord | None:
        """One session by id, or None."""
        return await self._run(self.database.session, key)

    async def interruptions(self, wanted: Filter | None = None) -> list[InterruptionRecord]:
        """A page of interruptions, newest first; the next page is `before` the last one's id."""
        return await self._run(self.database.interruptions, wanted or Filter())

    async def count(self, wanted: Filter | None = None) -> int:
        """How many interruptions match."""
        return await self._run(self.database.count, wanted or Filter())

    async def reviewed(self) -> dict[str, tuple[int, int]]:
        """Per check: interruptions that a reviewer confirmed and rejected."""
        return await self._run(self.database.reviewed)

    def iter_interruptions(self, wanted: Filter | None = None, batch: int = 500) -> Iterator[InterruptionRecord]:
        """Every match, oldest first, `batch` in memory at a time. Blocks: for a command line, not a
        server."""
        return self.database.iter_interruptions(wanted or Filter(), batch)

    def iter_sessions(self, wanted: Filter | None = None, batch: int = 100) -> Iterator[SessionRecord]:
        """Every session that matches, as `iter_interruptions`."""
        return self.database.iter_sessions(wanted or Filter(), batch)

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._thread is None:
            raise StoreError(f"store {name(self.database.url)!r} is not open; await open() first")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(*args, **kwargs))
