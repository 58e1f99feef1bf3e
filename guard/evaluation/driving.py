"""Drives one session without asyncio's order: a check's answer is fed before the next event.

What `relay` does with tasks and timers is done here one thing after the other. Knows sessions and checks; knows no
labels and no upstream. Checks that are not inline are awaited in the order they were asked for, so their answers too
come in one order only, however many sessions are driven beside this one.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Awaitable, Generator, Iterable, Mapping, Sequence
from typing import Any

from guard.asking import Again
from guard.checks import Context, NotApplicable, Result
from guard.core import events as ev
from guard.core.session import Session
from guard.core.types import Channel, Evidence, Segment
from guard.errors import GuardError, SessionError
from guard.registry import LoadedPolicy


class Drive:
    """One session on its way.

    Args:
        again: asks the policy model; None where there is none.
        beside: others are driven on the same loop. The CPU of a check that is not inline is then what its own steps
            took, without what it has threads do; alone it is the whole process's.

    Attributes:
        ms: milliseconds of CPU by segment id and check.
        past_deadline: answers of checks that are not inline which came later than their `deadline_ms`, by check.
        spent: tokens that a model read and wrote, by check.
        failed: by check and reason, how often a model could not answer.
    """

    def __init__(
        self,
        session: Session,
        loaded: LoadedPolicy,
        given: Evidence,
        *,
        again: Again | None = None,
        beside: bool = False,
    ) -> None:
        self._session = session
        self._checks = loaded.checks
        self._deadlines = {use.check: use.deadline_ms / 1000 for use in loaded.policy.checks}
        self._evidence = given
        self._again = again
        self._beside = beside
        self._memos: dict[str, dict[str, Any]] = {name: {} for name in loaded.checks}
        self.ms: dict[tuple[int, str], float] = {}
        self.past_deadline: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    async def run(self, events: Iterable[ev.Event]) -> ev.Finish:
        """Feed the events and every answer they call for; returns the session's end."""
        finish: ev.Finish | None = None
        receive = self._session.receive
        for event in events:
            commands = receive(event)
            if commands and (len(commands) > 1 or type(commands[0]) is not ev.Emit):
                finish = await self._answered(commands) or finish
        if finish is None:
            raise SessionError("the session did not finish with its text")
        return finish

    async def _answered(self, commands: list[ev.Command]) -> ev.Finish | None:
        """Answer what an event led to, and what the answers lead to: inline checks first, then the slow, in order."""
        finish = None
        inline, slow = deque[ev.RunCheck](), deque[ev.RunCheck]()
        while True:
            asked: list[ev.RunCheck] = []
            for command in commands:
                if isinstance(command, ev.Finish):
                    finish = command
                elif isinstance(command, ev.RunCheck):
                    (asked if self._checks[command.check].inline else slow).append(command)
            inline.extendleft(reversed(asked))
            if not inline and not slow:
                return finish
            commands = self._session.receive(await self._examined(inline.popleft() if inline else slow.popleft()))

    async def _examined(self, command: ev.RunCheck) -> ev.Event:
        segment, check = command.segment, command.check
        inline = self._checks[check].inline
        wall, meter = time.monotonic(), _Meter(whole=not inline and not self._beside)
        try:
            result = await self._examine(segment, check, meter)
        except Exception as error:  # noqa: BLE001 - whatever a check does, it is a verdict, as in live traffic
            if isinstance(error, GuardError):
                self.failed[f"{check}: {error}"] += 1
            return ev.Unchecked(segment.id, check, "unscanned", f"error: {type(error).__name__}")
        finally:
            self.ms[segment.id, check] = meter.seconds * 1000
        if not inline and time.monotonic() - wall > self._deadlines[check]:
            self.past_deadline[check] += 1
        if isinstance(result, NotApplicable):
            return ev.Unchecked(segment.id, check, "not_applicable", result.why)
        return ev.Checked(segment.id, check, result)

    async def _examine(self, segment: Segment, check: str, meter: _Meter) -> Result:
        with meter:
            result = self._checks[check].examine(segment, self._context(segment, check))
        if isinstance(result, Awaitable):
            result = await _Metered(result, meter)
        if not isinstance(result, tuple | NotApplicable):
            raise TypeError(f"check {check!r} answered {result!r}, not findings")
        return result

    def _context(self, segment: Segment, check: str) -> Context:
        def standing() -> tuple[Segment, ...]:
            return tuple(other for other in self._session.kept if other.id < segment.id)

        memo = self._memos[check]
        if self._checks[check].inline:
            return Context(evidence=self._evidence, memo=memo, standing=standing)

        def spend(tokens: int) -> None:
            self.spent[check] += tokens

        async def ask(prefix: Mapping[Channel, str], n: int, max_tokens: int) -> Sequence[str]:
            assert self._again is not None  # else the check is given none
            return await self._again(prefix, n, max_tokens, spend)

        return Context(
            evidence=self._evidence,
            memo=memo,
            standing=standing,
            preceding=lambda: self._session.before(segment),
            ask=ask if self._again is not None else None,
            spend=spend,
        )


class _Meter:
    """Seconds of CPU between entering and leaving, summed: of this thread, or of the `whole` process."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self._clock = time.process_time if whole else time.thread_time
        self._began = 0.0
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._began = self._clock()

    def __exit__(self, *_: object) -> None:
        self.seconds += self._clock() - self._began


class _Metered:
    """Awaits a check and meters it: from its beginning to its end, or its own steps alone."""

    def __init__(self, check: Awaitable[Result], meter: _Meter) -> None:
        self._check = check
        self._meter = meter

    def __await__(self) -> Generator[Any, Any, Result]:
        if not self._meter.whole:
            return (yield from self._steps())
        with self._meter:
            return (yield from self._check.__await__())

    def _steps(self) -> Generator[Any, Any, Result]:
        steps = self._check.__await__()
        step, given = steps.send, None
        while True:
            try:
                with self._meter:
                    waits_for = step(given)
            except StopIteration as done:
                found: Result = done.value
                return found
            try:
                step, given = steps.send, (yield waits_for)
            except BaseException as error:  # noqa: BLE001 - a cancelled wait too is the check's to handle
                step, given = steps.throw, error
