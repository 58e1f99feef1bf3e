"""A real server on loopback in a thread of its own, and what a plain client reads from it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml

from guard.backends.scripted import Answer, ScriptedBackend
from guard.core.records import InterruptionRecord, SessionRecord
from guard.server.app import create_app
from guard.server.gateway import Gateway
from guard.settings import Settings

BAD = {"text": "BAD", "reason": "that is wrong.", "correction": "It is GOOD.", "subject": "it"}
QUESTION: list[Any] = [{"role": "user", "content": "What is it?"}]


def policy_file(folder: Path, name: str = "test", **fields: Any) -> str:
    """A policy that flags BAD: reasoning immediate + interrupt, content and tool calls checked + retract."""
    document = {
        "name": name,
        "watch": {
            "reasoning": {"release": "immediate", "correct": "interrupt"},
            "content": {"release": "checked", "correct": "retract"},
            "tool_calls": {"release": "checked", "correct": "retract"},
        },
        "checks": [{"check": "phrase", "phrases": [BAD]}],
        "interrupt": {"cooldown_segments": 0},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document | fields), encoding="utf-8")
    return str(path)


def answer(*attempts: Sequence[Mapping[str, Any]], when: str = "", cut: int = 0, choices: Any = ()) -> dict[str, Any]:
    """One scripted answer."""
    return {"when": when, "cut": cut, "attempts": [list(a) for a in attempts], "choices": choices}


def settings(folder: Path, answers: Sequence[Any] = (), **changes: Any) -> Settings:
    """One scripted model `m`, the test policy as default, a store of its own."""
    base: dict[str, Any] = {
        "models": [{"name": "m", "backend": "scripted", "answers": list(answers) or [answer([{"content": "Hello."}])]}],
        "policies": {"default": policy_file(folder), "allowed": ["off", "observe", "strict"]},
        "store": {"url": f"sqlite:///{folder / 'guard.db'}"},
    }
    return Settings.model_validate(base | changes)


@dataclass
class Live:
    """A running server."""

    url: str
    gateway: Gateway
    client: httpx.Client

    @property
    def backend(self) -> ScriptedBackend:
        backend = self.gateway.models["m"].backend
        assert isinstance(backend, ScriptedBackend)
        return backend

    def say(self, *answers: Mapping[str, Any]) -> None:
        """From now on the model says this."""
        self.backend._answers = tuple(Answer.model_validate(a) for a in answers)

    def post(self, headers: Mapping[str, str] | None = None, /, **body: Any) -> httpx.Response:
        """A chat request."""
        body = {"model": "m", "messages": QUESTION} | body
        return self.client.post("/v1/chat/completions", json=body, headers=headers)

    def stream(self, headers: Mapping[str, str] | None = None, /, **body: Any) -> Heard:
        """A streamed chat request, read to its end."""
        response = self.post(headers, stream=True, **body)
        assert response.status_code == 200, response.text
        return Heard(response.content)

    def interruptions(self) -> list[InterruptionRecord]:
        """All interruptions on record, oldest first."""
        return list(self.gateway.store.iter_interruptions())

    def sessions(self) -> list[SessionRecord]:
        """All sessions on record, oldest first."""
        return list(self.gateway.store.iter_sessions())

    def metric(self, name: str, **labels: str) -> float:
        """A sample's value, 0 where there is none."""
        return self.gateway.metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def serving(settings: Settings) -> Iterator[Live]:
    """Serve these settings on a free port."""
    app = create_app(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        client.get("/healthz")
        try:
            yield Live(url, app.state.gateway, client)
        finally:
            server.should_exit = True
            thread.join(10)
            listening.close()


def eventually(found: Callable[[], Any], seconds: float = 5) -> Any:
    """What `found` returns once it is true; what is done behind a response's end takes a moment."""
    until = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < until:
        time.sleep(0.005)
    assert value
    return value


def frames(raw: bytes) -> list[str]:
    """The `data` of every server-sent event; anything but data lines and comments is a mistake."""
    text = raw.decode("utf-8")
    assert text.endswith("\n\n")
    out = []
    for event in text.removesuffix("\n\n").split("\n\n"):
        lines = [line for line in event.split("\n") if not line.startswith(":")]
        assert all(line.startswith("data: ") for line in lines), event
        if lines:
            out.append("\n".join(line.removeprefix("data: ") for line in lines))
    return out


class Heard:
    """A stream as a plain OpenAI client reads it; that it is well formed is asserted on the way."""

    def __init__(self, raw: bytes) -> None:
        *data, done = frames(raw)
        assert done == "[DONE]"
        self.chunks: list[dict[str, Any]] = [json.loads(item) for item in data]
        self.errors = [chunk["error"] for chunk in self.chunks if "error" in chunk]
        self.events = [chunk["guard"] for chunk in self.chunks if chunk.get("guard")]
        self.usage = next((c["usage"] for c in self.chunks if c.get("usage")), None)
        self.ids = {chunk["id"] for chunk in self.chunks if "id" in chunk}
        self._messages: dict[int, dict[str, Any]] = {}
        self.roles: dict[int, int] = {}
        self.reasons: dict[int, list[str]] = {}
        for chunk in self.chunks:
            for choice in chunk.get("choices", ()):
                self._take(choice)

    def _take(self, choice: Mapping[str, Any]) -> None:
        index, delta = choice["index"], choice["delta"]
        assert not (self.reasons.get(index) and delta), "text behind the finish"
        message = self._messages.setdefault(index, {})
        self.roles[index] = self.roles.get(index, 0) + ("role" in delta)
        for name in ("content", "reasoning_content"):
            if delta.get(name) is not None:
                message[name] = message.get(name, "") + delta[name]
        for call in delta.get("tool_calls") or ():
            calls = message.setdefault("tool_calls", {})
            entry = calls.setdefault(call["index"], {"id": "", "name": "", "arguments": ""})
            entry["id"] = entry["id"] or call.get("id", "")
            entry["name"] += call["function"].get("name", "")
            entry["arguments"] += call["function"].get("arguments", "")
        if choice.get("finish_reason") is not None:
            self.reasons.setdefault(index, []).append(choice["finish_reason"])

    @property
    def reason(self) -> str:
        """Why choice 0 finished; it did so once."""
        (only,) = self.reasons[0]
        return only

    def text(self, channel: str = "content", choice: int = 0) -> str:
        """The text of a channel."""
        name = "reasoning_content" if channel == "reasoning" else channel
        return str(self._messages.get(choice, {}).get(name, ""))

    def calls(self, choice: int = 0) -> list[dict[str, str]]:
        """The tool calls."""
        return list(self._messages.get(choice, {}).get("tool_calls", {}).values())
