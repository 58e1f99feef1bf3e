"""A whole chat through guard, with a fake Anthropic behind litellm: interrupted, retracted, a call answered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from guard.backends.litellm import LiteLLMBackend
from tests.backends.litellm_wire import CLAUDE, KEY, QUIET, TOOLS, claude
from tests.server.live import QUESTION, Live, eventually, serving, settings

pytestmark = QUIET

WAITS = 77
"""The `top_k` of a request whose answer does not end."""


class Anthropic(ThreadingHTTPServer):
    """Answers with the next reply, the last one again and again, and notes what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Messages)
        self.replies: list[list[bytes]] = []
        self.seen: list[Any] = []
        self.left = threading.Event()


class _Messages(BaseHTTPRequestHandler):
    server: Anthropic

    def do_POST(self) -> None:
        self.server.seen.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"".join(self.server.replies[min(len(self.server.seen), len(self.server.replies)) - 1]))
        if self.server.seen[-1].get("top_k") == WAITS:
            self._wait()

    def _wait(self) -> None:
        """Go on until nobody listens."""
        try:
            while True:
                self.wfile.write(b'event: ping\ndata: {"type": "ping"}\n\n')
                self.wfile.flush()
                time.sleep(0.01)
        except OSError:
            self.server.left.set()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def provider() -> Iterator[Anthropic]:
    with Anthropic() as serving_:
        threading.Thread(target=serving_.serve_forever, daemon=True).start()
        yield serving_
        serving_.shutdown()


@pytest.fixture(scope="module")
def guarded(provider: Anthropic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder: Path = tmp_path_factory.mktemp("litellm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        model = {
            "name": "m",
            "backend": "litellm",
            "model": CLAUDE,
            "api_base": f"http://127.0.0.1:{provider.server_address[1]}",
        }
        with serving(settings(folder, models=[model], timeouts={"first_token_s": 20})) as live:
            yield live


@pytest.fixture(autouse=True)
def _anew(provider: Anthropic) -> None:
    provider.seen.clear()


def test_reasoning_is_interrupted(guarded: Live, provider: Anthropic) -> None:
    before = len(guarded.interruptions())
    provider.replies = [
        claude({"thinking": "I think. It is BAD. And so on. And on."}, {"text": "It is BAD."}),
        claude({"thinking": "Right."}, {"text": "It is GOOD."}),
    ]
    heard = guarded.stream()
    assert heard.text("reasoning").startswith("I think. It is BAD. No, that is wrong. It is GOOD.")
    assert heard.text() == "It is GOOD."
    assert (heard.reason, heard.errors) == ("stop", [])
    assert [event["event"] for event in heard.events] == ["interruption"]
    assert "No, that is wrong. It is GOOD." in str(provider.seen[1]["messages"][-1])
    eventually(lambda: len(guarded.interruptions()) == before + 1)


def test_content_is_retracted_and_gone_on_with(guarded: Live, provider: Anthropic) -> None:
    provider.replies = [claude({"text": "So. It is BAD. And on."}), claude({"text": " That is all."})]
    heard = guarded.stream()
    assert heard.text() == "So. It is GOOD. That is all."
    assert [event["event"] for event in heard.events] == ["retraction"]
    last = provider.seen[1]["messages"][-1]
    assert (last["role"], last["content"][0]["text"]) == ("assistant", "So. It is GOOD.")


def test_a_call_is_answered(guarded: Live, provider: Anthropic) -> None:
    provider.replies = [
        claude({"text": "I look."}, {"tool": "f", "input": '{"q": "BAD"}'}, stop="tool_use"),
        claude({"tool": "g", "input": '{"q": "GOOD"}'}, stop="tool_use"),
    ]
    heard = guarded.stream(tools=TOOLS)
    assert [(call["name"], call["arguments"]) for call in heard.calls()] == [("g", '{"q": "GOOD"}')]
    assert (heard.reason, heard.text()) == ("tool_calls", "I look.")
    result = provider.seen[1]["messages"][-1]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "toolu_1")
    assert "Not run." in str(result["content"])


def test_an_answer_that_is_not_streamed_and_its_usage(guarded: Live, provider: Anthropic) -> None:
    provider.replies = [claude({"thinking": "Right."}, {"text": "It is GOOD."})]
    body = guarded.post().json()
    message = body["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("It is GOOD.", "Right.")
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (10, 15)


def test_a_client_that_leaves_stops_the_provider(guarded: Live, provider: Anthropic) -> None:
    provider.replies = [claude({"thinking": "I think. And so on."}, stop=None)]
    body = {"model": "m", "messages": QUESTION, "stream": True, "top_k": WAITS}
    with guarded.client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert "I" in next(response.iter_text())
    assert provider.left.wait(10)


def test_what_the_provider_does_not_know_is_the_clients_error(guarded: Live, provider: Anthropic) -> None:
    response = guarded.post(logit_bias={"1": 1})
    assert response.status_code == 400
    assert "does not support parameters" in response.json()["error"]["message"]
    assert provider.seen == []


def test_readiness_and_the_patience_that_was_set(guarded: Live) -> None:
    told = guarded.client.get("/readyz").json()["models"]["m"]
    assert told == {"ok": True, "continuation": "field_prefill", "model": CLAUDE}
    backend = guarded.gateway.models["m"].backend
    assert isinstance(backend, LiteLLMBackend)
    assert backend._options.timeouts.first_token_s == 20
