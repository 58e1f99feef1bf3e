"""Traces of real responses: what spans there are, what they tell, where they go; and nothing at all where tracing is
off."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.backends.scripted import ScriptedTurn
from guard.tracing import GRACE_S, Tracing, tracing, wanted
from tests.server.live import QUESTION, Live, answer, eventually, serving, settings

pytest.importorskip("opentelemetry.sdk", reason="SPANS ARE NOT TESTED: pip install 'premise-guard[tracing]'")

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CLIENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
WRONG = answer(
    [{"reasoning": "One. BAD two. Secret words. "}, {"content": "Yes."}, {"finish": "stop"}],
    [{"reasoning": " Right. "}, {"content": "It is GOOD."}, {"finish": "stop"}],
    cut=2,
)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


class Traced:
    """A server whose spans are kept here, and the requests that its model got."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.exporter = InMemorySpanExporter()
        self.requests: list[ChatRequest] = []
        live.gateway.tracing = Tracing(self.exporter)
        begin = live.backend.begin

        def spying(request: ChatRequest) -> ScriptedTurn:
            self.requests.append(request)
            return begin(request)

        live.backend.begin = spying  # type: ignore[method-assign]

    def spans(self, n: int = 1) -> list[ReadableSpan]:
        """All spans of `n` responses, in the order of their beginnings."""

        def ended() -> list[ReadableSpan]:
            assert self.live.gateway.tracing is not None
            self.live.gateway.tracing._provider.force_flush()
            spans = list(self.exporter.get_finished_spans())
            return spans if sum(span.name == "guard.request" for span in spans) == n else []

        return sorted(eventually(ended), key=lambda span: span.start_time or 0)


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    with serving(settings(tmp_path, [WRONG])) as live:
        yield Traced(live)


