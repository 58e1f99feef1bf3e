"""Every example is run as its README says, and must print what its README shows.

The server is `guard serve` with the words of the README, on a free port and with a log of its own. What another
installation is needed for (LangChain, node) is left out where that is missing, not skipped: continuous integration has
both.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
import yaml

from guard.cli import app as cli
from guard.evaluation.cases import check_file
from guard.settings import read_settings
from tests.live.conftest import ENVIRONMENT, ROOT, guard_server, run_guard
from tests.server.live import answer, serving, settings

pytestmark = pytest.mark.xdist_group("examples")
EXAMPLES = ROOT / "examples"
CLIENTS_PYTHON = ROOT / ".venv-clients/bin/python"
NODE_MODULES = ROOT / "tests/clients/node_modules"
DEFAULT_URL = "http://127.0.0.1:8900/v1"
SCRIPTED = ("agent", "langchain", "rag", "vercel-ai-sdk")
CONFIGURED = (*SCRIPTED, "ollama", "vllm")
RUN = [
    "agent",
    "chat",
    "rag",
    *(["langchain"] if CLIENTS_PYTHON.exists() else []),
    *(["vercel-ai-sdk"] if (NODE_MODULES / "ai").is_dir() and shutil.which("node") else []),
]
Address = Callable[[str], str]


def readme(name: str) -> str:
    return (EXAMPLES / name / "README.md").read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", readme(name), re.M | re.S)


def shown(name: str) -> tuple[str, str]:
    """The command that a README tells to type, and what it says is then printed."""
    command, _, printed = blocks(name, "console")[0].partition("\n")
    return command.removeprefix("$ "), printed


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Starts an example's server when it is first asked for; gives what goes into GUARD_URL."""
    folder = tmp_path_factory.mktemp("examples")
    started: dict[str, str] = {}
    with contextlib.ExitStack() as servers:

        def start(name: str) -> str:
            if name not in started:
                words = blocks(name, "sh")[0].split()
                assert words[:2] == [".venv/bin/guard", "serve"]
                store = f"sqlite:///{folder / name}.db"
                server = guard_server(folder / f"{name}.log", *words[2:], "--store", store)
                started[name] = f"{servers.enter_context(server)}/v1"
            return started[name]

        yield start


def typed(name: str, folder: Path) -> str:
    """The README's command with this machine's interpreters; node finds its packages beside the script."""
    command = shown(name)[0]
    if name == "vercel-ai-sdk":
        shutil.copy(EXAMPLES / name / "chat.mjs", folder)
        (folder / "node_modules").symlink_to(NODE_MODULES)
        command = command.replace(f"examples/{name}/chat.mjs", str(folder / "chat.mjs"))
    python = CLIENTS_PYTHON if name == "langchain" else sys.executable
    return command.replace(".venv/bin/python", str(python))


