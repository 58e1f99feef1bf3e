"""The instruments of a server, for Prometheus; `guard.counting` is what reads them off sessions.

Labels are configured names and closed sets, never text of a request or of a model. One registry an application, so
that two in one process do not mix.

=============================  =========  ============================================
metric                         kind       labels
=============================  =========  ============================================
guard_requests                 counter    model, policy, status
guard_forwarded                counter    model, route, status
guard_running                  gauge
guard_client_left              counter    model, policy
guard_first_delta_seconds      histogram  model, policy
guard_first_emit_seconds       histogram  model, policy
guard_held_seconds             histogram  model, policy
guard_response_seconds         histogram  model, policy
guard_interruptions            counter    model, policy, check, correct, late
guard_outcomes                 counter    model, policy, check, outcome, continuation
guard_discarded_tokens         counter    model, policy
guard_counterfactuals          counter    model, policy, result
guard_verdicts                 counter    check, status, disposition
guard_unscanned                counter    check, why
guard_checks_running           gauge      check
guard_check_seconds            histogram  check
guard_supervisor_tokens        counter    model, policy, check
guard_store_waiting            gauge
guard_store_seconds            histogram
guard_store_errors             counter    record
=============================  =========  ============================================

What each one says stands beside it in `Metrics`, and in what `/metrics` answers (counters end in `_total` there).

With several worker processes, `PROMETHEUS_MULTIPROC_DIR` names an empty folder of this start of the server, set before
this module is imported. Whichever process is then asked tells of all (`Metrics.collected`): counters and histograms are
summed, those of ended processes too, and the gauges of living ones. Whoever starts the workers says which have ended
(`forget_process`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, values

from guard.counting import MetricsObserver
from guard.errors import ConfigError

_FAST = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 10)
_SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SERVED = ("model", "policy")


class Metrics:
    """All instruments of one server.

    `held`: upper bounds of `guard_held_seconds`, in seconds. Raises ConfigError if they do not rise.
    """

    def __init__(self, held: Sequence[float] | None = None) -> None:
        if held is not None and sorted(set(held)) != list(held):
            raise ConfigError(f"metrics.buckets_s {list(held)!r} does not rise; name each bound once, the least first")
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Chat requests by how they ended.", (*_SERVED, "status"))
        self.running = self._gauge("running", "Responses being written.")
        self.interruptions = self._counter("interruptions", "Claims corrected.", (*_SERVED, "check", "correct", "late"))
        ends = (*_SERVED, "check", "outcome", "continuation")
        self.outcomes = self._counter("outcomes", "How interruptions ended.", ends)
        self.verdicts = self._counter("verdicts", "Verdicts of checks on segments.", ("check", "status", "disposition"))
        self.unscanned = self._counter("unscanned", "Segments a check did not judge.", ("check", "why"))
        self.forwarded = self._counter("forwarded", "Requests passed on as they were.", ("model", "route", "status"))
        self.discarded = self._counter("discarded_tokens", "Tokens generated and thrown away.", _SERVED)
        self.supervisor = self._counter(
            "supervisor_tokens",
            "Tokens that models read and wrote for checks and counterfactuals.",
            (*_SERVED, "check"),
        )
        self.counterfactuals = self._counter(
            "counterfactuals", "Turns continued as if not interrupted, by how it went.", (*_SERVED, "result")
        )
        self.left = self._counter("client_left", "Clients that left before the end.", _SERVED)
        self.store_errors = self._counter("store_errors", "Records that could not be written.", ("record",))
        self.store_waiting = self._gauge("store_waiting", "Writes that wait for the log, the one being made included.")
        self.checks_running = self._gauge("checks_running", "Checks asked about a segment, without answer.", ("check",))
        self.check_seconds = self._histogram("check_seconds", "Time a check took for a segment.", ("check",), _FAST)
        self.store_seconds = self._histogram("store_seconds", "Cut to the interruption being on record.", (), _FAST)
        self.held_seconds = self._histogram(
            "held_seconds",
            "Time a response stood still for guard: its first text, its cuts, its end.",
            _SERVED,
            held or _FAST,
        )
        self.first_seconds = self._histogram("first_delta_seconds", "Request to the upstream's first text.", _SERVED)
        self.emit_seconds = self._histogram("first_emit_seconds", "Request to the first text sent on.", _SERVED)
        self.seconds = self._histogram("response_seconds", "Request to the end of the response.", _SERVED)

    # Looking a child up by its labels costs more than counting; both live as long as the server.

    @cache  # noqa: B019
    def check_timer(self, check: str) -> Histogram:
        """The timer of one check."""
        return self.check_seconds.labels(check)

    @cache  # noqa: B019
    def check_gauge(self, check: str) -> Gauge:
        """How many of one check are at work."""
        return self.checks_running.labels(check)

    def collected(self) -> CollectorRegistry:
        """What `/metrics` tells: this process's counts, or those of all workers together."""
        if values.ValueClass is values.MutexValue:
            return self.registry
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def observer(self, model: str, policy: str) -> MetricsObserver:
        """An observer for one request, made when it begins."""
        return MetricsObserver(self, model, policy)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"guard_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"guard_{name}", text, labels, registry=self.registry, multiprocess_mode="livesum")

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: Sequence[float] = _SLOW) -> Histogram:
        return Histogram(f"guard_{name}", text, labels, buckets=buckets, registry=self.registry)


def forget_process(pid: int) -> None:
    """A worker has ended: nothing runs in it any more. What it counted stays."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
