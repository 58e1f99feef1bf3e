"""Real processes on loopback: `guard serve` as a user starts it, and a foreign server to put it in front of."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = "guard/world/model"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
PATIENCE_S = 180


def run_guard(*words: str) -> subprocess.CompletedProcess[str]:
    """One `guard` command, run to its end."""
    command = [sys.executable, "-m", "guard", *words]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S)


@contextlib.contextmanager
def process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that ends with the block."""
    with log.open("wb") as out:
        running = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


@contextlib.contextmanager
def guard_server_process(log: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`guard serve` on a free port; yields its address and its process."""
    command = [sys.executable, "-m", "guard", "serve", "--port", "0", *words]
    with process(command, log) as running:
        yield wait_for(lambda: _announced(log), running, log), running


@contextlib.contextmanager
def guard_server(log: Path, *words: str) -> Iterator[str]:
    """`guard serve` on a free port; yields its address."""
    with guard_server_process(log, *words) as (url, _):
        yield url


def _announced(log: Path) -> str | None:
    found = re.search(r"on (http://\S+)/v1$", log.read_text(errors="replace"), re.M)
    return found[1] if found else None


def wait_for(look, running: subprocess.Popen[bytes], log: Path) -> str:  # type: ignore[no-untyped-def]
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := look():
            return str(found)
        assert running.poll() is None, log.read_text(errors="replace")
        time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace"))


@pytest.fixture(scope="session")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """`guard serve` with nothing else configured: its address and its store's URL."""
    folder = tmp_path_factory.mktemp("built_in")
    store = f"sqlite:///{folder / 'guard.db'}"
    with guard_server(folder / "log", "--store", store) as url:
        yield url, store


@pytest.fixture(scope="session")
def transformers_serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`transformers serve` on the tiny model: a server that is not ours."""
    log = tmp_path_factory.mktemp("serve") / "log"
    port = 18731
    command = [str(Path(sys.executable).parent / "transformers"), "serve", MODEL]
    with process([*command, "--device", "cpu", "--port", str(port)], log) as running:
        yield wait_for(lambda: answers(f"http://127.0.0.1:{port}"), running, log)


def answers(url: str) -> str | None:
    """The address, once a server there calls itself well."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return url
    except OSError:
        return None
