"""Drives one session without asyncio's order: a check's answer is fed before the next event.

What `relay` does with tasks and timers is done here one thing after the other. Knows sessions and checks; knows no
labels and no upstream. Checks that are not inline are awaited on the caller's runner, in the order they were asked
for, so their answers too come in one order only. There is no policy model to ask again: `Context.ask` is None.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Iterable
from typing import Any

from guard.checks import Context, NotApplicable, Result
from guard.core import events as ev
from guard.core.session import Session
from guard.core.types import Evidence, Segment
from guard.errors import SessionError
from guard.registry import LoadedPolicy


class Drive:
    """One session on its way.

    Attributes:
        ms: milliseconds of CPU by segment id and check.
        past_deadline: answers of checks that are not inline which came later than their `deadline_ms`, by check.
        spent: tokens that a supervisor model read and wrote, by check.
    """

    def __init__(self, session: Session, loaded: LoadedPolicy, given: Evidence, runner: asyncio.Runner) -> None:
        self._session = session
        self._checks = loaded.checks
        self._deadlines = {use.check: use.deadline_ms / 1000 for use in loaded.policy.checks}
        self._evidence = given
        self._runner = runner
        self._memos: dict[str, dict[str, Any]] = {name: {} for name in loaded.checks}
        self.ms: dict[tuple[int, str], float] = {}
        self.past_deadline: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()

    def run(self, events: Iterable[ev.Event]) -> ev.Finish:
        """Feed the events and every answer they call for; returns the session's end."""
        finish: ev.Finish | None = None
        receive = self._session.receive
        for event in events:
            commands = receive(event)
            if commands and (len(commands) > 1 or type(commands[0]) is not ev.Emit):
                finish = self._answered(commands) or finish
        if finish is None:
            raise SessionError("the session did not finish with its text")
        return finish

    def _answered(self, commands: list[ev.Command]) -> ev.Finish | None:
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
            commands = self._session.receive(self._examined(inline.popleft() if inline else slow.popleft()))

    def _examined(self, command: ev.RunCheck) -> ev.Event:
        segment, check = command.segment, command.check
        inline = self._checks[check].inline
        clock = time.thread_time if inline else time.process_time  # a slow check may work in threads of its own
        wall, began = time.monotonic(), clock()
        try:
            result = self._examine(segment, check)
        except Exception as error:  # noqa: BLE001 - whatever a check does, it is a verdict, as in live traffic
            return ev.Unchecked(segment.id, check, "unscanned", f"error: {type(error).__name__}")
        finally:
            self.ms[segment.id, check] = (clock() - began) * 1000
        if not inline and time.monotonic() - wall > self._deadlines[check]:
            self.past_deadline[check] += 1
        if isinstance(result, NotApplicable):
            return ev.Unchecked(segment.id, check, "not_applicable", result.why)
        return ev.Checked(segment.id, check, result)

    def _examine(self, segment: Segment, check: str) -> Result:
        result = self._checks[check].examine(segment, self._context(segment, check))
        if isinstance(result, Awaitable):
            result = self._runner.run(_awaited(result))
        if not isinstance(result, tuple | NotApplicable):
            raise TypeError(f"check {check!r} answered {result!r}, not findings")
        return result

    def _context(self, segment: Segment, check: str) -> Context:
        def standing() -> tuple[Segment, ...]:
            return tuple(other for other in self._session.kept if other.id < segment.id)

        memo = self._memos[check]
        if self._checks[check].inline:
            return Context(evidence=self._evidence, memo=memo, standing=standing)
        return Context(
            evidence=self._evidence,
            memo=memo,
            standing=standing,
            preceding=lambda: self._session.before(segment),
            spend=lambda tokens: self.spent.update({check: tokens}),
        )


async def _awaited(result: Awaitable[Result]) -> Result:
    return await result
