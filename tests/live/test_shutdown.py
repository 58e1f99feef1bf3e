"""Stopping a server with an answer in flight: the client is told, and nothing is a traceback."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.live.conftest import guard_server_process

pytestmark = pytest.mark.xdist_group("live")

CONFIG = """
models:
  - name: slow
    backend: scripted
    answers: [{attempts: [[{reasoning: "It begins. "}, {wait_ms: 600000}, {finish: stop}]]}]
"""


def test_an_interrupted_server_ends_its_streams_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "guard.yaml").write_text(CONFIG)
    log = tmp_path / "log"
    words = ("--config", str(tmp_path / "guard.yaml"), "--store", f"sqlite:///{tmp_path / 'guard.db'}")
    body = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "Begin."}]}
    with guard_server_process(log, *words) as (url, running):
        request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as stream:
            assert b"It begins. " in stream.readline()
            running.send_signal(signal.SIGINT)
            rest = stream.read().decode()
        running.wait(30)
    assert "the server is shutting down" in rest
    assert rest.endswith("data: [DONE]\n\n")
    assert "Traceback" not in log.read_text()
