"""The one thread that computes: gives every running task a token in turn.

Knows tasks only by the few words below; does not know tokens, text or models. Its rules:

1. One token each a turn, and at most one piece of a prompt a turn: a long prompt never stops the others.
2. A cancelled task computes nothing more, a paused one only when its reader has read; with nothing to do the thread
   sleeps on a condition.
3. A task that raises fails alone; the thread goes on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from typing import Protocol

import torch

from guard.errors import UpstreamError


class Task(Protocol):
    """What the engine runs. Everything but `over` is called on the engine's thread only."""

    @property
    def over(self) -> bool:
        """Nothing more is to be computed: finished, failed or cancelled."""
        ...

    @property
    def ready(self) -> bool:
        """It could take a step now."""
        ...

    @property
    def reading(self) -> bool:
        """Its next step reads a piece of a prompt instead of writing a token."""
        ...

    def step(self) -> None:
        """Read a piece, or write a token."""
        ...

    def fail(self, error: Exception) -> None:
        """It cannot go on."""
        ...

    def leave(self) -> None:
        """It is over and will not be called again."""
        ...


class Engine:
    """A thread and its tasks.

    Args:
        threads: torch threads of a pass.
        most: tasks that take turns; more of them wait in order of arrival, but not for one that is paused.
    """

    def __init__(self, *, threads: int = 1, most: int = 8) -> None:
        self._threads = threads
        self._most = most
        self._running: list[Task] = []
        self._waiting: deque[Task] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="guard-transformers", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread is there to compute."""
        return self._thread.is_alive() and not self._closing

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the step in hand, fail what still runs, and wait for the thread. Safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, tasks: Iterable[Task]) -> None:
        """Take on tasks. Raises UpstreamError when the thread is not running."""
        with self._changed:
            if not self.alive:
                raise UpstreamError("the local model is not running", status=503)
            self._waiting.extend(tasks)
            self._changed.notify()

    def wake(self) -> None:
        """Something changed from outside: a task was cancelled, or a reader has read."""
        with self._changed:
            self._changed.notify()

    def _work(self) -> None:
        torch.set_num_threads(self._threads)  # counts for the thread that says it
        try:
            with torch.inference_mode():
                while self._turn():
                    pass
        finally:
            self._abandon()

    def _abandon(self) -> None:
        with self._changed:
            self._closing = True
            for task in chain(self._running, self._waiting):
                _try_fail(task, UpstreamError("the local model was stopped", status=503))
            self._running.clear()
            self._waiting.clear()

    def _turn(self) -> bool:
        tasks = self._due()
        for task in tasks or ():
            if not task.over:
                self._step(task)
        return tasks is not None

    def _step(self, task: Task) -> None:
        try:
            task.step()
        except Exception as error:  # noqa: BLE001 - whatever broke (torch raises anything), the others must go on
            _try_fail(task, error)

    def _due(self) -> list[Task] | None:
        with self._changed:
            while not self._closing:
                self._admit()
                ready = [task for task in self._running if task.ready]
                if ready:
                    return _fair(ready)
                self._changed.wait()
        return None

    def _admit(self) -> None:
        for task in self._running:
            if task.over:
                with suppress(RuntimeError):  # its event loop is closed
                    task.leave()
        self._running = [task for task in self._running if not task.over]
        # One whose reader pauses gives its place up: it must not keep the very reader waiting for another.
        while self._waiting and sum(task.ready for task in self._running) < self._most:
            self._running.append(self._waiting.popleft())


def _fair(ready: list[Task]) -> list[Task]:
    """All that write, and the first of those that read."""
    first = next((task for task in ready if task.reading), None)
    return [task for task in ready if task is first or not task.reading]


def _try_fail(task: Task, error: Exception) -> None:
    with suppress(RuntimeError):  # its event loop is closed: nobody is left to tell
        task.fail(error)
