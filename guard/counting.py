"""Counts what one request's sessions do: an observer that sees events and commands and changes nothing.

Nothing is counted for a delta. A response stands still for guard from the upstream's first text to the first that is
sent on, from each cut until the upstream goes on, and from the upstream's end of a choice to guard's; what lies in two
of these is counted once, and so is what several choices wait for at a time.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from guard.core import events as ev
from guard.errors import GuardError

if TYPE_CHECKING:
    from guard.metrics import Metrics

_WHYS = frozenset({"deadline", "hold", "after_tool_calls", "route"})


def reason(why: str) -> str:
    """Why a check did not judge, from a closed set: errors by the names that Python and guard have for them."""
    return why if why in _WHYS or why.removeprefix("error: ") in _errors() else "error: other"


def _errors() -> frozenset[str]:
    known = [kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return frozenset(kind.__name__ for kind in (*known, *_tree(GuardError)))


def _tree(kind: type[GuardError]) -> Iterable[type[GuardError]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from _tree(sub)


class MetricsObserver:
    """Counts what one request's sessions do."""

    def __init__(self, metrics: Metrics, model: str, policy: str) -> None:
        self._metrics = metrics
        self._labels = (model, policy)
        self._asked: set[tuple[int, int, str]] = set()
        self._late: set[tuple[int, int, str]] = set()
        self._made: dict[str, tuple[str, float]] = {}
        self._began = time.monotonic()
        self._still: dict[tuple[str, int], float] = {}
        self._stills: list[tuple[float, float]] = []
        self._left = False

    def event(self, choice: int, event: ev.Event) -> None:
        """What checks answer and how attempts begin and end; a delta costs this look-up."""
        if (take := _EVENTS.get(type(event))) is not None:
            take(self, choice, event)

    def command(self, choice: int, command: ev.Command) -> None:
        """What is asked of checks, interruptions, and the sum of a finished choice."""
        if (take := _COMMANDS.get(type(command))) is not None:
            take(self, choice, command)

    def examined(self, check: str, seconds: float) -> None:
        """A check ran."""
        self._metrics.check_timer(check).observe(seconds)

    def spent(self, choice: int, segment: int, check: str, tokens: int) -> None:
        """A check had a model read and write."""
        self._metrics.supervisor.labels(*self._labels, check).inc(tokens)

    def ended(self, status: str, timings: Mapping[str, float]) -> None:
        """The response is over. `timings`: seconds from its beginning to `finish` and, where they came, to
        `first_delta` and `first_emit`."""
        metrics, labels = self._metrics, self._labels
        metrics.requests.labels(*labels, status).inc()
        metrics.seconds.labels(*labels).observe(timings["finish"])
        if "first_delta" in timings:
            metrics.first_seconds.labels(*labels).observe(timings["first_delta"])
        if "first_emit" in timings:
            metrics.emit_seconds.labels(*labels).observe(timings["first_emit"])
            emitted = timings["first_emit"]
            self._stills.append((self._began + timings.get("first_delta", emitted), self._began + emitted))
        metrics.held_seconds.labels(*labels).observe(_together(self._stills))

    # Checks

    def _run(self, choice: int, command: ev.RunCheck) -> None:
        self._asked.add((choice, command.segment.id, command.check))
        self._metrics.check_gauge(command.check).inc()

    def _answered(self, choice: int, event: ev.Checked | ev.Unchecked) -> None:
        asked = (choice, event.segment, event.check)
        waited = asked in self._asked and asked not in self._late
        if waited and type(event) is ev.Unchecked and event.status == "unscanned":
            self._metrics.unscanned.labels(event.check, reason(event.why)).inc()
        self._forget({asked})

    def _hold_expired(self, choice: int, event: ev.HoldExpired) -> None:
        """A hold's timer also runs out over text that was judged long before: only what still waits is unscanned."""
        late = {asked for asked in self._asked - self._late if asked[0] == choice and asked[1] <= event.segment}
        for _, _, check in late:
            self._metrics.unscanned.labels(check, "hold").inc()
        self._late |= late

    def _drop(self, choice: int, command: ev.DropChecks) -> None:
        self._forget({asked for asked in self._asked if asked[0] == choice and asked[1] in command.segments})

    def _forget(self, asked: set[tuple[int, int, str]]) -> None:
        for _, _, check in asked & self._asked:
            self._metrics.check_gauge(check).dec()
        self._asked -= asked
        self._late -= asked

    # Cuts and ends

    def _record(self, choice: int, command: ev.Record) -> None:
        made = command.interruption
        self._made[made.id] = made.check, time.monotonic()
        self._stop("cut", choice)
        late = "true" if made.late else "false"
        self._metrics.interruptions.labels(*self._labels, made.check, made.correct, late).inc()

    def _recorded(self, choice: int, event: ev.Recorded) -> None:
        if event.error is None and event.id in self._made:
            self._metrics.store_seconds.observe(time.monotonic() - self._made[event.id][1])

    def _client_left(self, choice: int, event: ev.ClientLeft) -> None:
        if not self._left:  # every choice of the request is told
            self._left = True
            self._metrics.left.labels(*self._labels).inc()

    def _finish(self, choice: int, finish: ev.Finish) -> None:
        metrics = self._metrics
        self._forget({asked for asked in self._asked if asked[0] == choice})
        for what in ("cut", "end"):
            self._go_on(what, choice)
        for closing in finish.closings:
            check = self._made[closing.id][0] if closing.id in self._made else ""
            metrics.outcomes.labels(*self._labels, check, closing.outcome, closing.continuation or "").inc()
        if finish.summary is not None:
            metrics.discarded.labels(*self._labels).inc(finish.summary.discarded_tokens)
            for verdict in finish.summary.verdicts:
                metrics.verdicts.labels(verdict.check, verdict.status, verdict.disposition).inc()
                if verdict.why == "after_tool_calls":  # it was never asked, so nothing was heard of it
                    metrics.unscanned.labels(verdict.check, verdict.why).inc()

    # Standing still

    def _stop(self, what: str, choice: int) -> None:
        self._still.setdefault((what, choice), time.monotonic())

    def _go_on(self, what: str, choice: int) -> None:
        if (since := self._still.pop((what, choice), None)) is not None:
            self._stills.append((since, time.monotonic()))


def _together(stretches: Iterable[tuple[float, float]]) -> float:
    """The seconds that lie in at least one of these."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(stretches):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total


_Take: TypeAlias = Callable[[MetricsObserver, int, Any], None]
_EVENTS: Mapping[type, _Take] = {
    ev.Opened: lambda counts, choice, _: counts._go_on("cut", choice),
    ev.Finished: lambda counts, choice, _: counts._stop("end", choice),
    ev.Checked: MetricsObserver._answered,
    ev.Unchecked: MetricsObserver._answered,
    ev.HoldExpired: MetricsObserver._hold_expired,
    ev.Recorded: MetricsObserver._recorded,
    ev.ClientLeft: MetricsObserver._client_left,
}
_COMMANDS: Mapping[type, _Take] = {
    ev.RunCheck: MetricsObserver._run,
    ev.DropChecks: MetricsObserver._drop,
    ev.Record: MetricsObserver._record,
    ev.Finish: MetricsObserver._finish,
}
