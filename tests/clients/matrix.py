"""Which clients are tried against which upstreams in which scenarios, and why some cells stay empty.

A client's entry also says what it shows its user of reasoning and of guard's events; the tests hold it to that, both
ways. Knows no server and no process.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.clients.house import CLIENTS_BIN
from tests.clients.scripts import SCENARIOS, Scenario
from tests.conftest import LLAMA_SERVER
from tests.live.conftest import ROOT

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A foreign client.

    Attributes:
        module: in `tests.clients.python`, or the argument of `node.mjs`.
        package: whose pinned version the table shows.
        note: what is said behind that.
        reasoning: it shows reasoning; otherwise that must only stay out of the content.
        events: it lets its user see the `guard` object, streamed and whole.
    """

    name: str
    module: str
    package: str
    note: str = ""
    node: bool = False
    reasoning: bool = True
    events: bool = False

    @property
    def command(self) -> list[str]:
        """What starts it."""
        if self.node:
            return ["node", str(HERE / "node.mjs"), self.module]
        return [str(CLIENTS_BIN / "python"), "-m", f"tests.clients.python.{self.module}"]

    @property
    def title(self) -> str:
        """Name, version and note."""
        return f"{self.package} {_versions(self.node)[self.package]}{self.note}"


CLIENTS = (
    Client(name="openai", module="openai_sync", package="openai", note=" (Python)", events=True),
    Client(name="openai-async", module="openai_async", package="openai", note=" (Python, async)", events=True),
    Client(name="openai-helpers", module="openai_helpers", package="openai", note=" (`.stream()`, `.parse()`)"),
    Client(name="openai-responses", module="openai_responses", package="openai", note=" (Responses API)", events=True),
    Client(name="openai-node", module="openai", package="openai", note=" (node)", node=True, events=True),
    Client(name="ai-sdk", module="ai", package="ai", note=" (Vercel AI SDK)", node=True),
    Client(name="langchain", module="langchain", package="langchain-openai", reasoning=False),
    Client(name="litellm", module="litellm_sdk", package="litellm", events=True),
    Client(name="llm", module="llm_command", package="llm", note=" (the command)", reasoning=False),
    Client(name="pydantic-ai", module="pydantic_ai_agent", package="pydantic-ai-slim"),
)

UPSTREAMS = {"scripted": "s", "litellm": "p", "transformers": "t", "llama": "l"}
"""Upstreams and their letters in the table."""

LETTERS = (
    "s: guard's `scripted` backend over HTTP, p: LiteLLM's proxy in front of that, t: `transformers serve`, l: "
    "llama.cpp's `llama-server`, both with the built-in model (t is given its --tokenizer, and streams its prompt as "
    "content, which guard passes on)"
)

_TAUGHT = "the built-in model was taught neither tools nor JSON"
_REASONS = {
    "tools": _TAUGHT,
    "structured": _TAUGHT,
    "retraction": "the built-in model answers with a name and claims nothing in its answer",
    "error": "a server in good health does not break off",
    "leaving": "the built-in model has answered before a client can leave",
}
CANNOT = {(upstream, name): reason for upstream in ("transformers", "llama") for name, reason in _REASONS.items()}
"""(upstream, scenario) -> why it cannot be tried there. It holds for every client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One thing to try."""

    client: Client
    upstream: str
    scenario: Scenario
    stream: bool

    def __str__(self) -> str:
        return f"{self.client.name}-{self.upstream}-{'stream' if self.stream else 'whole'}"

    @property
    def question(self) -> str:
        """What is asked."""
        return self.scenario.scripted if self.upstream in ("scripted", "litellm") else self.scenario.world


def cells() -> Iterator[Cell]:
    """Everything that is tried; one upstream after the other, so that the slow ones have time to load."""
    for upstream in UPSTREAMS:
        for client in CLIENTS:
            for scenario in SCENARIOS:
                if (upstream, scenario.name) not in CANNOT:
                    for stream in (True, False):
                        yield Cell(client=client, upstream=upstream, scenario=scenario, stream=stream)


def missing(cell: Cell) -> str | None:
    """What is not installed of what a cell needs, and how to get it; None if all is there."""
    if (not cell.client.node or cell.upstream == "litellm") and not (CLIENTS_BIN / "litellm").exists():
        return "the Python clients are not installed: `make clients-parts`"
    if cell.client.node and not (shutil.which("node") and (HERE / "node_modules/ai").exists()):
        return "the clients on node are not installed: node 20, npm and `make clients-parts`"
    return None


def left_out(cell: Cell) -> bool:
    """llama.cpp's server takes ten minutes of compiling: without it its cells are no tests at all."""
    return cell.upstream == "llama" and not (LLAMA_SERVER.exists() and find_spec("gguf"))


def _versions(node: bool) -> dict[str, str]:
    """Pinned versions by package."""
    if node:
        return dict(json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pins = [pin.partition("==") for pin in extras["clients"]]
    return {name.partition("[")[0]: version for name, _, version in pins}
