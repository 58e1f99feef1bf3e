"""Asks the policy model, when a response has ended, how it would have gone on without an interruption.

Work in the background: knows the store, the counts and how to ask; does not know sessions or clients. Rules:
  One is sampled at a time, whatever the traffic; where more wait than `WAITING`, those that come are dropped, and
  counted.
  A failure is logged and counted, never raised. What runs when the server closes is cancelled and left unsampled.
  What it cost is counted as supervisor tokens, of the check `counterfactual`: the usage has been told by then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from guard.asking import Again
from guard.core.turn import TEXTS
from guard.core.types import Channel, Interruption
from guard.errors import GuardError, StoreError
from guard.metrics import Metrics
from guard.store import Store

log = logging.getLogger("guard")

WAITING = 64
TOKENS = 512
"""At most so many are sampled; a client's lower limit holds too."""

NAME = "counterfactual"


class Counterfactuals:
    """Those of one server."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._turns = asyncio.Semaphore(1)
        self._tasks: set[asyncio.Task[str]] = set()
        self._closed = False

    def start(self, interruptions: Iterable[Interruption], again: Again, labels: tuple[str, str]) -> None:
        """Begin with these; returns at once. `labels`: the model and the policy that are counted."""
        for interruption in interruptions:
            if self._closed or len(self._tasks) >= WAITING:
                self._count(labels, "dropped")
                continue
            task = asyncio.get_running_loop().create_task(self._sample(interruption, again, labels))
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._over(done, labels))

    async def close(self) -> None:
        """Cancel what runs and take nothing more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _sample(self, interruption: Interruption, again: Again, labels: tuple[str, str]) -> str:
        """Sample one and store it; returns how that went."""

        def spend(tokens: int) -> None:
            self._metrics.supervisor.labels(*labels, NAME).inc(tokens)

        try:
            async with self._turns:
                text = await again.onward(uncut(interruption), TOKENS, spend)
            if text is None:
                return "not_in_place"
            return "stored" if await self._store.amend(interruption.id, counterfactual=text) else "gone"
        except GuardError as error:
            if isinstance(error, StoreError):
                self._metrics.store_errors.labels(NAME).inc()
            log.warning("the counterfactual of interruption %s failed: %s", interruption.id, error)
            return "failed"

    def _over(self, task: asyncio.Task[str], labels: tuple[str, str]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self._count(labels, "cancelled")
        elif (error := task.exception()) is not None:
            log.error("a counterfactual broke", exc_info=error)
            self._count(labels, "failed")
        else:
            self._count(labels, task.result())

    def _count(self, labels: tuple[str, str], result: str) -> None:
        self._metrics.counterfactuals.labels(*labels, result).inc()


def uncut(interruption: Interruption) -> dict[Channel, str]:
    """The turn through the claim, by channel in order, as the model would have had it."""
    claim, texts = interruption.claim, dict[Channel, str]()
    for channel in TEXTS:
        texts[channel] = interruption.kept.get(channel, "")
        if channel == claim.channel:
            texts[channel] += claim.text
            break
    return texts
