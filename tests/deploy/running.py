"""A live `guard serve` in front of a scripted upstream, and the programs that the files of deploy/ are for."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.conftest import ROOT, guard_server
from tests.server.live import answer, policy_file

DEPLOY = ROOT / "deploy"
SAID = answer(
    [{"reasoning": "It is BAD. It is nice."}, {"content": "Nice."}, {"finish": "stop"}],
    [{"reasoning": " It is nice."}, {"content": "Good."}, {"finish": "stop"}],
)


def program(name: str, package: str) -> str:
    """A program's path; without it the test is skipped, saying how to have it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {package}")
    return found


def read(path: Path) -> Any:
    """A YAML file of one document."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def written(path: Path, document: Any) -> Path:
    """A YAML file."""
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def upstream_config(folder: Path) -> Path:
    """A guard.yaml of a server that says what it is told and watches nothing."""
    model = {"name": "m", "backend": "scripted", "answers": [SAID]}
    store = {"url": f"sqlite:///{folder / 'upstream.db'}"}
    settings = {"models": [model], "policies": {"default": "off", "allowed": ["off"]}, "store": store}
    return written(folder / "upstream.yaml", settings)


def front_config(folder: Path, upstream: str, store: str) -> Path:
    """A guard.yaml of a server before that, whose policy interrupts BAD."""
    return written(
        folder / "guard.yaml",
        {
            "models": [{"name": "m", "base_url": f"{upstream}/v1"}],
            "policies": {"default": policy_file(folder), "allowed": []},
            "store": {"url": store},
        },
    )


@contextlib.contextmanager
def scripted_upstream(folder: Path) -> Iterator[str]:
    """The scripted upstream's address."""
    with guard_server(folder / "upstream.log", "--config", str(upstream_config(folder))) as url:
        yield url


@contextlib.contextmanager
def answered(folder: Path) -> Iterator[str]:
    """The address of a server that has answered a streamed chat with an interruption in it."""
    with scripted_upstream(folder) as upstream:
        config = front_config(folder, upstream, f"sqlite:///{folder / 'guard.db'}")
        with guard_server(folder / "log", "--config", str(config)) as url:
            assert "interruption" in events(chat(url))
            yield url


def get(url: str, timeout: float = 60) -> str:
    """What a GET answers. Raises OSError."""
    with urllib.request.urlopen(url, timeout=timeout) as reply:
        return str(reply.read().decode())


def chat(url: str, headers: Mapping[str, str] | None = None) -> str:
    """A streamed chat, as it came."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "What is it?"}]}
    asked = urllib.request.Request(
        f"{url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json", **(headers or {})},
    )
    with urllib.request.urlopen(asked, timeout=60) as reply:
        return str(reply.read().decode())


def events(stream: str) -> list[str]:
    """The kinds of guard's events in a stream."""
    frames = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: {")]
    found = [json.loads(frame).get("guard") for frame in frames]
    return [event["event"] for event in found if event]


def samples(exposition: str) -> set[str]:
    """The names that PromQL may use: a counter's and a gauge's own, a histogram's three."""
    kinds = re.findall(r"^# TYPE (\S+) (\w+)$", exposition, re.M)
    suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
    return {f"{name}{suffix}" for name, kind in kinds for suffix in suffixes.get(kind, ("",))}


def named(expression: str) -> set[str]:
    """guard's metrics in an expression."""
    return set(re.findall(r"\bguard_\w+", expression))


def unprivileged() -> list[str]:
    """What goes before a command to run it as the images' user; nothing where this is no root's process."""
    if os.geteuid() != 0:
        return []
    user = [program("setpriv", "apt-get install util-linux"), "--reuid=10001", "--regid=10001", "--clear-groups"]
    return [*user, "--no-new-privs"]
