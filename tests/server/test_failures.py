"""What a client gets when it or the upstream is wrong: an OpenAI error, the right status, and nothing in the log."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from guard.settings import Settings
from tests.server.live import QUESTION, Heard, Live, answer, eventually, policy_file, serving, settings


@pytest.fixture(autouse=True)
def nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
    assert all(record.exc_info is None for record in caplog.records)


def error_of(response: httpx.Response) -> dict[str, Any]:
    body = response.json()
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in response.text
    return error


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, None),
        (b'{"model": "m", "messages": []}', 400, "invalid_value"),
        (b'{"model": "m", "messages": [{"role": "user"}], "n": "2"}', 400, "invalid_value"),
        (b'{"model": "nope", "messages": [{"role": "user"}]}', 404, "model_not_found"),
        (b'{"model": "@test", "messages": [{"role": "user"}]}', 404, "model_not_found"),
        (b'{"model": "m@nope", "messages": [{"role": "user"}]}', 400, "policy_not_found"),
        (
            b'{"model": "m", "messages": [{"role": "user"}], "guard": {"policy": "/etc/passwd"}}',
            400,
            "policy_not_found",
        ),
    ],
)
def test_a_bad_request(live: Live, body: bytes, status: int, code: str | None) -> None:
    response = live.client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status
    error = error_of(response)
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


def test_unknown_routes_and_methods(live: Live) -> None:
    for path in ("/v1/nope", "/v1/chat/completions"):  # no server behind the scripted model could know them
        response = live.client.get(path)
        assert response.status_code == 404
        assert error_of(response)["code"] == "not_found"
    response = live.client.delete("/healthz")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET"
    assert error_of(response)["code"] == "405"


def test_a_large_body_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    with serving(settings(tmp_path, server={"max_body_mb": 12})) as live:
        assert live.post(messages=[{"role": "user", "content": "x" * 10_000_000}]).status_code == 502  # no finish
        response = live.post(messages=[{"role": "user", "content": "x" * 13_000_000}])
        assert response.status_code == 413
        assert error_of(response)["code"] == "body_too_large"

        def endless() -> Iterator[bytes]:
            for _ in range(13):
                yield b"x" * 2**20

        response = live.client.post("/v1/chat/completions", content=endless())
        assert response.status_code == 413
        assert live.post().status_code == 502  # the server is well


def test_an_http_error_of_the_upstream_keeps_its_status_and_body(live: Live) -> None:
    body = '{"error": {"message": "slow down", "code": "rate"}, "theirs": 1}'
    for stream in (False, True):
        live.say(answer([{"error": {"status": 429, "message": "slow down", "body": body}}]))
        response = live.post(stream=stream)
        assert (response.status_code, response.text) == (429, body)
        live.say(answer([{"wait_ms": 1}, {"error": {"status": 503, "message": "down"}}]))
        response = live.post(stream=stream)
        assert response.status_code == 503
        assert error_of(response)["type"] == "upstream_error"


def test_an_upstream_that_stops_in_the_middle(live: Live) -> None:
    live.say(
        answer(
            [{"reasoning": "One. BAD two. Three."}, {"content": "Half an"}],
            [{"content": "Half. An"}, {"disconnect": True}],
        )
    )
    heard = live.stream()
    assert heard.text() == "Half. An"  # it was judged
    (error,) = heard.errors
    assert (error["type"], error["code"]) == ("upstream_error", "502")
    assert heard.reasons == {}
    response = live.post()
    assert response.status_code == 502
    assert "error" in response.json()
    assert [event["event"] for event in response.json()["guard"]] == ["interruption"]
    session = response.json()["guard"][0]["id"].rpartition(".")[0].rpartition(".")[0]
    record = eventually(lambda: live.gateway.store.database.session(session))
    assert record.choices[0].error == "the scripted upstream closed the connection"
    (made,) = [r for r in live.interruptions() if r.provenance.session == session]
    assert made.closing is not None
    assert made.closing.outcome == "abandoned"


def test_an_upstream_that_never_finishes_its_answer(live: Live) -> None:
    live.say(answer([{"content": "Half an"}]))
    assert [error["code"] for error in live.stream().errors] == ["502"]
    assert live.post().status_code == 502


def test_a_script_without_an_answer_is_the_clients_error(live: Live) -> None:
    live.say(answer([{"finish": "stop"}], when="never asked"))
    response = live.post()
    assert response.status_code == 400
    assert error_of(response)["param"] == "messages"


def test_a_stopped_record_is_an_error_and_no_text_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    strict = policy_file(tmp_path, "durable", record={"on_store_error": "stop"})
    said = answer([{"reasoning": "One. BAD two. Three."}, {"finish": "stop"}])
    made = settings(tmp_path, [said], policies={"default": strict, "allowed": []})
    with serving(made) as live:
        database = live.gateway.store.database
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database, "add_interruption", _full)
            heard = live.stream()
            assert heard.text("reasoning").startswith("One. BAD two.")
            assert "disk full" in heard.errors[0]["message"]
            assert live.post().status_code == 500
        assert live.metric("guard_store_errors_total", record="interruption") == 2
    caplog.clear()  # these are the operator's to see


def _full(*_: object) -> None:
    from guard.errors import StoreError

    raise StoreError("disk full")


def test_a_bug_is_an_openai_error_too(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.backend, "begin", lambda request: 1 / 0)
        response = live.post()
    assert response.status_code == 500
    error = error_of(response)
    assert error["type"] == "server_error"
    assert "division" not in error["message"]
    _logged_once(caplog)


def test_a_bug_in_the_middle_of_a_stream_ends_it_with_an_error(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    live.say(answer([{"content": "One. Two. Three."}, {"finish": "stop"}]))

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(live.backend.begin(_asked())), "_events", broken)
        response = live.post(stream=True)
    live.backend.open_turns = 0
    assert response.status_code == 502
    assert error_of(response)["message"] == "the backend failed: ZeroDivisionError"
    _logged_once(caplog)


def _logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A bug is what a traceback is for."""
    eventually(lambda: [record for record in caplog.records if record.exc_info])
    assert len(caplog.records) == 1
    caplog.clear()