def named(spans: list[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def about(span: ReadableSpan) -> Mapping[str, Any]:
    return {name.removeprefix("guard."): value for name, value in (span.attributes or {}).items()}


def test_an_interrupted_stream(traced: Traced, caplog: pytest.LogCaptureFixture) -> None:
    heard = traced.live.stream(CLIENT, user="Ada", model="m")
    assert len(heard.events) == 1
    spans = traced.spans()
    assert "ended span" not in caplog.text
    (request,) = named(spans, "guard.request")
    assert request.parent is not None
    assert (f"{request.parent.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    told = dict(about(request))
    (session,) = heard.ids
    assert told.pop("id") == session
    assert told.pop("tokens") > 0
    known = {"route": "chat", "model": "m", "policy": "test", "choices": 1, "status": "200", "interruptions": 1}
    assert told == known
    assert [event.name for event in request.events] == ["guard.interruption", "guard.recorded"]
    cut = dict(request.events[0].attributes or {})
    assert cut["guard.id"] == f"{session}.0.1"
    assert (cut["guard.check"], cut["guard.correct"], cut["guard.late"]) == ("phrase", "interrupt", False)

    first, second = named(spans, "guard.attempt")
    assert about(first) == {"attempt": 0, "cut": True}
    assert about(second) == {
        "attempt": 1, "choice": 0, "continuation": "text_exact", "finish_reason": "stop",
    }  # fmt: skip
    checks = named(spans, "guard.check")
    assert [about(check)["verdict"] for check in checks].count("flagged") == 1
    (flagged,) = [check for check in checks if about(check)["verdict"] == "flagged"]
    assert about(flagged) == {
        "check": "phrase", "check.version": "1", "segment": 1, "choice": 0, "channel": "reasoning",
        "verdict": "flagged", "disposition": "interrupted",
    }  # fmt: skip
    assert flagged.parent is not None
    assert first.context is not None
    assert flagged.parent.span_id == first.context.span_id
    for span in spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time <= span.end_time
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" == TRACE


def test_no_text_of_anybody_is_told(traced: Traced) -> None:
    traced.live.stream(CLIENT, user="someone", model="m", messages=[{"role": "user", "content": "private"}])
    said = "".join(span.to_json() for span in traced.spans())
    for private in ("someone", "private", "BAD", "GOOD", "Secret", "wrong"):
        assert private not in said


def test_the_upstream_is_told_of_this_request(traced: Traced) -> None:
    traced.live.stream(CLIENT)
    (request,) = named(traced.spans(), "guard.request")
    assert request.context is not None
    passed = traced.requests[0].headers
    assert passed["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"
    assert passed["tracestate"] == "vendor=1"


def test_without_tracing_the_clients_own_passes(traced: Traced) -> None:
    traced.live.gateway.tracing = None
    traced.live.stream(CLIENT)
    assert {name: traced.requests[0].headers[name] for name in CLIENT} == CLIENT
    traced.live.stream()
    assert not CLIENT.keys() & traced.requests[1].headers.keys()


@pytest.mark.parametrize(
    "given",
    ["", "00-zz-zz-01", "x" * 5000, f"00-{'0' * 32}-{PARENT}-01"],
    ids=["empty", "no hex", "long", "all zero"],
)
def test_a_traceparent_that_is_none_begins_a_trace(traced: Traced, given: str) -> None:
    traced.live.stream({"traceparent": given})
    (request,) = named(traced.spans(), "guard.request")
    assert request.parent is None


def test_a_failure_and_two_choices(traced: Traced) -> None:
    traced.live.say(answer([{"error": {"status": 503}}]))
    assert traced.live.post(stream=True).status_code == 503
    fine = [{"content": "One. Two."}, {"finish": "a reason of the upstream's"}]
    traced.live.say(answer(fine, choices=[[fine]]))
    traced.live.stream(n=2)
    spans = traced.spans(2)
    failed, good = named(spans, "guard.request")
    assert failed.status.status_code is StatusCode.ERROR
    assert about(failed)["status"] == "503"
    assert good.status.status_code is StatusCode.UNSET
    _, attempt = named(spans, "guard.attempt")
    assert about(attempt) == {"attempt": 0, "finish_reason": "other"}
    assert {about(check)["choice"] for check in named(spans, "guard.check")} == {0, 1}


def test_a_client_that_leaves(traced: Traced) -> None:
    traced.live.say(answer([{"content": "One. Two. Three"}, {"wait_ms": 30_000}]))
    with traced.live.client.stream(
        "POST", "/v1/chat/completions", json={"model": "m", "stream": True, "messages": QUESTION}
    ) as response:
        next(response.iter_bytes())
    spans = traced.spans()
    (request,) = named(spans, "guard.request")
    assert about(request)["status"] == "client_left"
    assert len(named(spans, "guard.attempt")) == 1


def test_one_that_is_not_sampled_costs_no_observer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    off = Tracing(InMemorySpanExporter())
    trace = off.begin(CLIENT, {"choices": 1}, {})
    assert not trace.sampled
    assert trace.headers["traceparent"].endswith("-00")


# Where they go


class Collector:
    """A receiver of OTLP/HTTP on loopback."""

    def __init__(self) -> None:
        self.received: list[tuple[str, ExportTraceServiceRequest]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.received.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
        thread.join()


@pytest.mark.parametrize("way", ["settings", "variable"])
def test_a_collector_gets_what_the_server_did(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        if way == "variable":
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
        changes = {"tracing": {"otlp": f"{collector.url}/"}} if way == "settings" else {}
        with serving(settings(tmp_path, [WRONG], **changes)) as live:
            live.stream()
        assert {path for path, _ in collector.received} == {"/v1/traces"}
        resources = [resource for _, sent in collector.received for resource in sent.resource_spans]
        (service,) = {a.value.string_value for r in resources for a in r.resource.attributes if a.key == "service.name"}
        assert service == {"settings": "guard", "variable": "mine"}[way]
        names = [span.name for r in resources for scope in r.scope_spans for span in scope.spans]
        assert (names.count("guard.request"), names.count("guard.attempt")) == (1, 2)
        assert names.count("guard.check") >= 3


async def test_a_collector_that_is_away_holds_up_nothing_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces", timeout=60)
        away = Tracing(exporter)
        away.begin({}, {"choices": 1}, {}).ended("200", {})
        began = time.monotonic()
        await asyncio.wait_for(away.close(), GRACE_S + 20)
        assert time.monotonic() - began < 30  # of the sixty that it would take


@pytest.mark.parametrize(
    ("otlp", "environment", "on"),
    [
        (None, {}, False),
        ("http://c:4318", {}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        (None, {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ("http://c:4318", {"OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_when_it_is_on(otlp: str | None, environment: dict[str, str], on: bool) -> None:
    assert wanted(otlp, environment) is on


def test_off_is_nothing() -> None:
    assert tracing(None) is None


APP = (
    "import sys\n"
    "from guard.server.app import create_app\nfrom guard.settings import Settings\n"
    "from guard.errors import MissingExtra\n"
    "{first}\n"
    "said = {{'models': [{{'name': 'm', 'base_url': 'http://localhost/v1'}}], 'tracing': {tracing}}}\n"
    "try: create_app(Settings.model_validate(said))\n"
    "except MissingExtra as error: print(error)\n"
    "heavy = ('opentelemetry.sdk', 'opentelemetry.exporter', 'requests')\n"  # FastAPI brings the bare interface
    "print([name for name in heavy if sys.modules.get(name)])\n"
)


@pytest.mark.parametrize(
    ("first", "otlp", "said"),
    [
        ("", {}, "[]\n"),
        (
            "sys.modules['opentelemetry.exporter'] = None",
            {"otlp": "http://localhost:4318"},
            "tracing needs 'opentelemetry.exporter.otlp': pip install 'premise-guard[tracing]', "
            "or set OTEL_SDK_DISABLED=true\n[]\n",
        ),
    ],
    ids=["off: nothing is imported", "on, without the extra"],
)
def test_what_is_imported(first: str, otlp: dict[str, str], said: str, tmp_path: Path) -> None:
    program = APP.format(first=first, tracing=otlp)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == (said, "")
