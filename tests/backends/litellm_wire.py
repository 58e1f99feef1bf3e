"""The wire formats of providers as their fakes speak them: Anthropic's messages, Gemini's stream, OpenAI's chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.backends.litellm import LiteLLMOptions, plugin

CLAUDE, CLAUDE_NEW, GEMINI, PLAIN = (
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-opus-4-6",
    "gemini/gemini-2.5-pro",
    "openai/some-model",
)
KEY = "sk-ant-secret-1"

QUIET = [
    # litellm walks over the attributes of pydantic models, and touches two that are deprecated on instances.
    pytest.mark.filterwarnings(r"ignore:Accessing the 'model_\w+' attribute on the instance:DeprecationWarning"),
    # Its types for responses qualify fields in a way that pydantic reads but does not enforce.
    pytest.mark.filterwarnings(r"ignore:Items? '?\w+.*TypedDict class '\w+' .*ReadOnly:UserWarning"),
]

TOOLS = [
    {"type": "function", "function": {"name": n, "parameters": {"type": "object", "properties": {}}}} for n in "fg"
]


def _named(event: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode())


def _block(index: int, start: dict[str, Any], deltas: Iterable[dict[str, Any]], whole: bool) -> list[bytes]:
    events: list[dict[str, Any]] = [{"type": "content_block_start", "index": index, "content_block": start}]
    events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    if whole:
        events.append({"type": "content_block_stop", "index": index})
    return [_named(event) for event in events]


def claude(
    *blocks: dict[str, Any], stop: str | None = "end_turn", cut: int = 4, whole: bool = True, error: str = ""
) -> list[bytes]:
    """A stream of the messages API, an event a part.

    Blocks are `{"thinking": text}`, `{"text": text}` and `{"tool": name, "input": json}`, said `cut` characters at a
    time. Without `stop` the stream ends where the last block does; `error` is a type that is reported in its place.
    """
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude", "usage": usage}
    parts = [_named({"type": "message_start", "message": message}), _named({"type": "ping"})]
    for index, block in enumerate(blocks):
        if "tool" in block:
            start = {"type": "tool_use", "id": f"toolu_{index}", "name": block["tool"], "input": {}}
            said = [{"type": "input_json_delta", "partial_json": piece} for piece in _cut(block["input"], cut)]
        elif "thinking" in block:
            start = {"type": "thinking", "thinking": "", "signature": ""}
            said = [{"type": "thinking_delta", "thinking": piece} for piece in _cut(block["thinking"], cut)]
            said.append({"type": "signature_delta", "signature": f"signed-{index}"})
        else:
            start = {"type": "text", "text": ""}
            said = [{"type": "text_delta", "text": piece} for piece in _cut(block["text"], cut)]
        parts += _block(index, start, said, whole)
    if error:
        parts.append(_named({"type": "error", "error": {"type": error, "message": "Overloaded"}}))
    elif stop is not None:
        delta = {"stop_reason": stop, "stop_sequence": None}
        parts.append(_named({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 15}}))
        parts.append(_named({"type": "message_stop"}))
    return parts


def gemini(*parts: dict[str, Any], finish: str | None = "STOP") -> list[bytes]:
    """A stream of `streamGenerateContent`, one part a chunk."""
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    chunks: list[dict[str, Any]] = []
    for at, part in enumerate(parts):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if finish is not None and at == len(parts) - 1:
            candidate["finishReason"] = finish
        chunks.append({"candidates": [candidate], "usageMetadata": usage, "responseId": "r"})
    return [b"data: %s\r\n\r\n" % json.dumps(chunk).encode() for chunk in chunks]


def plain(*deltas: dict[str, Any], finish: str | None = "stop", done: bool = True) -> list[bytes]:
    """OpenAI's chunks."""
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    if finish is not None:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        chunks.append({"choices": [], "usage": usage})
    parts = [b"data: %s\n\n" % json.dumps({"id": "u", "created": 1, "model": "m"} | chunk).encode() for chunk in chunks]
    return [*parts, b"data: [DONE]\n\n"] if done else parts


def _cut(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


async def made(url: str, model: str = CLAUDE, **options: Any) -> Any:
    """A started backend in front of a fake provider."""
    base = url.removesuffix("/v1") if model.startswith("anthropic") else url
    backend = plugin(LiteLLMOptions.model_validate({"model": model, "api_base": base} | options))
    await backend.start()
    return backend


def ask(n: int = 1, **body: Any) -> ChatRequest:
    """A request; `headers` are the client's."""
    headers = body.pop("headers", {})
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]} | body
    return ChatRequest(body=body, headers=headers, n=n, id="chatcmpl-1", created=1)
