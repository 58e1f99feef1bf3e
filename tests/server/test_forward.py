"""Routes that guard does not serve pass byte for byte; and which upstream answers for which name."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.server.http import Responder
from guard.settings import Settings, validated
from tests.server.live import Live, answer, eventually, policy_file, serving, settings


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """A server that says what it is told and notes what it got. `parts`: the body, one write each."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/octet-stream"})
    parts: list[bytes] = field(default_factory=lambda: [b"\x00\xffanswer"])
    length: int | None = None
    hold: threading.Event = field(default_factory=threading.Event)
    seen: list[Seen] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            upstream.seen.append(Seen(self.command, self.path, headers, body))
            self.send_response_only(upstream.status)
            length = sum(map(len, upstream.parts)) if upstream.length is None else upstream.length
            for name, value in {**upstream.headers, "content-length": str(length)}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for part in upstream.parts:
                    self.wfile.write(part)
                    self.wfile.flush()
                if upstream.length is not None and upstream.length > sum(map(len, upstream.parts)):
                    upstream.left.set() if not self.connection.recv(1) else None
            except OSError:
                upstream.left.set()
            self.close_connection = True

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def one(folder: Path, url: str, **changes: Any) -> Settings:
    model = {"name": "m", "backend": "openai", "base_url": url, "timeouts": {"connect_s": 1, "first_token_s": 5}}
    return settings(folder, models=[model | changes.pop("model", {})], **changes)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH"])
def test_request_and_answer_pass_byte_for_byte(tmp_path: Path, upstream: Upstream, method: str) -> None:
    upstream.status = 418
    upstream.headers |= {"x-request-id": "r1", "x-odd": "\u00e9", "set-cookie": "a=b", "content-encoding": "gzip"}
    upstream.parts = [gzip.compress(b"some bytes")]
    with serving(one(tmp_path, upstream.url)) as live:
        sent = b'{"b": 1,  "model":"m", "input":"\\u00e9"}'
        request = live.client.build_request(
            method,
            "/v1/embeddings?x=a%20b&y=%2F",
            content=sent,
            headers={"content-type": "application/json", "x-a": "1"},
        )
        response = live.client.send(request, stream=True)
        raw = b"".join(response.iter_raw())
    (seen,) = upstream.seen
    assert (seen.method, seen.path, seen.body) == (method, "/v1/embeddings?x=a%20b&y=%2F", sent)
    assert (seen.headers["x-a"], seen.headers["content-type"]) == ("1", "application/json")
    assert seen.headers["accept-encoding"] == request.headers["accept-encoding"]
    assert (response.status_code, raw) == (418, upstream.parts[0])
    assert (response.headers["x-request-id"], response.headers["content-encoding"]) == ("r1", "gzip")
    assert "set-cookie" not in response.headers


def test_paths_keep_their_encoding_and_cannot_leave_the_base(tmp_path: Path, upstream: Upstream) -> None:
    with serving(one(tmp_path, upstream.url)) as live:
        live.client.get("/v1/files/file%20one%2Ftwo/content")
        assert upstream.seen[-1].path == "/v1/files/file%20one%2Ftwo/content"
        for path in (
            *("/v1/%2e%2e/admin", "/v1/files/..%2f..%2fadmin", "/v1//admin", "/v1/files/%2e/x"),
            *("/v1/%252e%252e/admin", "/v1/%25252e%25252e%25252fadmin", "/v1/..;/admin", "/v1/..;x=1/admin"),
        ):
            response = live.client.send(live.client.build_request("GET", f"{live.url}{path}"))
            assert response.status_code == 404, path
        assert len(upstream.seen) == 1


def test_a_form_names_its_model_too(tmp_path: Path, upstream: Upstream) -> None:
    changes = {"name": "ears", "model": "whisper-9"}
    with serving(one(tmp_path, upstream.url, model=changes)) as live:
        file = ("a.wav", b"\x00\x01\r\nRIFF", "audio/wav")
        live.client.post("/v1/audio/transcriptions", data={"model": "ears"}, files={"file": file})
    (seen,) = upstream.seen
    assert b'name="model"\r\n\r\nwhisper-9\r\n' in seen.body
    assert b"\x00\x01\r\nRIFF" in seen.body
    assert int(seen.headers["content-length"]) == len(seen.body)


def test_a_body_changes_only_in_what_is_guards(tmp_path: Path, upstream: Upstream) -> None:
    with serving(one(tmp_path, upstream.url, model={"model": "theirs"})) as live:
        live.client.post("/v1/embeddings", json={"model": "m@off", "input": "x", "guard": {"policy": "off"}})
    assert json.loads(upstream.seen[0].body) == {"model": "theirs", "input": "x"}


