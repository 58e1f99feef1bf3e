"""How a pod goes: the preStop hook as it was rendered, run against a server whose responses end one by one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest

from tests.deploy.charts import NAMES, container, pod


class Counting(BaseHTTPRequestHandler):
    """Says how many responses are open; one ends with each look."""

    left: ClassVar[int] = 0

    def do_GET(self) -> None:
        """What /metrics would say."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"# TYPE guard_running gauge\nguard_running {float(type(self).left)}\n".encode())
        type(self).left = max(0, type(self).left - 1)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def counting(left: int) -> Iterator[int]:
    """A server with so many open responses; yields its port."""
    Counting.left = left
    server = HTTPServer(("127.0.0.1", 0), Counting)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def drained(port: int, seconds: str) -> float:
    """How long the preStop hook takes, its first wait aside."""
    command = container("default")["lifecycle"]["preStop"]["exec"]["command"]
    assert command[:2] == ["python", "-c"]
    code = command[2].replace("127.0.0.1:8900", f"127.0.0.1:{port}").replace("min(5, ", "min(0, ")
    assert code != command[2]
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", code, seconds], check=True, timeout=120)
    return time.monotonic() - begun


def test_a_pod_waits_for_open_responses_and_no_longer_than_it_may() -> None:
    with counting(left=3) as port:
        assert drained(port, "60") >= 3
        assert Counting.left == 0
    with counting(left=10**6) as port:
        assert drained(port, "2") >= 2
        assert Counting.left > 0


def test_a_pod_whose_server_is_gone_does_not_wait() -> None:
    with counting(left=0) as port:
        pass
    drained(port, "100000")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_given_the_time_that_its_hook_takes(name: str) -> None:
    waits = int(container(name)["lifecycle"]["preStop"]["exec"]["command"][3])
    assert pod(name)["terminationGracePeriodSeconds"] >= waits + 10
