"""The `llm` command, configured as its documentation says: a model in `extra-openai-models.yaml` of `LLM_USER_PATH`.

It is the command itself that runs, without the two seconds that a process of its own would take to start.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
from pathlib import Path

from llm.cli import cli

from tests.clients.python.protocol import PERSON, Got, Job, die, serve

HOME = Path(os.environ["LLM_USER_PATH"])
TOOL = (
    'def weather(city: str) -> str:\n    "The weather in a city."\n    return {"Paris": "rain", "Oslo": "snow"}[city]\n'
)


def command(job: Job, *words: str) -> tuple[str, str]:
    """Run it; what it wrote to stdout and to stderr. Raises what it says where it fails."""
    entry = {"model_id": "guarded", "model_name": job["model"], "api_base": job["url"], "api_key_name": "guarded"}
    entry |= {"supports_schema": True, "supports_tools": True}
    (HOME / "extra-openai-models.yaml").write_text(json.dumps([entry]), encoding="utf-8")
    whole = () if job["stream"] else ("--no-stream",)
    asked = ["prompt", "-m", "guarded", "-o", "temperature", "0", "--no-log", *whole, *words, job["question"]]
    (HOME / "keys.json").write_text(json.dumps({"guarded": job["key"]}), encoding="utf-8")
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        cli.main(asked, standalone_mode=False)
    return out.getvalue(), told.getvalue()


def got(job: Job) -> Got:
    content, told = command(job)
    return {"content": content.removesuffix("\n"), "reasoning": told}


def tools(job: Job) -> Got:
    content, told = command(job, "--functions", TOOL, "--tools-debug")
    made = [line.removeprefix("Tool call: ") for line in told.splitlines() if line.startswith("Tool call: ")]
    pairs = [line.removesuffix(")").partition("(") for line in made]
    calls = [{"name": name, "arguments": ast.literal_eval(arguments)} for name, _, arguments in pairs]
    return {"content": content.strip(), "calls": calls}


def structured(job: Job) -> Got:
    content, _ = command(job, "--schema", json.dumps(PERSON))
    return {"content": content, "object": json.loads(content)}


def leave(job: Job) -> Got:
    return die(lambda: command(job), job["watch"])


if __name__ == "__main__":
    serve(got, tools, structured, leave)
