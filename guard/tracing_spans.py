"""The spans of one response: of the request, of each attempt and of each check on a segment.

An observer of its sessions, made only where tracing is on. What a span tells is names, versions, counts and times,
never text of a client or a model. Rules:

- Nothing is done for a delta.
- The spans of checks are made when their choice is over: only then is it known what the policy made of them. A check
  whose segment was thrown away is `discarded`, and `cancelled` where it had not answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from guard.core import events as ev
from guard.core.types import Interruption, Segment, Verdict
from guard.counting import reason

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from guard.tracing import Tracing

_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


def named(about: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of guard's own, those that there are."""
    return {f"guard.{name}": value for name, value in about.items() if value is not None}


@dataclass(slots=True)
class _Check:
    segment: Segment
    began: int
    ended: int | None = None


@dataclass(slots=True)
class _Attempt:
    span: Span
    readers: set[int]


class Trace:
    """One request as it is traced (`guard.relay.Observer`); `ended` closes it."""

    def __init__(self, tracing: Tracing, span: Span, choices: int, versions: Mapping[str, str]) -> None:
        self._tracing = tracing
        self._span = span
        self._versions = versions
        self._checks: dict[tuple[int, int, str], _Check] = {}
        self._attempts: dict[tuple[int, int], _Attempt] = {}
        self._open(0, set(range(choices)))

    @property
    def headers(self) -> dict[str, str]:
        """What the upstream is told of the trace."""
        return self._tracing.carried(self._span)

    @property
    def sampled(self) -> bool:
        """Whether it is worth observing."""
        return self._span.is_recording()

    def event(self, choice: int, event: ev.Event) -> None:
        """Attempts begin and end, checks answer; a delta costs this look-up."""
        if (take := _EVENTS.get(type(event))) is not None:
            take(self, choice, event)

    def command(self, choice: int, command: ev.Command) -> None:
        """Checks are asked, turns are cut and go on, choices end."""
        if (take := _COMMANDS.get(type(command))) is not None:
            take(self, choice, command)

    def examined(self, check: str, seconds: float) -> None:
        """Its span is told by the events."""

    def spent(self, choice: int, segment: int, check: str, tokens: int) -> None:
        """Counted elsewhere."""

    def ended(self, status: str, about: Mapping[str, Any]) -> None:
        """The response is over: `status` as the metrics have it, `about` further attributes."""
        for attempt in self._attempts.values():
            if attempt.readers:
                attempt.span.end()
        self._span.set_attributes(named({"status": status, **about}))
        if status == "error" or status.startswith("5"):
            self._fail(self._span, status)
        self._span.end()

    # Attempts

    def _open(self, number: int, readers: set[int]) -> None:
        key = number, 0 if number == 0 else min(readers)
        about = {"attempt": number, "choice": key[1] if number else None}
        self._attempts[key] = _Attempt(self._tracing.child("guard.attempt", self._span, about), readers)

    def _opened(self, choice: int, event: ev.Opened) -> None:
        if event.continuation is not None and (attempt := self._attempt(event.attempt, choice)):
            attempt.span.set_attribute("guard.continuation", event.continuation)

    def _finished(self, choice: int, event: ev.Finished) -> None:
        why = event.reason if event.reason in _REASONS else "other"
        self._leave(event.attempt, choice, {"finish_reason": why})

    def _failed(self, choice: int, event: ev.Failed) -> None:
        attempt = self._attempt(event.attempt, choice)
        if attempt and choice in attempt.readers:  # an upstream may break off behind the end
            self._fail(attempt.span, str(event.status))
        self._leave(event.attempt, choice, {"status": str(event.status)})

    def _leave(self, number: int, choice: int, about: Mapping[str, Any]) -> None:
        """A choice reads an attempt no more; the last one to do so ends it."""
        attempt = self._attempt(number, choice)
        if attempt is None or choice not in attempt.readers:
            return
        attempt.span.set_attributes(named(about))
        attempt.readers.discard(choice)
        if not attempt.readers:
            attempt.span.end()

    def _attempt(self, number: int, choice: int) -> _Attempt | None:
        return self._attempts.get((number, choice if number else 0))

    @staticmethod
    def _fail(span: Span, status: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, status))

    # Cuts

    def _record(self, choice: int, made: Interruption) -> None:
        about = {"id": made.id, "choice": choice, "attempt": made.attempt, "check": made.check, "late": made.late}
        about |= {"correct": made.correct, "channel": made.claim.channel, "tokens_wasted": made.tokens_wasted}
        self._span.add_event("guard.interruption", named(about))

    def _recorded(self, choice: int, event: ev.Recorded) -> None:
        self._span.add_event("guard.recorded", named({"id": event.id, "durable": event.error is None}))

    # Checks

    def _run(self, choice: int, command: ev.RunCheck) -> None:
        self._checks[choice, command.segment.id, command.check] = _Check(command.segment, time.time_ns())

    def _answered(self, choice: int, event: ev.Checked | ev.Unchecked) -> None:
        check = self._checks.get((choice, event.segment, event.check))
        if check is not None and check.ended is None:
            check.ended = time.time_ns()

    def _finish(self, choice: int, command: ev.Finish) -> None:
        """Every check that was asked about this choice, with what came of it."""
        verdicts = command.summary.verdicts if command.summary is not None else ()
        known = {(verdict.segment, verdict.check): verdict for verdict in verdicts}
        for asked in [asked for asked in self._checks if asked[0] == choice]:
            self._told(asked, self._checks.pop(asked), known.get(asked[1:]))

    def _told(self, asked: tuple[int, int, str], check: _Check, verdict: Verdict | None) -> None:
        choice, segment, name = asked
        status = "cancelled" if check.ended is None else "discarded" if verdict is None else verdict.status
        about = {"check": name, "check.version": self._versions.get(name), "segment": segment, "choice": choice}
        about |= {"channel": check.segment.channel, "verdict": status}
        if verdict is not None:
            about |= {"disposition": verdict.disposition, "why": reason(verdict.why) if status == "unscanned" else None}
        attempt = self._attempt(check.segment.attempt, choice)
        span = self._tracing.child("guard.check", attempt.span if attempt else self._span, about, check.began)
        span.end(check.ended)


_Take: TypeAlias = Callable[[Trace, int, Any], None]
_EVENTS: Mapping[type, _Take] = {
    ev.Opened: Trace._opened,
    ev.Finished: Trace._finished,
    ev.Failed: Trace._failed,
    ev.Checked: Trace._answered,
    ev.Unchecked: Trace._answered,
    ev.Recorded: Trace._recorded,
}
_COMMANDS: Mapping[type, _Take] = {
    ev.RunCheck: Trace._run,
    ev.CancelAttempt: lambda trace, choice, command: trace._leave(command.attempt, choice, {"cut": True}),
    ev.OpenAttempt: lambda trace, choice, command: trace._open(command.attempt, {choice}),
    ev.Record: lambda trace, choice, command: trace._record(choice, command.interruption),
    ev.Finish: Trace._finish,
}
