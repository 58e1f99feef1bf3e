"""Tool calls through guard, with a server behind it that reads what it is told: an invented order number is not run."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.server.live import Live, answer, policy_file, serving, settings

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
        },
    }
    for name in ("cancel_order", "track_order")
]
CHAT: list[Any] = [
    {"role": "system", "content": "You are the shop's assistant. Use the tools."},
    {"role": "user", "content": "Cancel my boots, and tell me where the lamp is, order b 2077."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": "list_orders", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_0", "content": '{"orders": [{"item": "boots", "id": "A-1034"}]}'},
]
INVENTED = [("cancel_order", '{"order_id": "A-1043"}'), ("track_order", '{"order_id": "B-2077"}')]
RIGHT = [("cancel_order", '{"order_id": "A-1034"}'), ("track_order", '{"order_id": "B-2077"}')]
TOLD = "Not run. No, the order id 'A-1043' occurs nowhere in the conversation. The order id given is A-1034."


class Upstream(ThreadingHTTPServer):
    """A model that takes a wrong number unless it has been told; writes its arguments as `cut` says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Chat)
        self.seen: list[Any] = []
        self.cut = "whole"


class _Chat(BaseHTTPRequestHandler):
    server: Upstream

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if str(body["messages"][0]["content"]).startswith("Repeat these codes"):
            self.send_error(400)
            return
        self.server.seen.append(body)
        told = any(m["role"] == "tool" and m["content"].startswith("Not run. No,") for m in body["messages"])
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for delta in self._deltas(RIGHT if told else INVENTED, f"call_{len(self.server.seen)}"):
            self._send(delta, None)
        self._send({}, "tool_calls")
        self.wfile.write(b"data: [DONE]\n\n")

    def _deltas(self, calls: list[tuple[str, str]], name: str) -> Iterator[dict[str, Any]]:
        for index, (tool, arguments) in enumerate(calls):
            head = {"index": index, "id": f"{name}_{index}", "type": "function"}
            yield {"tool_calls": [head | {"function": {"name": tool, "arguments": ""}}]}
            for part in _parts(arguments, self.server.cut):
                yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}

    def _send(self, delta: dict[str, Any], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def log_message(self, *_: object) -> None: ...


def _parts(text: str, cut: str) -> Iterator[str]:
    rng, at = random.Random(7), 0
    while at < len(text):
        size = {"whole": len(text), "one": 1}.get(cut) or rng.randint(1, 6)
        yield text[at : at + size]
        at += size


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture(scope="module")
def guarded(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("served")
    policy = policy_file(folder, "calls", checks=[{"check": "tool_arguments"}])
    url = f"http://127.0.0.1:{upstream.server_address[1]}/v1"
    model = {"name": "m", "backend": "openai", "base_url": url}
    with serving(settings(folder, models=[model], policies={"default": policy, "allowed": ["off"]})) as live:
        yield live


@pytest.fixture(params=["whole", "one", "random"])
def cut(request: pytest.FixtureRequest, upstream: Upstream) -> str:
    upstream.seen.clear()
    upstream.cut = request.param
    return upstream.cut


def calls_of(found: list[Any]) -> list[tuple[str, str]]:
    return [(call["name"], call["arguments"]) for call in found]


def test_an_invented_number_in_one_of_two_calls_is_told_and_neither_is_sent(
    guarded: Live, upstream: Upstream, cut: str
) -> None:
    response = guarded.post(messages=CHAT, tools=TOOLS)
    assert response.status_code == 200
    assert "A-1043" not in json.dumps(response.json()["choices"])
    message = response.json()["choices"][0]["message"]
    assert calls_of([call["function"] for call in message["tool_calls"]]) == RIGHT
    assert response.json()["choices"][0]["finish_reason"] == "tool_calls"
    check_told(upstream)


def test_so_it_is_when_streamed(guarded: Live, upstream: Upstream, cut: str) -> None:
    heard = guarded.stream(messages=CHAT, tools=TOOLS)
    assert calls_of(list(heard.calls())) == RIGHT
    assert (heard.reason, heard.text()) == ("tool_calls", "")
    (event,) = heard.events
    assert (event["event"], event["channel"], event["check"]) == ("retraction", "tool_calls", "tool_arguments")
    assert "A-1043" not in json.dumps([chunk["choices"] for chunk in heard.chunks])
    check_told(upstream)
    made = guarded.interruptions()[-1].interruption
    assert (made.claim.tool, made.claim.text, made.correction) == (
        "cancel_order",
        INVENTED[0][1],
        "The order id given is A-1034.",
    )


def check_told(upstream: Upstream) -> None:
    """The second request holds both calls as they were made, each with its answer."""
    first, second = upstream.seen
    assert first["messages"] == CHAT
    made, wrong, other = second["messages"][len(CHAT) :]
    assert calls_of([call["function"] for call in made["tool_calls"]]) == INVENTED
    assert (wrong["role"], wrong["content"]) == ("tool", TOLD)
    assert (other["role"], other["content"]) == ("tool", "Not run.")


def test_supplied_numbers_pass_as_they_came(guarded: Live, upstream: Upstream, cut: str) -> None:
    chat = [*CHAT[:-1], CHAT[-1] | {"content": '{"orders": [{"item": "boots", "id": "a1043"}]}'}]
    heard = guarded.stream(messages=chat, tools=TOOLS)
    assert (calls_of(list(heard.calls())), heard.events, len(upstream.seen)) == (INVENTED, [], 1)


def test_a_model_that_does_not_listen_reaches_the_limit(tmp_path: Path) -> None:
    stubborn: list[Any] = [{"tool": {"name": "cancel_order", "arguments": INVENTED[0][1]}}, {"finish": "tool_calls"}]
    policy = policy_file(tmp_path, "calls", checks=[{"check": "tool_arguments"}])
    served = settings(tmp_path, [answer(*[stubborn] * 4)], policies={"default": policy, "allowed": []})
    with serving(served) as live:
        heard = live.stream(messages=CHAT, tools=TOOLS)
    assert [event["event"] for event in heard.events][-1] == "limit"
    assert {event["check"] for event in heard.events} == {"tool_arguments"}
