"""A client that goes away: the upstream is let go, the supervisor too, and what happened is on record."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from tests.server.live import QUESTION, Live, answer, eventually

SLOW: list[dict[str, Any]] = [{"wait_ms": 30_000}, {"content": "Never."}, {"finish": "stop"}]


def _connect(live: Live, stream: bool) -> socket.socket:
    host, _, port = live.url.removeprefix("http://").partition(":")
    body = json.dumps({"model": "m", "messages": QUESTION, "stream": stream}).encode()
    client = socket.create_connection((host, int(port)), timeout=5)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n"
    client.sendall(f"{head}content-type: application/json\r\n\r\n".encode() + body)
    return client


def _gone(live: Live, left: float) -> None:
    """Within a second nothing of the response is left."""
    eventually(lambda: live.backend.open_turns == 0, 1)
    eventually(lambda: live.gateway.metrics.running._value.get() == 0, 1)
    assert live.metric("guard_client_left_total", model="m", policy="test") == left + 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "said",
    [
        SLOW,
        [{"content": "One. Two"}, *SLOW],
        [{"reasoning": "One. Two"}, *SLOW],
        [{"content": "Call."}, {"tool": {"name": "f"}}, *SLOW],
    ],
    ids=["before the first text", "in the answer", "in the reasoning", "behind a tool call"],
)
def test_the_upstream_is_let_go_within_a_second(live: Live, stream: bool, said: list[dict[str, Any]]) -> None:
    live.say(answer(said))
    left = live.metric("guard_client_left_total", model="m", policy="test")
    client = _connect(live, stream)
    eventually(lambda: live.backend.open_turns == 1)
    time.sleep(0.05)  # so that the text has been read
    client.close()
    _gone(live, left)


def test_a_partial_record_is_written(live: Live) -> None:
    live.say(answer([{"reasoning": "One. BAD two. Three."}], [{"reasoning": " Then"}, *SLOW]))
    before = {record.provenance.session for record in live.sessions()}
    left = live.metric("guard_client_left_total", model="m", policy="test")
    client = _connect(live, True)
    got = b""
    while b" Then" not in got:
        got += client.recv(4096)
    client.close()
    _gone(live, left)
    (record,) = eventually(lambda: [s for s in live.sessions() if s.provenance.session not in before])
    (choice,) = record.choices
    assert choice.client_left
    assert choice.finish_reason is None
    assert choice.text["reasoning"] == "One. BAD two. No, that is wrong. It is GOOD. Then"
    made = live.interruptions()[-1]
    assert made.provenance.session == record.provenance.session
    assert made.closing is not None
    assert made.closing.outcome == "abandoned"


def test_a_client_that_never_sends_its_body_starts_nothing(live: Live) -> None:
    host, _, port = live.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: 10\r\n\r\n123".encode())
    assert live.client.get("/healthz").status_code == 200
    assert live.backend.open_turns == 0


def test_a_client_that_does_not_read_stops_the_upstream(live: Live) -> None:
    """More text than the sockets between can hold: the script is not played to its end until it is read."""
    live.say(answer([{"content": "word. " * 4_000_000}, {"finish": "stop"}], cut=60_000))
    before = live.metric("guard_response_seconds_count", model="m", policy="off")
    host, _, port = live.url.removeprefix("http://").partition(":")
    body = json.dumps({"model": "m@off", "messages": QUESTION, "stream": True}).encode()
    client = socket.socket()
    client.settimeout(5)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    time.sleep(0.3)
    stuck = live.backend.open_turns
    client.close()
    assert stuck == 1
    eventually(lambda: live.backend.open_turns == 0, 2)
    assert live.metric("guard_response_seconds_count", model="m", policy="off") == before + 1
