"""Traces of responses over OpenTelemetry: a span for the request, for each attempt and for each check on a segment.

Knows the collector and OpenTelemetry's SDK, which is imported only where tracing is on; `guard.tracing_spans` knows
what a span tells. Rules:

- On where `tracing.otlp` or one of the SDK's own variables names a collector, unless OTEL_SDK_DISABLED says otherwise.
  The SDK's variables for sampling, batches, headers and resources hold as it documents them.
- A trace goes on from the client's `traceparent`, and the upstream is given this request's (W3C Trace Context).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from guard import __version__
from guard.checks import Check
from guard.errors import MissingExtra
from guard.tracing_spans import Trace, named

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_WHERE = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
GRACE_S = 3.0
"""How long the server's end waits for a collector to take what is left."""


def wanted(otlp: str | None, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether traces are to be sent: to `otlp`, or where the SDK's variables say."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    theirs = exporter == "otlp" or (exporter == "" and any(environment.get(name, "").strip() for name in _WHERE))
    return otlp is not None or theirs


def tracing(otlp: str | None) -> Tracing | None:
    """The traces of a server, or None where none are wanted. `otlp`: base URL of a collector that speaks OTLP/HTTP.

    Raises MissingExtra.
    """
    if not wanted(otlp):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"tracing needs {error.name!r}: pip install 'premise-guard[tracing]', or set OTEL_SDK_DISABLED=true"
        ) from None
    return Tracing(OTLPSpanExporter(endpoint=None if otlp is None else _traces_at(otlp)))


def _traces_at(otlp: str) -> str:
    base = otlp.rstrip("/")
    return base if base.endswith("/v1/traces") else f"{base}/v1/traces"


class Tracing:
    """Where the spans of one server go."""

    def __init__(self, exporter: SpanExporter) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        theirs = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if theirs else {"service.name": "guard"})
        self._exporter = exporter
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("guard", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._below = set_span_in_context

    def begin(self, headers: Mapping[str, str], about: Mapping[str, Any], checks: Mapping[str, Check]) -> Trace:
        """The trace of one request.

        Args:
            headers: the client's, lower-case names.
            about: attributes: configured names and closed sets, `choices` among them.
            checks: the policy's, by name.
        """
        from opentelemetry.trace import SpanKind

        parent = self._propagator.extract(headers)
        span = self._tracer.start_span("guard.request", parent, SpanKind.SERVER, named(about))
        return Trace(self, span, about["choices"], {name: check.version for name, check in checks.items()})

    def child(self, name: str, of: Span, about: Mapping[str, Any], began: int | None = None) -> Span:
        """A span below another one, begun now or at `began` (unix nanoseconds)."""
        return self._tracer.start_span(name, self._below(of), attributes=named(about), start_time=began)

    def carried(self, span: Span) -> dict[str, str]:
        """The headers that tell an upstream of a span."""
        headers: dict[str, str] = {}
        self._propagator.inject(headers, self._below(span))
        return headers

    async def close(self) -> None:
        """Send what is left, for a moment, and let go."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, GRACE_S)
        if sending.is_alive():
            self._exporter.shutdown()
