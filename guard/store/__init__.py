"""Where sessions, interruptions and what people say of them are written down: SQLite, or PostgreSQL.

`Store` is the asynchronous face of `Database`: one thread of its own writes, in order, and another one reads where the
database lets both go on at once, so the event loop never waits for a disk and a page never for a write. It takes and
returns core records, never rows; it does not know policies, streams or clients.
A cancelled caller stops waiting; what it asked for is still written.

Nothing is encrypted here: that is the database's or the disk's to do (SQLCipher does not speak to this; an encrypted
volume, or PostgreSQL's, does). What must not be read by whoever has the file is not to be stored: `record.prompts`.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from guard.core.records import InterruptionRecord, Judgement, Review, SessionRecord
from guard.core.types import Closing
from guard.errors import StoreError
from guard.store.changes import Change, Recorded
from guard.store.database import Database
from guard.store.engine import name
from guard.store.privacy import Prompts
from guard.store.quality import Agreement, CheckQuality, Recall
from guard.store.queueing import Subject
from guard.store.redactor import Redactor
from guard.store.segments import Kind, SegmentRecord
from guard.store.trends import Bucket
from guard.store.where import Filter
from guard.store.writer import How, Writer

__all__ = [
    "Agreement",
    "Bucket",
    "Change",
    "CheckQuality",
    "Database",
    "Filter",
    "Prompts",
    "Recall",
    "SegmentRecord",
    "Store",
    "Subject",
]

P = ParamSpec("P")
R = TypeVar("R")


class Store:
    """The log at a SQLAlchemy URL such as ``sqlite:///guard.db``.

    Every method may raise StoreError; the constructor raises ConfigError for a URL that cannot be used and
    MissingExtra for a database whose driver is not installed. `clock` gives unix seconds; `redactor` makes the
    placeholders of one session; `waiting` is told, from any thread, by how many the writes that wait have changed.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        redactor: Callable[[], Redactor] = Redactor,
        waiting: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.database = Database(url, clock=clock, redactor=redactor)
        self._waiting = waiting
        self._writer: Writer | None = None
        self._reader: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Create or upgrade the tables; call once before anything else."""
        self._writer = self._writer or Writer(self.database)
        await self._write("alone", self.database.open)
        if self.database.reads_apart and self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="guard-store-read")

    async def close(self) -> None:
        """Finish what was asked for and let go. Safe to call twice."""
        if self._reader is not None:
            await self._read(lambda: None)
            self._reader.shutdown(wait=False)
            self._reader = None
        if self._writer is not None:
            await self._write("alone", self.database.close)
            self._writer.stop()
            self._writer = None

    async def ping(self) -> None:
        """Raises StoreError if the store cannot be read."""
        await self._read(self.database.ping)

    async def add_interruption(self, record: InterruptionRecord, prompts: Prompts = "full") -> None:
        """Store an interruption; it is durable when this returns."""
        await self._write("flushed", self.database.add_interruption, record, prompts)

    async def close_interruptions(self, closings: Sequence[Closing]) -> int:
        """Write how interruptions ended; returns how many of them are stored."""
        return await self._write("written", self.database.close_interruptions, closings)

    async def amend(self, key: str, **changes: Any) -> bool:
        """Set an interruption's `review`, `known` or `counterfactual`; returns whether it is stored."""
        return await self._write("written", functools.partial(self.database.amend, key, **changes))

    async def want_clean(self, ratio: float, policy: str) -> bool:
        """Whether a clean session of this policy would be stored now (worth building its record)."""
        return self.database.want_clean(ratio, policy)

    async def add_session(self, record: SessionRecord, clean_ratio: float = 1.0, prompts: Prompts = "full") -> bool:
        """Store a session, a clean one only while clean <= `clean_ratio` x flagged; returns whether it was."""
        return await self._write("written", self.database.add_session, record, clean_ratio, prompts)

    async def tally(self, model: str, policy: str, *, at: float, **counts: Any) -> None:
        """Add to the counts of an hour, as `Database.tally` has them."""
        await self._write("written", functools.partial(self.database.tally, model, policy, at=at, **counts))

    async def recover(self, grace: float = 3600.0) -> int:
        """Close as `abandoned` what processes that are gone left open; returns how many.

        Those of a living process on this host are left alone; those of another host until they are `grace`
        seconds old.
        """
        return await self._write("written", self.database.recover, grace)

    async def judge(self, judgement: Judgement) -> Review | None:
        """Write a judgement down; returns the consensus, or None where its subject is not on record."""
        return await self._write("flushed", self.database.judge, judgement)

    async def undo(self, key: str) -> Judgement | None:
        """Take a judgement back; returns it, or None where it is not on record."""
        return await self._write("flushed", self.database.undo, key)

    async def last_judgement(self, reviewer: str) -> Judgement | None:
        """The newest judgement of a reviewer."""
        return await self._read(self.database.last_judgement, reviewer)

    async def judgements(self, subject: str) -> list[Judgement]:
        """What was said of one subject, oldest first."""
        return await self._read(self.database.judgements, subject)

    def iter_judgements(self) -> Iterator[Judgement]:
        """Every judgement, oldest first. Blocks, as `iter_interruptions`."""
        return self.database.iter_judgements()

    async def queue(self, reviewer: str, limit: int, clean_share: float = 0.2) -> list[Subject]:
        """What a reviewer should judge next, most informative first."""
        return await self._read(self.database.queue, reviewer, limit, clean_share)

    async def segment(self, key: str) -> SegmentRecord | None:
        """One segment that was kept for review, or None."""
        return await self._read(self.database.segment, key)

    async def segments(self, limit: int, kind: Kind = "flagged") -> list[SegmentRecord]:
        """The newest segments of this kind that were kept for review, newest first."""
        return await self._read(self.database.segments, limit, kind)

    async def quality(self) -> list[CheckQuality]:
        """Per check: how often reviewers found its interruptions right."""
        return await self._read(self.database.quality)

    async def recall(self) -> Recall | None:
        """How much of what should have been interrupted was; None where too little is known."""
        return await self._read(self.database.recall)

    async def agreement(self) -> Agreement:
        """How far reviewers agree."""
        return await self._read(self.database.agreement)

    async def purge(self, older_than: float) -> int:
        """Delete every record from before `older_than` (unix seconds); returns how many rows."""
        total = 0
        # In batches, so that an interruption waits for one of them and not for all.
        while deleted := await self._write("written", self.database.purge, older_than):
            total += deleted
        if total:
            await self._deleted()
        return total

    async def forget(
        self, *, session: str | None = None, user: str | None = None, conversation: str | None = None
    ) -> int:
        """Delete all that is on record of a session, a user or a conversation; returns how many rows."""
        work = functools.partial(self.database.forget, session=session, user=user, conversation=conversation)
        total = await self._write("flushed", work)
        if total:
            await self._deleted()
        return total

    async def _deleted(self) -> None:
        more = await self._write("written", self.database.merged, True)
        while more:
            more = await self._write("written", self.database.merged, False)
        await self._write("alone", self.database.purged)

    async def interruption(self, key: str) -> InterruptionRecord | None:
        """One interruption by id, or None."""
        return await self._read(self.database.interruption, key)

    async def session(self, key: str) -> SessionRecord | None:
        """One session by id, or None."""
        return await self._read(self.database.session, key)

    async def interruptions(self, wanted: Filter | None = None) -> list[InterruptionRecord]:
        """A page of interruptions, newest first; the next page is `before` the last one's id."""
        return await self._read(self.database.interruptions, wanted or Filter())

    async def count(self, wanted: Filter | None = None, cap: int | None = None) -> int:
        """How many interruptions match, or `cap` where more do."""
        return await self._read(self.database.count, wanted or Filter(), cap)

    async def facets(self) -> dict[str, list[str]]:
        """The values of `model`, `policy`, `check` and `channel` on record."""
        return await self._read(self.database.facets)

    async def reviewed(self) -> dict[str, tuple[int, int]]:
        """Per check: interruptions that reviewers confirmed and rejected."""
        return await self._read(self.database.reviewed)

    async def trends(self, since: float, until: float, bucket_s: float) -> list[Bucket]:
        """How it went, in stretches of `bucket_s` seconds."""
        return await self._read(self.database.trends, since, until, bucket_s)

    async def changes(self, table: Recorded, after: int, limit: int) -> list[Change]:
        """The rows written since `after`, in the order of their last writes."""
        return await self._read(self.database.changes, table, after, limit)

    async def settled(self, table: Recorded) -> int:
        """The number up to which `changes` are complete."""
        return await self._read(self.database.settled, table)

    def iter_interruptions(self, wanted: Filter | None = None, batch: int = 500) -> Iterator[InterruptionRecord]:
        """Every match, oldest first, `batch` in memory at a time. Blocks: for a command line, not a server."""
        return self.database.iter_interruptions(wanted or Filter(), batch)

    def iter_sessions(self, wanted: Filter | None = None, batch: int = 100) -> Iterator[SessionRecord]:
        """Every session that matches, as `iter_interruptions`."""
        return self.database.iter_sessions(wanted or Filter(), batch)

    async def _write(self, how: How, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._writer is None:
            raise StoreError(f"store {name(self.database.url)!r} is not open; await open() first")
        self._waiting(1)
        future = self._writer.submit(functools.partial(work, *args, **kwargs), how)
        future.add_done_callback(lambda _: self._waiting(-1))
        return await asyncio.wrap_future(future)

    async def _read(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._reader is None:
            return await self._write("alone", work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._reader, functools.partial(work, *args, **kwargs))
