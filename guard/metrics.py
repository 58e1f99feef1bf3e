"""Prometheus counts, as an observer of sessions: it sees events and commands and changes nothing.

Labels are configured names and closed sets, never text of a request or of a model. One registry an application, so
that two in one process do not mix.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from guard.core import events as ev

_FAST = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 10)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """All instruments of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        served = ("model", "policy")
        self.requests = self._counter("requests", "Chat requests by how they ended.", (*served, "status"))
        self.running = Gauge("guard_running", "Responses being written.", registry=self.registry)
        self.interruptions = self._counter("interruptions", "Claims corrected.", (*served, "check", "correct", "late"))
        self.outcomes = self._counter("outcomes", "How interruptions ended.", (*served, "outcome", "continuation"))
        self.verdicts = self._counter("verdicts", "Verdicts of checks on segments.", ("check", "status", "disposition"))
        self.unscanned = self._counter("unscanned", "Segments a check did not judge.", ("check", "why"))
        self.forwarded = self._counter("forwarded", "Requests passed on as they were.", ("model", "route", "status"))
        self.discarded = self._counter("discarded_tokens", "Tokens generated and thrown away.", served)
        self.supervisor = self._counter(
            "supervisor_tokens", "Tokens that models read and wrote for checks and counterfactuals.", (*served, "check")
        )
        self.counterfactuals = self._counter(
            "counterfactuals", "Turns continued as if not interrupted, by how it went.", (*served, "result")
        )
        self.left = self._counter("client_left", "Clients that left before the end.", served)
        self.store_errors = self._counter("store_errors", "Records that could not be written.", ("record",))
        self.check_seconds = Histogram(
            "guard_check_seconds", "Time a check took for a segment.", ("check",), buckets=_FAST, registry=self.registry
        )
        self.first_seconds = self._histogram("first_delta_seconds", "Request to the upstream's first text.", served)
        self.emit_seconds = self._histogram("first_emit_seconds", "Request to the first text sent on.", served)
        self.seconds = self._histogram("response_seconds", "Request to the end of the response.", served)

    @cache  # noqa: B019 - looking a child up by its labels costs more than counting; both live as long as the server
    def check_timer(self, check: str) -> Histogram:
        """The timer of one check."""
        return self.check_seconds.labels(check)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"guard_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(f"guard_{name}", text, labels, buckets=_SLOW, registry=self.registry)

    def observer(self, model: str, policy: str) -> MetricsObserver:
        """An observer for one request."""
        return MetricsObserver(self, model, policy)


class MetricsObserver:
    """Counts what one request's sessions do."""

    def __init__(self, metrics: Metrics, model: str, policy: str) -> None:
        self._metrics = metrics
        self._labels = (model, policy)
        self._waiting: set[tuple[int, int, str]] = set()

    def event(self, choice: int, event: ev.Event) -> None:
        """Why checks did not run, and clients that left."""
        if type(event) is ev.Unchecked or type(event) is ev.Checked:
            asked = (choice, event.segment, event.check)
            if asked in self._waiting and type(event) is ev.Unchecked and event.status == "unscanned":
                self._metrics.unscanned.labels(event.check, event.why).inc()
            self._waiting.discard(asked)
        elif type(event) is ev.HoldExpired:
            self._hold_expired(choice, event.segment)
        elif type(event) is ev.ClientLeft:
            self._metrics.left.labels(*self._labels).inc()

    def _hold_expired(self, choice: int, segment: int) -> None:
        """A hold's timer also runs out over text that was judged long before: only what still waits is unscanned."""
        late = {asked for asked in self._waiting if asked[0] == choice and asked[1] <= segment}
        for _, _, check in late:
            self._metrics.unscanned.labels(check, "hold").inc()
        self._waiting -= late

    def command(self, choice: int, command: ev.Command) -> None:
        """Interruptions, and the sum of a finished choice."""
        if type(command) is ev.RunCheck:
            self._waiting.add((choice, command.segment.id, command.check))
        elif type(command) is ev.DropChecks:
            self._waiting = {w for w in self._waiting if w[0] != choice or w[1] not in command.segments}
        elif type(command) is ev.Record:
            made = command.interruption
            late = "true" if made.late else "false"
            self._metrics.interruptions.labels(*self._labels, made.check, made.correct, late).inc()
        elif type(command) is ev.Finish:
            self._finished(command)

    def _finished(self, finish: ev.Finish) -> None:
        metrics = self._metrics
        for closing in finish.closings:
            continuation: Any = closing.continuation or ""
            metrics.outcomes.labels(*self._labels, closing.outcome, continuation).inc()
        if finish.summary is not None:
            metrics.discarded.labels(*self._labels).inc(finish.summary.discarded_tokens)
            for verdict in finish.summary.verdicts:
                metrics.verdicts.labels(verdict.check, verdict.status, verdict.disposition).inc()

    def examined(self, check: str, seconds: float) -> None:
        """A check ran."""
        self._metrics.check_timer(check).observe(seconds)

    def spent(self, choice: int, segment: int, check: str, tokens: int) -> None:
        """A check had a model read and write."""
        self._metrics.supervisor.labels(*self._labels, check).inc(tokens)
