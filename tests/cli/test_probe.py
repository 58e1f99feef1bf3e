"""`guard probe` as a user runs it, in front of servers over loopback."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.settings import validated
from tests.backends.upstreams import Upstream, anthropic, llama, mistral, openai, running, vllm

ROOT = Path(__file__).parents[2]


async def guard(*words: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors of one command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "guard", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def told(upstream: Upstream, *words: str) -> dict[str, Any]:
    async with running(upstream):
        code, out, err = await guard("probe", upstream.url, "--json", *words)
    assert (code, err) == (0, "")
    return dict(json.loads(out))


async def test_every_dialect_is_tried_and_told() -> None:
    async with running(Upstream(llama)) as upstream:
        code, out, err = await guard("probe", upstream.url)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{upstream.url}  m"
    assert "  content    field_prefill (continue_final_message): goes on with the codes" in lines
    assert "  reasoning  field_prefill (continue_final_message): goes on with the codes" in lines
    tried = [line.split()[0] for line in lines if line.startswith("  ") and "  " in line.strip()]
    assert {"continue_final_message", "prefix", "partial", "trailing", "prefix_typed", "think_tag"} <= set(tried)
    assert "/completions     refused with 404" in lines
    assert "reasoning field  reasoning_content" in lines
    assert "usage in stream  told" in lines
    fields = f'name: "m", backend: "openai", base_url: "{upstream.url}", model: "m", prefill: "continue_final_message"'
    assert lines[-1] == "  - {" + fields + "}"


@pytest.mark.parametrize(
    ("upstream", "entry"),
    [
        (Upstream(vllm, form="reasoning"), {"prefill": "think_tag"}),
        (Upstream(mistral, form="typed"), {"prefill": "prefix_typed"}),
        (Upstream(openai, thinks=False), {"continuation": "reask"}),
        (Upstream(anthropic), {"continuation": "reask"}),
    ],
)
async def test_the_line_for_the_configuration_can_be_used(upstream: Upstream, entry: dict[str, str]) -> None:
    found = await told(upstream, "--model", "other")
    line = yaml.safe_load(found["guard_yaml"])
    assert line == [{"name": "other", "backend": "openai", "base_url": upstream.url, "model": "other"} | entry]
    assert validated({"models": line}, "it").models[0].options["model"] == "other"
    assert {body["model"] for body in upstream.trials} == {"other"}


async def test_with_a_tokenizer_but_without_completions_text_is_not_exact() -> None:
    found = await told(Upstream(llama), "--tokenizer", "guard/world/model")
    assert found["content"]["continuation"] == "field_prefill"
    assert "tokenizer" not in found["guard_yaml"]
    assert found["completions"].startswith("refused with 404")


async def one_line(*words: str, **environment: str) -> str:
    code, out, err = await guard("probe", *words, **environment)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "Traceback" not in err
    return err


async def test_what_cannot_be_examined_is_said_in_one_line() -> None:
    assert "cannot be reached" in await one_line("http://127.0.0.1:9/v1")
    assert "base_url" in await one_line("localhost:8000")
    assert "not set" in await one_line("http://127.0.0.1:9/v1", "--api-key-env", "NO_SUCH_KEY")
    assert "cannot be loaded" in await one_line("http://127.0.0.1:9/v1", "--tokenizer", "tests/no/such/folder")


@pytest.mark.parametrize("words", [(), ("--model", "m")])
async def test_a_missing_or_a_wrong_key_is_said(words: tuple[str, ...]) -> None:
    async with running(Upstream(llama, status=401)) as upstream:
        assert "--api-key-env" in await one_line(upstream.url, *words)
        wrong = await one_line(upstream.url, "--api-key-env", "UP_KEY", *words, UP_KEY="sk-secret-1234")
    assert "refuses the key in UP_KEY" in wrong
    assert "sk-secret" not in wrong


async def test_a_server_that_fails_is_said() -> None:
    async with running(Upstream(llama, status=503)) as upstream:
        assert "lists no models" in await one_line(upstream.url)
        assert "503" in await one_line(upstream.url, "--model", "m")
