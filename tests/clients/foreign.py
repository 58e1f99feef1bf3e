"""A client in a process of its own, spoken with as `tests/clients/python/protocol.py` says."""

from __future__ import annotations

import json
import selectors
import subprocess
from pathlib import Path
from typing import Any

from tests.live.conftest import ENVIRONMENT, ROOT

PATIENCE_S = 90
"""More than a client's own: that one names the client's error."""


class Foreign:
    """One client; it loads while others are asked."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        # Prices come with litellm, which would download them anew; `llm` keeps its configuration in a folder.
        home = log.with_suffix(".home")
        home.mkdir()
        environment = {**ENVIRONMENT, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LLM_USER_PATH": str(home)}
        with log.open("wb") as told:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told
            )

    def ask(self, **job: Any) -> dict[str, Any]:
        """Give it a job; what it got."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if ready.select(PATIENCE_S) else b""
        assert line, f"the client said nothing: {self._log.read_text(errors='replace')[-2000:]}"
        return dict(json.loads(line))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
