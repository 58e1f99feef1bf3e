"""One thread that writes: what waits together is made durable together.

A disk flushes some hundred times a second, whatever is flushed. So the thread takes all that is queued, up to a bound,
into one transaction, and only then tells those who wait. Knows no records and no tables. Rules:

- First come, first written. What cannot be in a transaction with others (opening, closing) has the thread to itself.
- A write that fails fails alone; should the transaction fail, all in it do, and none of them is written.
- Whoever stops waiting changes nothing: what was asked for is still written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from guard.store.connected import Connected

R = TypeVar("R")

How = Literal["flushed", "written", "alone"]
"""On the disk before anyone is told, in the database at least, or outside any transaction of the thread's."""

AT_ONCE = 64
"""Writes in one transaction: a reader of another process waits for no longer one."""


@dataclass(slots=True, kw_only=True)
class _Job:
    work: Callable[[], Any]
    how: How
    future: Future[Any] = field(default_factory=Future)
    result: Any = None

    def run(self) -> bool:
        try:
            self.result = self.work()
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told, whatever it is
            self.future.set_exception(error)
            return False
        return True


class Writer:
    """The writing thread of a database."""

    def __init__(self, database: Connected) -> None:
        self._database = database
        self._jobs: deque[_Job] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="guard-store")

    def submit(self, work: Callable[[], R], how: How) -> Future[R]:
        """Queue a write; the future cannot be cancelled."""
        job = _Job(work=work, how=how)
        job.future.set_running_or_notify_cancel()
        self._jobs.append(job)
        self._thread.submit(self._run)
        return job.future

    def stop(self) -> None:
        """Take nothing more; what is queued is still written."""
        self._thread.shutdown(wait=False)

    def _run(self) -> None:
        # One call for each job: those whose job went with an earlier one find nothing, or what came since.
        jobs = self._next()
        if len(jobs) > 1:
            self._together(jobs)
            return
        for job in jobs:
            if job.run():
                job.future.set_result(job.result)

    def _next(self) -> list[_Job]:
        """The next job, with those after it that may share its transaction."""
        jobs = [self._jobs.popleft()] if self._jobs else []
        while jobs and jobs[0].how != "alone" and self._jobs and len(jobs) < AT_ONCE:
            if self._jobs[0].how == "alone":
                break
            jobs.append(self._jobs.popleft())
        return jobs

    def _together(self, jobs: list[_Job]) -> None:
        how = "flushed" if any(job.how == "flushed" for job in jobs) else "written"
        try:
            with self._database.batch(how):
                done = [job for job in jobs if job.run()]
        except Exception as error:  # noqa: BLE001 - nobody may wait for ever, whatever it is
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)
            return
        for job in done:
            job.future.set_result(job.result)