def run(name: str, folder: Path, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**ENVIRONMENT, "GUARD_URL": url, **environment}
    command = typed(name, folder)
    return subprocess.run(command, shell=True, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def regular(text: str, url: str = DEFAULT_URL) -> str:
    """Without what may differ: the address, and the city that the built-in model makes up on this machine."""
    text = text.replace(url, DEFAULT_URL)
    for city in re.findall(r"\[-Ada Velm was born in (\w+)\.-\]", text):
        text = text.replace(city, "CITY")
    return text


@pytest.mark.parametrize("name", RUN)
def test_an_example_prints_what_its_readme_shows(name: str, address: Address, tmp_path: Path) -> None:
    url = address(name)
    ran = run(name, tmp_path, url)
    assert ran.returncode == 0, ran.stderr
    assert regular(ran.stdout, url).strip() == regular(shown(name)[1]).strip()


@pytest.mark.parametrize("name", RUN)
def test_an_example_that_gets_no_answer_fails_and_says_why(name: str, address: Address, tmp_path: Path) -> None:
    ran = run(name, tmp_path, address(name), GUARD_MODEL="nobody")
    assert ran.returncode == 1
    assert "'nobody' does not exist" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_table_names_every_example() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/README.md")}
    assert folders == {path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    rows = re.findall(r"^\| \[`([\w-]+)`\]\(([\w-]+)/\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.M)
    assert {name for name, _ in rows} == {target for _, target in rows} == folders


@pytest.mark.parametrize("name", ["chat", *CONFIGURED])
def test_a_readme_names_only_commands_and_files_that_exist(name: str) -> None:
    verbs = {command.name or command.callback.__name__ for command in cli.registered_commands if command.callback}
    verbs |= {group.name or "" for group in cli.registered_groups}
    lines = "".join(blocks(name, "sh")).splitlines() + re.findall(r"`([^`\n]+)`", readme(name))
    said = [match[1] for line in lines if (match := re.match(r"(?:\.venv/bin/)?guard (\w+)", line))]
    assert {"serve"} <= set(said) <= verbs
    for path in re.findall(r"\bexamples/[\w./-]+", readme(name)):
        assert (ROOT / path).exists(), path


def test_the_configurations_and_policies_of_all_examples_are_valid() -> None:
    files = [str(path.relative_to(ROOT)) for path in sorted(EXAMPLES.glob("*/*.yaml")) if path.stem != "script"]
    assert {Path(file).parent.name for file in files if file.endswith("guard.yaml")} == set(CONFIGURED)
    checked = run_guard("check", *files)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(": ok") == len(files)


@pytest.mark.parametrize("name", SCRIPTED)
def test_two_lines_put_a_real_model_in_the_scripts_place(name: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns("node_modules"))
    config = tmp_path / name / "guard.yaml"
    text = config.read_text(encoding="utf-8")
    lines = blocks(name, "yaml")[-1].splitlines()
    for number, line in enumerate(lines, 1):
        text, count = re.subn(rf"^.*# \({number}\)$", line, text, flags=re.M)
        assert count == 1
    assert len(lines) == 2
    config.write_text(text, encoding="utf-8")
    assert [entry.backend for entry in read_settings(config).models] == ["openai"]
    assert not list(check_file(str(config), print))


def test_the_facts_are_those_of_the_documents() -> None:
    command = [sys.executable, "examples/rag/documents.py"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert written == (EXAMPLES / "rag/facts.jsonl").read_text(encoding="utf-8")
    assert sum("subject" in json.loads(line) for line in written.splitlines()) == 6


def test_the_pinned_npm_packages_are_those_that_are_tried() -> None:
    example, tried = (
        json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
        for folder in (EXAMPLES / "vercel-ai-sdk", NODE_MODULES.parent)
    )
    assert example.items() <= tried.items()


def test_the_chat_shows_what_was_replaced_and_what_was_only_doubted(tmp_path: Path) -> None:
    limits = {"cooldown_segments": 0, "max_per_response": 1}
    said = answer([{"content": "One. BAD two. Three. BAD four. Five."}, {"finish": "stop"}], cut=1)
    made = settings(tmp_path, [said])
    policy = yaml.safe_load((tmp_path / "test.yaml").read_text()) | {"interrupt": limits}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(policy))
    with serving(made) as live:
        ran = run("chat", tmp_path, f"{live.url}/v1", GUARD_MODEL="m")
    assert ran.returncode == 0, ran.stderr
    assert "content: One.[+ It is GOOD.+] Three." in ran.stdout
    assert "(retraction in the content, by phrase)" in ran.stdout
    assert "(limit in the content, by phrase)" in ran.stdout


def test_in_a_terminal_the_claim_is_struck_through(address: Address) -> None:
    controller, terminal = pty.openpty()
    env = {**ENVIRONMENT, "GUARD_URL": address("chat"), "TERM": "xterm-256color", "COLUMNS": "200"}
    question = "What is the birth country of Ada Velm?\n"
    command = [sys.executable, "examples/chat/chat.py"]
    with os.fdopen(controller, "rb") as screen:
        running = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=terminal, text=True)
        os.close(terminal)
        assert running.stdin is not None
        with running.stdin as keys:
            keys.write(question)
        seen = read_all(screen.fileno()).decode()
        assert running.wait(60) == 0
    assert re.search(r"\x1b\[9;31mAda Velm was born in \w+\.\x1b\[0m", seen)
    assert re.search(r"\x1b\[32m No, Ada Velm was not born in \w+\. Ada Velm was born in Velwick\.\x1b\[0m", seen)


def read_all(terminal: int) -> bytes:
    """What is written to a terminal until its last writer is gone, which Linux reports as an error."""
    seen = b""
    with contextlib.suppress(OSError):
        while some := os.read(terminal, 65536):
            seen += some
    return seen


@pytest.mark.parametrize(("name", "model"), [("ollama", "qwen3:8b"), ("vllm", "qwen3")])
def test_a_server_of_yours_is_asked_if_there_is_one(name: str, model: str, tmp_path: Path) -> None:
    """With OLLAMA_URL or VLLM_URL (up to and including /v1) one question goes through the folder's configuration."""
    (address,) = {entry.options["base_url"] for entry in read_settings(EXAMPLES / name / "guard.yaml").models}
    assert address.endswith("/v1")
    assert model in readme(name)
    if not (url := os.environ.get(f"{name.upper()}_URL")):
        return
    config = tmp_path / "guard.yaml"
    config.write_text((EXAMPLES / name / "guard.yaml").read_text(encoding="utf-8").replace(address, url))
    store = f"sqlite:///{tmp_path / 'guard.db'}"
    with guard_server(tmp_path / "log", "--config", str(config), "--store", store) as served:
        client = openai.OpenAI(base_url=f"{served}/v1", api_key="unused", max_retries=0)
        asked = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hello."}])
    assert asked.choices[0].message.content
