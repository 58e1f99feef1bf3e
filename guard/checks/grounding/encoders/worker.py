"""One thread that asks a loaded encoder, for all streams that share it.

Knows asyncio and threads; does not know what an encoder is made of, nor scores. Its rules:

1. It takes what waits, the encoder's `batch` at most, in order of arrival, and never waits for more.
2. No more than `WAITING` may wait: one more is refused at once with EncoderBusy, so that no stream waits for nothing.
3. Every statement gets its own answer. One that the encoder breaks over fails alone: the others of its batch are asked
   again one by one. One that nobody waits for any more leaves the queue.
4. It may be asked from several event loops at once. A loop that has ended loses its answers and hurts nobody.
5. The thread sleeps while there is nothing to do; it ends with the worker, on `close`, and with the interpreter.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from weakref import WeakValueDictionary

from guard.checks.grounding.encoders import Asked, Encoder, EncoderBusy, EncoderError, Logits, load

WAITING = 256
"""At 10 ms a statement this is more than two seconds of work: what came behind it would miss its deadline."""
_Row = tuple[Asked, "Future[Logits]"]


class Worker:
    """An encoder and its thread."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._waiting: deque[_Row] = deque()
        self._lock = threading.Lock()
        self._busy = False
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guard-encoder")

    async def score(self, asked: Asked) -> Logits:
        """The encoder's answer. Raises EncoderBusy, EncoderError, or what the encoder raised over this statement."""
        future: Future[Logits] = Future()
        row = (asked, future)
        self._add(row)
        try:
            return await asyncio.wrap_future(future)
        finally:
            if future.cancelled():
                self._remove(row)

    @property
    def waiting(self) -> int:
        """How many statements wait, those left out that are being read."""
        return len(self._waiting)

    def close(self) -> None:
        """Ask nothing more, fail what waits, and wait for the thread. Safe to call twice."""
        with self._lock:
            self._closed = True
            left, self._waiting = self._waiting, deque()
        for _, future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(EncoderError("the encoder was stopped"))
        self._thread.shutdown()

    def _add(self, row: _Row) -> None:
        with self._lock:
            if self._closed:
                raise EncoderError("the encoder was stopped")
            if len(self._waiting) >= WAITING:
                raise EncoderBusy(f"{WAITING} statements wait for the encoder")
            if not self._busy:
                self._thread.submit(self._work)
                self._busy = True
            self._waiting.append(row)

    def _remove(self, row: _Row) -> None:
        with self._lock, suppress(ValueError):  # it was taken in the meantime
            self._waiting.remove(row)

    def _work(self) -> None:
        while batch := self._take():
            self._answer(batch)

    def _take(self) -> list[_Row]:
        """What to read next; with nothing left the thread's work is over, and the next statement begins it anew."""
        with self._lock:
            batch: list[_Row] = []
            while self._waiting and len(batch) < self.encoder.batch:
                row = self._waiting.popleft()
                if row[1].set_running_or_notify_cancel():
                    batch.append(row)
            self._busy = bool(batch)
            return batch

    def _answer(self, batch: Sequence[_Row]) -> None:
        try:
            told = self.encoder.score([asked for asked, _ in batch])
            if len(told) != len(batch):
                raise EncoderError(f"the encoder gave {len(told)} answers to {len(batch)} statements")
        except Exception as error:  # noqa: BLE001 - whatever broke, whoever waits must be told
            self._failed(batch, error)
            return
        for (_, future), logits in zip(batch, told, strict=True):
            future.set_result(logits)

    def _failed(self, batch: Sequence[_Row], error: Exception) -> None:
        if len(batch) == 1:
            batch[0][1].set_exception(error)
            return
        for row in batch:
            self._answer([row])


_shared: WeakValueDictionary[str, Worker] = WeakValueDictionary()


def shared(name: str) -> Worker:
    """The worker of the encoder of this name: one for all checks that name it, gone with the last of them.

    Raises ConfigError.
    """
    found = _shared.get(name)
    if found is None or found._closed:
        found = _shared[name] = Worker(load(name))
    return found