@pytest.mark.parametrize(
    ("route", "counted"), [("images/generations", True), ("embeddings", False), ("audio/speech", True), ("zzz", True)]
)
def test_what_generates_unseen_is_counted_and_refused_where_nothing_may(
    tmp_path: Path, upstream: Upstream, route: str, counted: bool
) -> None:
    closed = policy_file(tmp_path, "closed", on_unscanned="stop")
    made = one(tmp_path, upstream.url, policies={"default": policy_file(tmp_path), "allowed": [closed, "off"]})
    with serving(made) as live:
        assert live.client.post(f"/v1/{route}", json={"model": "m"}).status_code == 200
        assert live.metric("guard_unscanned_total", check="*", why="route") == counted
        assert live.client.post(f"/v1/{route}", json={"model": "m@off"}).status_code == 200
        assert live.metric("guard_unscanned_total", check="*", why="route") == counted
        refused = live.client.post(f"/v1/{route}", json={"model": "m@closed"})
        assert refused.status_code == (403 if counted else 200)
        label = "other" if route == "zzz" else route
        assert live.metric("guard_forwarded_total", model="m", route=label, status="200") == 2 + (not counted)


def test_raw_completions_that_no_session_can_follow_pass_and_are_counted(tmp_path: Path, upstream: Upstream) -> None:
    with serving(one(tmp_path, upstream.url)) as live:
        for body in ({"prompt": [1, 2]}, {"prompt": "a", "suffix": "b"}, {"prompt": "a", "best_of": 2}):
            response = live.client.post("/v1/completions", json={"model": "m"} | body)
            assert response.content == b"".join(upstream.parts)
            assert json.loads(upstream.seen[-1].body) == {"model": "m"} | body
        assert live.metric("guard_unscanned_total", check="*", why="route") == 3


@pytest.mark.parametrize(("status", "seen_by_client"), [(200, 200), (404, 400), (405, 400), (429, 429)])
def test_kept_responses_are_the_upstreams_or_nobodys(
    tmp_path: Path, upstream: Upstream, status: int, seen_by_client: int
) -> None:
    upstream.status = status
    body = {"model": "m", "input": "?", "previous_response_id": "resp_1"}
    with serving(one(tmp_path, upstream.url)) as live:
        response = live.client.post("/v1/responses", json=body)
        assert response.status_code == seen_by_client
        if status == seen_by_client:
            assert response.content == b"".join(upstream.parts)
        else:
            assert response.json()["error"]["param"] == "previous_response_id"
        assert live.metric("guard_unscanned_total", check="*", why="route") == 1
        live.client.get("/v1/responses/resp_1")
    assert [(seen.method, seen.path) for seen in upstream.seen] == [
        ("POST", "/v1/responses"),
        ("GET", "/v1/responses/resp_1"),
    ]
    assert json.loads(upstream.seen[0].body) == body


def test_an_answer_that_breaks_off_breaks_off_here(
    tmp_path: Path, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.length, upstream.parts = 100, [b"half"]

    with serving(one(tmp_path, upstream.url, model={"timeouts": {"idle_s": 0.2}})) as live:
        with pytest.raises(Exception, match=r"incomplete|peer closed"):
            live.client.get("/v1/files/f/content")
        eventually(lambda: live.metric("guard_forwarded_total", model="m", route="files", status="504"))
    assert all(record.exc_info is None for record in caplog.records)


def test_a_client_that_leaves_takes_the_upstream_with_it(tmp_path: Path, upstream: Upstream) -> None:
    upstream.length, upstream.parts = 100, [b"half"]
    with serving(one(tmp_path, upstream.url)) as live:
        with live.client.stream("GET", "/v1/files/f/content") as response:
            assert next(response.iter_raw()) == b"half"
        assert upstream.left.wait(5)
        eventually(lambda: live.metric("guard_forwarded_total", model="m", route="files", status="client_left"))


def test_redirects_and_dead_servers_are_errors(tmp_path: Path, upstream: Upstream) -> None:
    upstream.status, upstream.headers = 307, {"location": "http://127.0.0.1:9/steal"}
    with serving(one(tmp_path, upstream.url)) as live:
        response = live.client.post("/v1/embeddings", json={"model": "m"})
        assert (response.status_code, "steal" in response.text) == (502, False)
    with serving(one(tmp_path, "http://127.0.0.1:9/v1")) as live:
        assert live.client.post("/v1/embeddings", json={"model": "m"}).status_code == 502


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "CONNECT", "PROPFIND"])
def test_other_methods_stay_here(tmp_path: Path, upstream: Upstream, method: str) -> None:
    with serving(one(tmp_path, upstream.url)) as live:
        assert live.client.request(method, "/v1/embeddings").status_code in (404, 405)
    assert upstream.seen == []


