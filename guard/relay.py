"""The only asyncio in the engine: carries out what sessions ask for and feeds back what happens.

It knows tasks, timers and back-pressure; it does not know HTTP, SSE, SQL or what any command means to the policy.
Its rules:

1. One event at a time: whoever brings events holds the turn until their commands are done and what they released has
   been taken by `emit`. Awaiting `emit` is the back-pressure: while the client does not read, no upstream is read.
2. A delta that needs no check costs no task, thread, queue or timer. A slow check costs one task, a hold one timer,
   an attempt one task.
3. No check can hurt the stream: one that raises or misses its deadline becomes `Unchecked`, a verdict like another.
4. When the run ends, for whatever reason, every task and timer of it has ended too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from guard.backends import Batch, Turn, Usage
from guard.checks import Check, Context, NotApplicable, Result, Spend
from guard.core import events as ev
from guard.core.policy import Policy
from guard.core.session import Session
from guard.core.types import Channel, Evidence, Interruption, Resume, Segment
from guard.core.usage import Ledger
from guard.errors import GuardError, UpstreamDisconnected, UpstreamError

log = logging.getLogger("guard")

Out: TypeAlias = tuple[int, ev.Piece | ev.Finish]
"""Something for the client, with the index of its choice."""

Emit: TypeAlias = Callable[[Sequence[Out]], Awaitable[None]]
"""Takes what one read released, in order; returns when the client can take more."""

Ask: TypeAlias = Callable[[Mapping[Channel, str], int, int, Spend], Awaitable[Sequence[str]]]
"""Asks the policy model again, off the stream: `guard.checks.Ask`, and who is told what it cost."""

Record: TypeAlias = Callable[[Interruption], Awaitable[str | None]]
"""Makes an interruption durable; returns what went wrong, or None."""


AFTER_FINISH_S = 2.0
"""How long an upstream may take to end its stream once it has finished every choice."""


class Observer(Protocol):
    """Sees everything, changes nothing, must be quick and must not raise."""

    def event(self, choice: int, event: ev.Event) -> None:
        """A session is about to receive this."""

    def command(self, choice: int, command: ev.Command) -> None:
        """A session asked for this."""

    def examined(self, check: str, seconds: float) -> None:
        """A check took this long."""

    def spent(self, choice: int, segment: int, check: str, tokens: int) -> None:
        """A check had a model read and write so many tokens for a segment."""


@dataclass(slots=True, eq=False)
class _Pump:
    """An attempt being read."""

    readers: set[int]
    task: asyncio.Task[None] | None = None
    stopped: bool = False


class Relay:
    """One request on its way: `n` sessions over one turn of a backend.

    Args:
        turn: the upstream.
        sessions: one a choice, by index.
        checks: the policy's checks by name.
        emit, record: see above.
        observers: told of every event and command.
        ask: for checks that ask the policy model again; None where that cannot be done.
    """

    def __init__(
        self,
        *,
        turn: Turn,
        sessions: Sequence[Session],
        policy: Policy,
        checks: Mapping[str, Check],
        evidence: Evidence,
        emit: Emit,
        record: Record,
        ledger: Ledger,
        observers: Sequence[Observer] = (),
        ask: Ask | None = None,
    ) -> None:
        self._turn = turn
        self._sessions = sessions
        self._deadlines = {use.check: use.deadline_ms / 1000 for use in policy.checks}
        self._checks = checks
        self._evidence = evidence
        self._emit = emit
        self._record = record
        self._ledger = ledger
        self._observers = tuple(observers)
        self._ask = ask
        self._lock = asyncio.Lock()
        self._done = asyncio.Event()
        self._outbox: list[Out] = []
        self._unfinished = set(range(len(sessions)))
        self._pumps: dict[tuple[int, int], _Pump] = {}
        self._tasks: dict[asyncio.Task[None], tuple[int, int] | None] = {}
        self._timers: dict[tuple[int, int], asyncio.TimerHandle] = {}
        self._memos: dict[tuple[int, str], dict[str, Any]] = {}
        self.began = False
        """Whether the upstream has begun to answer: a failure has no status of its own any more."""
        self._emitting: asyncio.Task[Any] | None = None
        self._error: BaseException | None = None

    async def run(self) -> None:
        """Serve the request to its end: every choice has had its `Finish`, or the client left.

        Raises:
            GuardError: attempt 0 failed before it brought anything, so that its status can still be sent.
        """
        try:
            self._pump(0, 0, None)
            await self._done.wait()
            await self._drain()
        finally:
            await self._wind_up()
        if self._error is not None:
            raise self._error

    async def leave(self) -> None:
        """The client has gone: cancel policy and supervisor, and let the sessions say what there is to record."""
        for pump in self._pumps.values():
            self._stop(pump)
        if self._emitting is not None:
            self._emitting.cancel()  # whoever it is: nobody takes what it sends
        try:
            await self._drive([(choice, ev.ClientLeft()) for choice in sorted(self._unfinished)])
        finally:
            self._done.set()

    async def _drain(self) -> None:
        """Let attempts that finished bring what follows the finish (the usage), for a moment."""
        reading = [pump.task for pump in self._pumps.values() if pump.task and not pump.stopped]
        if reading and self._error is None:
            await asyncio.wait(reading, timeout=AFTER_FINISH_S)

    async def _wind_up(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            self._abandon()
        finally:
            await self._turn.close()

    def _abandon(self) -> None:
        """A run that broke leaves choices without an end: to the log they are as if the client had left."""
        if self.began:
            for choice in sorted(self._unfinished):
                self._take(choice, ev.ClientLeft())

    # Events in, commands out

    async def _drive(self, items: Iterable[tuple[int, ev.Event]]) -> None:
        async with self._lock:
            for choice, event in items:
                self._take(choice, event)
            if self._outbox:
                await self._send()
            if not self._unfinished:
                self._done.set()

    async def _send(self) -> None:
        out, self._outbox = self._outbox, []
        self._emitting = asyncio.current_task()
        try:
            await self._emit(out)
        finally:
            self._emitting = None

    def _take(self, choice: int, event: ev.Event) -> None:
        queue = deque((event,))
        session = self._sessions[choice]
        while queue:
            event = queue.popleft()
            for observer in self._observers:
                observer.event(choice, event)
            answers: list[ev.Event] = []
            for command in session.receive(event):
                if type(command) is ev.Emit:
                    self._outbox += [(choice, piece) for piece in command.pieces]
                else:
                    self._do(choice, command, answers)
            queue.extendleft(reversed(answers))

    def _do(self, choice: int, command: ev.Command, answers: list[ev.Event]) -> None:
        for observer in self._observers:
            observer.command(choice, command)
        match command:
            case ev.RunCheck(segment, check):
                if self._checks[check].inline:
                    answers.append(self._inline(choice, segment, check))
                else:
                    self._spawn(self._slow(choice, segment, check), (choice, segment.id))
            case ev.StartHold(id_, ms):
                loop = asyncio.get_running_loop()
                self._timers[choice, id_] = loop.call_later(ms / 1000, self._hold_over, choice, id_)
            case ev.DropChecks(segments):
                self._drop(choice, set(segments))
            case ev.CancelAttempt(attempt):
                self._cancel(choice, attempt)
            case ev.Record(interruption):
                self._spawn(self._make_durable(choice, interruption))
            case ev.OpenAttempt(attempt, resume):
                self._pump(attempt, choice, resume)
            case ev.Finish():
                self._outbox.append((choice, command))
                self._unfinished.discard(choice)
                self._release_first()

    def _spawn(self, work: Any, of: tuple[int, int] | None = None) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = of
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        """A task ended; one that broke breaks the request, loudly, instead of leaving it to hang."""
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._done.set()

    # Checks

    def _context(self, choice: int, segment: Segment, check: str) -> Context:
        session = self._sessions[choice]

        def standing() -> tuple[Segment, ...]:
            return tuple(other for other in session.kept if other.id < segment.id)

        memo = self._memos.setdefault((choice, check), {})
        if self._checks[check].inline:
            return Context(evidence=self._evidence, memo=memo, standing=standing, tokens=session.tokens)

        def spend(tokens: int) -> None:
            for observer in self._observers:
                observer.spent(choice, segment.id, check, tokens)

        async def ask(prefix: Mapping[Channel, str], n: int, max_tokens: int) -> Sequence[str]:
            assert self._ask is not None  # else the check is given none
            return await self._ask(prefix, n, max_tokens, spend)

        return Context(
            evidence=self._evidence,
            memo=memo,
            standing=standing,
            preceding=lambda: session.before(segment),
            tokens=session.tokens,
            ask=ask if self._ask is not None else None,
            spend=spend,
        )

    def _inline(self, choice: int, segment: Segment, check: str) -> ev.Event:
        began = asyncio.get_running_loop().time()
        try:
            answer = _answer(
                segment, check, self._checks[check].examine(segment, self._context(choice, segment, check))
            )
        except Exception as error:  # noqa: BLE001 - rule 3: whatever a check does, the stream goes on
            return ev.Unchecked(segment.id, check, "unscanned", f"error: {type(error).__name__}")
        self._examined(check, began)
        return answer

    async def _slow(self, choice: int, segment: Segment, check: str) -> None:
        began = asyncio.get_running_loop().time()
        event: ev.Event
        try:
            async with asyncio.timeout(self._deadlines[check]):
                pending = self._checks[check].examine(segment, self._context(choice, segment, check))
                assert isinstance(pending, Awaitable)  # a check that is not inline is a coroutine
                event = _answer(segment, check, await pending)
        except TimeoutError:
            event = ev.Unchecked(segment.id, check, "unscanned", "deadline")
        except (Exception, asyncio.CancelledError) as error:
            if (task := asyncio.current_task()) and task.cancelling():  # this task is not wanted any more
                if isinstance(error, asyncio.CancelledError):
                    raise
                return  # what broke while it was being cancelled broke for nobody
            event = ev.Unchecked(segment.id, check, "unscanned", f"error: {type(error).__name__}")
        self._examined(check, began)
        await self._drive([(choice, event)])

    def _examined(self, check: str, began: float) -> None:
        seconds = asyncio.get_running_loop().time() - began
        for observer in self._observers:
            observer.examined(check, seconds)

    def _hold_over(self, choice: int, segment: int) -> None:
        del self._timers[choice, segment]
        self._spawn(self._drive([(choice, ev.HoldExpired(segment))]))

    def _drop(self, choice: int, segments: set[int]) -> None:
        for task, of in list(self._tasks.items()):
            # A check whose own verdict dropped its segment is at work: what that released has yet to be sent.
            if of and of[0] == choice and of[1] in segments and task is not asyncio.current_task():
                task.cancel()
        for key in [key for key in self._timers if key[0] == choice and key[1] in segments]:
            self._timers.pop(key).cancel()

    async def _make_durable(self, choice: int, interruption: Interruption) -> None:
        error = await self._record(interruption)
        await self._drive([(choice, ev.Recorded(interruption.id, error))])

    # Attempts

    def _pump(self, number: int, choice: int, resume: Resume | None) -> None:
        readers = set(self._unfinished) if number == 0 else {choice}
        pump = self._pumps[number, choice if number else 0] = _Pump(readers)
        self._ledger.open(number, choice)
        pump.task = self._spawn(self._read(pump, number, choice, resume))

    async def _read(self, pump: _Pump, number: int, choice: int, resume: Resume | None) -> None:
        stream = self._turn.attempt(number, choice, resume)
        try:
            while (batch := await _next(stream)) is not None:
                self.began = True
                await self._drive(self._events(number, choice, batch))
                if pump.stopped:
                    return
            raise UpstreamDisconnected("the policy model's server ended its answer without finishing it")
        except GuardError as error:
            await self._failed(pump, number, error)
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:
                await close()

    def _events(self, number: int, choice: int, batch: Batch) -> Iterable[tuple[int, ev.Event]]:
        """The events of a batch; usage goes to the ledger, text is counted on the way."""
        for item in batch:
            if isinstance(item, Usage):
                self._ledger.counts(number, choice, item.counts)
                continue
            event = item[1]
            if type(event) is ev.Delta:
                ids = sum(token.id >= 0 for token in event.tokens)  # those that come without may not be all
                self._ledger.text(number, item[0], len(event.text), ids)
            yield item

    async def _failed(self, pump: _Pump, number: int, error: GuardError) -> None:
        if not self.began and number == 0:
            self._error = error
            self._done.set()
            return
        status = error.status if isinstance(error, UpstreamError) else 500
        await self._drive([(choice, ev.Failed(number, str(error), status)) for choice in sorted(pump.readers)])

    def _cancel(self, choice: int, attempt: int) -> None:
        pump = self._pumps.get((attempt, choice if attempt else 0))
        if pump is None:  # it waits for its record and has not been opened
            return
        pump.readers.discard(choice)
        if not pump.readers:
            self._stop(pump)
        self._release_first()

    def _release_first(self) -> None:
        """Attempt 0 may go once all that still read it have finished: what else it brings belongs to cut choices."""
        first = self._pumps.get((0, 0))
        if first and len(first.readers) < len(self._sessions) and not first.readers & self._unfinished:
            self._stop(first)

    @staticmethod
    def _stop(pump: _Pump) -> None:
        """Stop reading; a pump that is itself at work ends when it is done, so that its own `emit` is not torn."""
        pump.stopped = True
        if pump.task is not None and pump.task is not asyncio.current_task():
            pump.task.cancel()


async def _next(stream: AsyncIterator[Batch]) -> Batch | None:
    try:
        return await anext(stream, None)
    except GuardError:
        raise
    except Exception as error:  # a bug in a backend must end in an error that the client sees, not in silence
        log.exception("a backend broke")
        raise UpstreamError(f"the backend failed: {type(error).__name__}") from error


def _answer(segment: Segment, check: str, result: Result | Awaitable[Result]) -> ev.Event:
    if isinstance(result, NotApplicable):
        return ev.Unchecked(segment.id, check, "not_applicable", result.why)
    if not isinstance(result, tuple):
        raise TypeError(f"check {check!r} answered {result!r}, not findings")
    return ev.Checked(segment.id, check, result)
