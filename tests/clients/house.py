"""The servers: four upstreams, and `guard serve` in front of each; started once, on first use, ended together.

    clients -> guard (policy `default`, the built-in world's facts) -> upstream

Upstreams: `scripted` is guard too, with its scripted backend and the policy `off`; `litellm` is LiteLLM's proxy in
front of that one; `transformers` is `transformers serve` and `llama` is llama.cpp's `llama-server`, both with the
built-in model. Knows no client and no scenario.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.scripts import ANSWERS
from tests.conftest import LLAMA_SERVER
from tests.live.conftest import MODEL, ROOT, guard_server, process, wait_for
from tests.live.gguf import write_gguf

CLIENTS_BIN = ROOT / ".venv-clients/bin"
SCRIPTED_MODEL = "m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """guard in front of an upstream: its address, and what may be asked for there."""

    url: str
    model: str

    def left(self) -> float:
        """How many clients have left."""
        lines = fetch(f"{self.url}/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("guard_client_left_total{"))

    def newest(self) -> dict[str, Any]:
        """The newest interruption on record."""
        found: list[dict[str, Any]] = json.loads(fetch(f"{self.url}/guard/api/interruptions?limit=1"))["data"]
        return found[0] if found else {"id": "", "outcome": "none"}

    def running(self) -> bool:
        """Whether a response is being written."""
        return "\nguard_running 0.0" not in fetch(f"{self.url}/metrics")


def fetch(url: str) -> str:
    """A page."""
    with urllib.request.urlopen(url, timeout=10) as page:
        return str(page.read().decode())


class House:
    """All servers of a run. `close` ends what was started.

    `key` is what clients send; the proxy asks for it, and gets it through guard.
    """

    def __init__(self, folder: Path) -> None:
        self.key = f"sk-{secrets.token_hex(32)}"
        self._folder = folder
        self._open = contextlib.ExitStack()
        self._started: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
        self._fronts: dict[str, Front] = {}

    def close(self) -> None:
        """End every server."""
        self._open.close()

    def begin(self, upstreams: Iterable[str]) -> None:
        """Start slow upstreams without waiting for them: they load while others answer."""
        for name in upstreams:
            self._begin(name)

    @property
    def scripted(self) -> Front:
        """The scripted upstream itself."""
        if "scripted upstream" not in self._fronts:
            config = {
                "models": [{"name": SCRIPTED_MODEL, "backend": "scripted", "answers": ANSWERS}],
                "policies": {"default": "off", "allowed": []},
            }
            path = self._folder / "scripted.yaml"
            path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
            url = self._guard("scripted-upstream", "--config", str(path))
            self._fronts["scripted upstream"] = Front(url=url, model=SCRIPTED_MODEL)
        return self._fronts["scripted upstream"]

    def front(self, upstream: str) -> Front:
        """guard in front of this upstream."""
        if upstream not in self._fronts:
            url = self.scripted.url if upstream == "scripted" else self._ready(upstream)
            model = MODEL if upstream == "transformers" else SCRIPTED_MODEL
            words = ["--upstream", f"{url}/v1", "--model", model, "--facts", "guard/world/facts.jsonl"]
            words += ["--tokenizer", MODEL] if upstream == "transformers" else []
            self._fronts[upstream] = Front(url=self._guard(upstream, *words), model=model)
        return self._fronts[upstream]

    def revived(self, upstream: str) -> bool:
        """Whether an upstream had crashed (by a signal: LiteLLM's proxy has a rare segmentation fault) and runs again.

        An upstream that exited by itself is not brought back.
        """
        url, running = self._started.get(upstream, ("", None))
        if running is None or (running.poll() or 0) >= 0:
            return False
        print(f"{upstream} crashed with signal {-running.returncode} and is started again")
        again = self._open.enter_context(
            process(self._command(upstream, int(url.rpartition(":")[2])), self._log(upstream))
        )
        self._started[upstream] = url, again
        self._ready(upstream)
        return True

    def _guard(self, name: str, *words: str) -> str:
        store = f"sqlite:///{self._folder / name}.db"
        server = guard_server(self._folder / f"{name}.guard.log", *words, "--store", store)
        return self._open.enter_context(server)

    def _begin(self, upstream: str) -> tuple[str, subprocess.Popen[bytes]]:
        if upstream not in self._started:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            command = self._command(upstream, port)
            running = self._open.enter_context(process(command, self._log(upstream)))
            self._started[upstream] = f"http://127.0.0.1:{port}", running
        return self._started[upstream]

    def _ready(self, upstream: str) -> str:
        url, running = self._begin(upstream)
        page = "/health/liveliness" if upstream == "litellm" else "/health"
        return wait_for(_answering(url, page), running, self._log(upstream))

    def _log(self, upstream: str) -> Path:
        return self._folder / f"{upstream}.log"

    def _command(self, upstream: str, port: int) -> list[str]:
        own = ["--host", "127.0.0.1", "--port", str(port)]
        match upstream:
            case "litellm":
                return [*self._proxy(), *own]
            case "transformers":
                return [str(Path(sys.executable).parent / "transformers"), "serve", MODEL, "--device", "cpu", *own]
            case _:
                return [str(LLAMA_SERVER), "-m", self._gguf(), "--alias", SCRIPTED_MODEL, "-t", "1", "-ngl", "0", *own]

    def _proxy(self) -> list[str]:
        upstream = {"model": f"openai/{SCRIPTED_MODEL}", "api_base": f"{self.scripted.url}/v1", "api_key": "none"}
        config = {
            "model_list": [{"model_name": SCRIPTED_MODEL, "litellm_params": upstream}],
            "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        }
        path = self._folder / "litellm.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        # Its prices come with it; they would be downloaded anew.
        settings = ["LITELLM_LOCAL_MODEL_COST_MAP=True", f"LITELLM_MASTER_KEY={self.key}"]
        return ["env", *settings, str(CLIENTS_BIN / "litellm"), "--config", str(path), "--telemetry", "False"]

    def _gguf(self) -> str:
        out = self._folder / "model.gguf"
        write_gguf(ROOT / MODEL, out)
        return str(out)


def _answering(url: str, page: str) -> Callable[[], str | None]:
    def look() -> str | None:
        try:
            fetch(url + page)
        except OSError:
            return None
        return url

    return look