def test_what_a_browser_may_do_is_guards_to_say(tmp_path: Path, upstream: Upstream) -> None:
    told = {"access-control-allow-origin": "*", "x-accel-redirect": "/etc", "content-type": "text/plain", "x-kept": "1"}
    upstream.headers = told
    with serving(one(tmp_path, upstream.url, server={"cors": ["http://good.example"]})) as live:
        response = live.client.get("/v1/files/f", headers={"origin": "http://evil.example"})
    assert {"access-control-allow-origin", "x-accel-redirect"} & set(response.headers) == set()
    assert response.headers["x-kept"] == "1"


def test_behind_guards_own_key_only_what_computes_is_reached(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UP_KEY", "upstream-secret-1")
    keyed = {"api_key_env": "UP_KEY"}
    with serving(one(tmp_path, upstream.url, model=keyed)) as live:
        headers = {"openai-organization": "theirs"}
        assert live.client.post("/v1/embeddings", json={"model": "m"}, headers=headers).status_code == 200
        for method, path in (("DELETE", "models/m"), ("GET", "files"), ("POST", "batches"), ("GET", "responses/r")):
            response = live.client.request(method, f"/v1/{path}")
            assert (response.status_code, response.json()["error"]["code"]) == (403, "not_forwarded"), path
    assert [seen.path for seen in upstream.seen] == ["/v1/embeddings"]
    assert "openai-organization" not in upstream.seen[0].headers
    with serving(one(tmp_path, upstream.url, model=keyed, server={"forward": "all"})) as live:
        assert live.client.get("/v1/files").status_code == 200


def test_an_error_that_repeats_a_secret_does_not_here(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UP_KEY", "upstream-secret-1")
    upstream.status, upstream.parts = 401, [b"bad key: Bearer upstream-", b"secret-1 at /v1/embeddings"]
    with serving(one(tmp_path, upstream.url, model={"api_key_env": "UP_KEY"})) as live:
        response = live.client.post("/v1/embeddings", json={"model": "m"})
    assert response.status_code == 401
    assert "upstream-secret-1" not in response.text
    assert response.text.endswith("at /v1/embeddings")


def test_what_is_not_modified_is_no_redirect(tmp_path: Path, upstream: Upstream) -> None:
    upstream.status, upstream.parts = 304, []
    with serving(one(tmp_path, upstream.url)) as live:
        assert live.client.get("/v1/files/f", headers={"if-none-match": "x"}).status_code == 304


def test_a_file_that_is_named_model_names_none(tmp_path: Path, upstream: Upstream) -> None:
    with serving(one(tmp_path, upstream.url, model={"model": "theirs"})) as live:
        file = ("model", b"LINE ONE\r\nLINE TWO", "text/plain")
        live.client.post("/v1/files", files={"file": file}, data={"purpose": "x"})
    assert b"LINE ONE\r\nLINE TWO" in upstream.seen[0].body


@pytest.mark.parametrize("kind", ["text/json", "application/json; charset=utf-8", "application/vnd.x+json"])
def test_a_body_is_read_whatever_it_is_called(tmp_path: Path, upstream: Upstream, kind: str) -> None:
    with serving(one(tmp_path, upstream.url, model={"model": "theirs"})) as live:
        sent = b'{"model": "m", "guard": {}}'
        live.client.post("/v1/embeddings", content=sent, headers={"content-type": kind})
        assert json.loads(upstream.seen[0].body) == {"model": "theirs"}
        assert live.client.post("/v1/embeddings", content=b'{"model": "nope"}').status_code == 404
        live.client.post("/v1/embeddings", content=b'{"model": "\xff"}')
    assert upstream.seen[1].body == b'{"model": "\xff"}'


def test_a_response_that_is_not_there_is_the_upstreams_to_say(tmp_path: Path, upstream: Upstream) -> None:
    upstream.status, upstream.parts = 404, [b'{"error": {"message": "Response with id resp_1 not found"}}']
    with serving(one(tmp_path, upstream.url)) as live:
        body = {"model": "m", "input": "?", "previous_response_id": "resp_1"}
        response = live.client.post("/v1/responses", json=body)
    assert (response.status_code, response.content) == (404, b"".join(upstream.parts))


def test_forwarding_can_be_switched_off(tmp_path: Path, upstream: Upstream) -> None:
    with serving(one(tmp_path, upstream.url, server={"forward": "none"})) as live:
        assert live.client.post("/v1/embeddings", json={"model": "m"}).status_code == 404
    assert upstream.seen == []


def test_client_keys_stay_here_and_guards_own_key_goes(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UP_KEY", "upstream-secret-1")
    (tmp_path / "keys").write_text("client-key-one\n")
    made = one(tmp_path, upstream.url, model={"api_key_env": "UP_KEY"}, server={"client_keys_file": tmp_path / "keys"})
    with serving(made) as live:
        assert live.client.post("/v1/embeddings", json={"model": "m"}).status_code == 401
        headers = {"authorization": "Bearer client-key-one", "cookie": "a=b", "x-guard-policy": "off"}
        assert live.client.post("/v1/embeddings", json={"model": "m"}, headers=headers).status_code == 200
    (seen,) = upstream.seen
    assert seen.headers["authorization"] == "Bearer upstream-secret-1"
    assert not {"cookie", "x-guard-policy"} & seen.headers.keys()


# Names


def scripted(name: str, **more: Any) -> dict[str, Any]:
    said = answer([{"content": f"I am {name}."}, {"finish": "stop"}])
    return {"name": name, "backend": "scripted", "answers": [said], **more}


def says(live: Live, model: str) -> str:
    response = live.post(model=model)
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def test_names_aliases_and_the_default(tmp_path: Path) -> None:
    models = [scripted("m", aliases=["gpt-4o", "org/m"], policy="observe"), scripted("small")]
    with serving(settings(tmp_path, models=models, default_model="small")) as live:
        assert [says(live, name) for name in ("m", "gpt-4o", "org/m")] == ["I am m."] * 3
        assert [says(live, name) for name in ("small", "anything", "anything@off")] == ["I am small."] * 3
        listed = [entry["id"] for entry in live.client.get("/v1/models").json()["data"]]
        assert listed == ["m", "gpt-4o", "org/m", "small"]
        assert live.client.get("/v1/models/org/m").json()["id"] == "org/m"
        assert live.client.get("/v1/models/nope").status_code == 404
        assert live.metric("guard_requests_total", model="m", policy="observe", status="200") == 3


def test_a_policy_that_one_model_has_is_not_every_models(tmp_path: Path) -> None:
    models = [scripted("m"), scripted("b", policy="off")]
    policies = {"default": policy_file(tmp_path), "allowed": ["observe"]}
    with serving(settings(tmp_path, models=models, policies=policies)) as live:
        assert [says(live, name) for name in ("b", "b@off", "b@observe", "m@test")]
        for name in ("m@off", "m@strict", "b@strict"):
            refused = live.post(model=name)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "policy_not_found"), name


def test_an_alias_is_not_told_to_the_upstream_and_any_name_is_where_all_are_taken(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.headers = {"content-type": "text/event-stream"}
    upstream.parts = [b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n']
    known = {"name": "m", "aliases": ["other"], "backend": "openai", "base_url": upstream.url}
    anything = {"name": "*", "backend": "openai", "base_url": upstream.url}
    with serving(settings(tmp_path, models=[known, anything])) as live:
        for asked in ("m", "other", "Qwen/Any", "Qwen/Any@off"):
            assert live.post(model=asked).status_code == 200
        told = [json.loads(seen.body)["model"] for seen in upstream.seen]
        assert told == ["m", "m", "Qwen/Any", "Qwen/Any"]
        assert live.metric("guard_requests_total", model="*", policy="off", status="200") == 1
        upstream.headers = {"content-type": "application/json"}
        upstream.parts = [
            json.dumps({"data": [{"id": "Qwen/Any", "max_model_len": 9}, {"id": "m"}, {"id": ["x"]}, {}]}).encode()
        ]
        listed = live.client.get("/v1/models").json()["data"]
        assert [entry["id"] for entry in listed] == ["m", "other", "Qwen/Any"]
        assert live.client.get("/v1/models/Qwen/Any").json()["max_model_len"] == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": [scripted("m"), scripted("n", aliases=["m"])]}, "named twice"),
        ({"models": [scripted("m", aliases=["a@b"])]}, "a@b"),
        ({"default_model": "nope"}, "default_model 'nope' is none of the models: m"),
    ],
)
def test_names_that_contradict_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validated({"models": [scripted("m")]} | changes, "here")


async def test_a_server_that_goes_down_writes_nothing_into_a_download() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        raise asyncio.CancelledError

    responder = Responder(send)
    with pytest.raises(asyncio.CancelledError):
        await responder.verbatim(200, [("content-type", "audio/mpeg")], half())
    await responder.give_up("the server is shutting down")
    assert [message.get("body") for message in sent[1:]] == [b"half"]
    assert sent[-1]["more_body"]  # without an end: the client can tell that it is not whole