def _asked() -> Any:
    from guard.backends import ChatRequest

    return ChatRequest(body={"messages": QUESTION})


# A real upstream


class _Handler(BaseHTTPRequestHandler):
    reply: tuple[int, dict[str, str], bytes] = (200, {}, b"")
    seen: ClassVar[list[tuple[dict[str, str], Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append(({k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
        status, headers, data = self.reply
        self.send_response(status)
        for name, value in {"content-length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[tuple[str, type[_Handler]]]:
    handler = type("Handler", (_Handler,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", handler
    server.shutdown()
    server.server_close()
    thread.join()


def through(folder: Path, url: str, **server: Any) -> Settings:
    model = {"name": "m", "backend": "openai", "base_url": url, "timeouts": {"connect_s": 1, "first_token_s": 3}}
    return settings(folder, models=[model], server=server)


STREAM = (
    b'data: {"id":"up-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"id":"up-1","choices":[{"index":0,"delta":{"content":"Hello you."}}],"new_field":1}\n\n'
    b'data: {"id":"up-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
EVENTS = {"content-type": "text/event-stream"}


def test_a_dead_upstream_is_a_502(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with serving(through(tmp_path, f"http://127.0.0.1:{port}/v1")) as live:
            for stream in (False, True):
                response = live.post(stream=stream)
                assert response.status_code == 502
                assert error_of(response)["type"] == "upstream_error"
            ready = live.client.get("/readyz")
            assert ready.status_code == 503
            assert live.client.get("/healthz").status_code == 200
            assert live.metric("guard_requests_total", model="m", policy="test", status="502") == 2


def test_what_the_upstream_refuses_arrives_as_it_said_it(tmp_path: Path, upstream: tuple[str, type[_Handler]]) -> None:
    url, handler = upstream
    body = b'{"error":{"message":"no such thing","type":"theirs"},"trace":"x"}'
    kept = {"x-ratelimit-remaining-requests": "0", "retry-after": "7", "x-request-id": "r1"}
    handler.reply = (
        422,
        {**kept, "content-type": "application/json", "server-timing": "dropped", "set-cookie": "a=b"},
        body,
    )
    with serving(through(tmp_path, url)) as live:
        for stream in (False, True):
            response = live.post(stream=stream)
            assert (response.status_code, response.content) == (422, body)
            assert {name: response.headers[name] for name in kept} == kept
            assert "set-cookie" not in response.headers


def test_a_real_upstream_is_asked_what_the_client_asked(tmp_path: Path, upstream: tuple[str, type[_Handler]]) -> None:
    url, handler = upstream
    handler.reply = (200, {**EVENTS, "x-request-id": "r2", "x-ratelimit-limit-tokens": "9"}, STREAM)
    with serving(through(tmp_path, url)) as live:
        guard = {"policy": "test", "evidence": "A fact."}
        response = live.post({"authorization": "Bearer theirs-secret"}, stream=True, top_k=5, guard=guard)
    assert response.headers["x-request-id"] == "r2"
    assert response.headers["x-ratelimit-limit-tokens"] == "9"
    heard = Heard(response.content)
    assert (heard.text(), heard.reason, heard.roles) == ("Hello you.", "stop", {0: 1})
    assert "up-1" in heard.ids
    assert any(chunk.get("new_field") == 1 for chunk in heard.chunks)
    (headers, body), *_ = handler.seen
    assert headers["authorization"] == "Bearer theirs-secret"
    assert not [name for name in headers if name.startswith("x-guard")]
    assert (body["model"], body["top_k"], body["messages"]) == ("m", 5, QUESTION)
    assert "guard" not in body


def test_the_id_is_one_over_all_attempts(tmp_path: Path, upstream: tuple[str, type[_Handler]]) -> None:
    url, handler = upstream
    bad = STREAM.replace(b"Hello you.", b"One. BAD two. Three.").replace(b'"content":"One', b'"reasoning_content":"One')
    handler.reply = (200, EVENTS, bad)
    with serving(through(tmp_path, url)) as live:
        heard = live.stream()
    assert len(handler.seen) > 1
    assert heard.ids == {"up-1"}
    assert heard.roles == {0: 1}
    assert heard.events[0]["event"] == "interruption"


def test_client_keys_are_guards_own(
    tmp_path: Path, upstream: tuple[str, type[_Handler]], caplog: pytest.LogCaptureFixture
) -> None:
    url, handler = upstream
    handler.reply = (200, EVENTS, STREAM.replace(b"Hello you.", b"One. BAD two. Three."))
    (tmp_path / "keys").write_text("# ours\nclient-key-one\n\nclient-key-two\n")
    with serving(through(tmp_path, url, client_keys_file=tmp_path / "keys")) as live:
        for header in (None, "client-key-one", "Bearer", "Bearer wrong", "Basic client-key-one", "Bearer client-key"):
            response = live.post({"authorization": header} if header else {})
            assert response.status_code == 401
            error = error_of(response)
            assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
            assert live.client.get("/v1/models", headers={"authorization": header} if header else {}).status_code == 401
        assert handler.seen == []
        for key in ("Bearer client-key-one", "bearer client-key-two"):
            assert live.post({"authorization": key}).status_code == 200
            assert live.client.get("/v1/models", headers={"authorization": key}).status_code == 200
        assert handler.seen
        assert all("authorization" not in headers for headers, _ in handler.seen)
        told = live.client.get("/metrics").text + caplog.text + repr(live.interruptions()) + repr(live.sessions())
        assert "client-key" not in told
    assert b"client-key" not in (tmp_path / "guard.db").read_bytes()
