"""What is configured for the litellm backend: keys, readiness, connections, quiet."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guard.backends.litellm import LiteLLMOptions, plugin
from guard.errors import ConfigError, MissingExtra, RequestError, UpstreamError
from tests.backends.litellm_wire import (
    CLAUDE,
    CLAUDE_NEW,
    KEY,
    PLAIN,
    QUIET,
    ask,
    claude,
    made,
    plain,
)
from tests.backends.test_openai_server import Server, answer, chunked, collect
from tests.backends.test_openai_server import server as server

pytestmark = QUIET


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)


async def get(server: Server, model: str = CLAUDE, n: int = 1, **options: Any) -> list[Any]:
    body = options.pop("body", {})
    backend = await made(server.url, model, **options)
    try:
        return await collect(backend.begin(ask(n, **body)).attempt(0))
    finally:
        await backend.close()


async def test_keys(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies = [chunked(*claude({"text": "a"}))]
    monkeypatch.setenv("MINE", "sk-ant-mine-22")
    client = {"headers": {"authorization": "Bearer sk-client-333"}}
    for options in ({}, {"api_key_env": "MINE"}, {"client_key": True}):
        await get(server, body=client, **options)
    assert [headers["x-api-key"] for _, headers, _ in server.seen] == [KEY, "sk-ant-mine-22", "sk-client-333"]
    assert not any("authorization" in headers for _, headers, _ in server.seen)
    server.seen.clear()
    server.replies = [chunked(*plain({"content": "a"}))]
    for options in ({}, {"client_key": True}):
        await get(server, PLAIN, body=client, **options)
    assert [h["authorization"] for _, h, _ in server.seen] == [f"Bearer {KEY}", "Bearer sk-client-333"]


async def test_readiness_says_what_is_missing_and_asks_nobody(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = await made(server.url)
    assert await backend.ready() == {"ok": True, "continuation": "field_prefill", "model": CLAUDE}
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert (await backend.ready())["missing"] == ["ANTHROPIC_API_KEY"]
    assert backend.count("four" * 3) == 3
    await backend.close()
    await backend.close()
    new = await made(server.url, CLAUDE_NEW)
    assert (await new.ready())["continuation"] == "reask"
    await new.close()
    assert not server.connections
    assert not (await plugin(LiteLLMOptions(model=CLAUDE)).ready())["ok"]


async def test_what_cannot_be_configured() -> None:
    with pytest.raises(ConfigError, match="provider"):
        await made("http://127.0.0.1:9", "no-such-provider/model")
    with pytest.raises(ConfigError, match="NOT_SET"):
        await made("http://127.0.0.1:9", api_key_env="NOT_SET")
    for wrong in ({"api_base": "ftp://h"}, {"api_base": "http://me:sk-pass@h"}, {"extra": {"api_key": "sk-x"}}):
        with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
            LiteLLMOptions.model_validate({"model": CLAUDE} | wrong)
        assert "sk-" not in str(caught.value)
    shown = LiteLLMOptions.model_validate({"model": CLAUDE, "extra": {"aws_secret_access_key": "sk-deep"}})
    assert "sk-" not in repr(shown)


async def test_a_raw_completion_is_refused(server: Server) -> None:
    backend = await made(server.url)
    request = ask()
    with pytest.raises(RequestError, match="chat only"):
        backend.begin(type(request)(body={"model": "m", "prompt": "Once"}, prompt="Once"))
    await backend.close()


async def test_without_litellm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(MissingExtra, match=r"premise-guard\[hosted\]"):
        await plugin(LiteLLMOptions(model=CLAUDE)).start()


def test_litellm_is_quiet_and_loaded_only_at_the_start(tmp_path: Path) -> None:
    program = """
import sys, socket, asyncio, logging
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
logging.getLogger("asyncio").setLevel(logging.WARNING)
from guard.backends.litellm import plugin, LiteLLMOptions
backend = plugin(LiteLLMOptions(model="anthropic/claude-sonnet-4-5", api_base="http://127.0.0.1:9"))
assert not {"litellm", "openai", "httpx"} & set(sys.modules), "loaded too early"
connect = socket.socket.connect
def refuse(self, address):
    assert address[0] == "127.0.0.1", f"it called {address}"
    return connect(self, address)
socket.socket.connect = refuse
from guard.backends import ChatRequest
from guard.errors import UpstreamError
async def main():
    await backend.start()
    body = {"messages": [{"role": "user", "content": "a private matter"}]}
    try:
        await anext(backend.begin(ChatRequest(body=body)).attempt(0))
    except UpstreamError as error:
        assert "cannot be reached" in str(error), error
    else:
        assert False
    await backend.close()
asyncio.run(main())
"""
    environment = {"ANTHROPIC_API_KEY": KEY, "PATH": ""}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=100, cwd=tmp_path, env=environment
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.parametrize(
    "model",
    "anthropic/m azure_ai/mistral-large bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0 databricks/m deepseek/m"
    " fireworks_ai/m gemini/m groq/m hosted_vllm/m mistral/m ollama/m ollama_chat/m openrouter/m together_ai/m xai/m"
    " openai/m custom_openai/m".split(),
)
async def test_these_providers_are_asked_over_guards_own_connections(server: Server, model: str) -> None:
    server.replies = [answer(b"", "307 Elsewhere", extra=f"location: {server.url}/elsewhere\r\n")]
    extra = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "aws_region_name": "us-east-1"}
    options: dict[str, Any] = {"extra": extra} if model.startswith("bedrock") else {}
    with pytest.raises(UpstreamError, match=r"redirects \(307\)"):
        await get(server, model, api_key_env="OPENAI_API_KEY", **options)
    assert len(server.seen) == 1
