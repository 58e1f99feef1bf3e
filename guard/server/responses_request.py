"""A client's Responses request as a chat request, and what its Response repeats of it.

Pure. Knows both shapes, neither how they are served nor whether an upstream has Responses of its own. Rules:
  Guard keeps no responses: `store` goes nowhere, nor does `metadata`, which chat takes only with it.
  What chat has under another name is translated; what is about the response alone stays here; the rest passes.
  null is as good as absent: chat refuses it in places where Responses takes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from guard.errors import RequestError
from guard.server.request import ChatCall, OpenBody, read_document, short, understand, validated
from guard.server.responses_items import messages, unfinished
from guard.server.responses_tools import tools

_UPSTREAM_STATE = ("previous_response_id", "conversation", "prompt", "background", "context_management")
_ITEMS = ("message", "reasoning", "function_call", "function_call_output")
_LOGPROBS = "message.output_text.logprobs"
_OWN = {
    *("input", "instructions", "include", "text", "reasoning", "tools", "tool_choice", "parallel_tool_calls"),
    *("max_output_tokens", "max_tool_calls", "metadata", "store", "truncation", "stream_options", "top_logprobs", "n"),
    *_UPSTREAM_STATE,
}
"""Fields of the request that chat does not get as they are."""

_REPEATED = ("max_output_tokens", "max_tool_calls", "temperature", "top_p", "user", "safety_identifier")


class _Format(OpenBody):
    type: Annotated[str, Field(min_length=1)]


class _Schema(OpenBody):
    name: str
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class _Text(OpenBody):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(OpenBody):
    effort: str | None = None


class _Body(OpenBody):
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tool_calls: int | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[str] | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    stream_options: dict[str, Any] | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesCall:
    """A Responses request, understood.

    Attributes:
        chat: what upstream is asked, as a chat request.
        echo: the settings that a Response repeats.
    """

    chat: ChatCall
    echo: Mapping[str, Any]


def parse_responses(raw: bytes, headers: Mapping[str, str] | None = None) -> ResponsesCall:
    """Understand a request body. `headers` have lower-case names. Raises RequestError."""
    document = read_document(raw)
    if why := needs_native(document):
        raise RequestError(
            f"{why}: only an upstream with Responses of its own can do that", param=why.partition(" ")[0]
        )
    body = validated(_Body, document)
    chat = understand(_chat(document, body), headers)
    if chat.prefix and not unfinished(document["input"][-1]):
        chat = replace(chat, prefix={})  # chat has no status: here only an item that bears one is gone on from
    return ResponsesCall(chat=chat, echo=_echo(document, body))


def needs_native(document: Mapping[str, Any]) -> str | None:
    """What of a request only an upstream's own `/responses` can do: the field, and in brackets what it asks; or None.

    The document need not be valid.
    """
    return next(_native(document), None)


def _native(document: Mapping[str, Any]) -> Iterator[str]:
    yield from (name for name in _UPSTREAM_STATE if document.get(name))
    for place, tool in _dicts(document.get("tools"), "tools"):
        yield from _unless(place, tool.get("type"), ("function",))
    yield from _native_choice(document.get("tool_choice"))
    for place, item in _dicts(document.get("input"), "input"):
        yield from _native_item(item, place)


def _native_choice(choice: Any) -> Iterator[str]:
    for place, tool in [("tool_choice", choice), *_dicts(_get(choice, "tools"), "tool_choice.tools")]:
        yield from _unless(place, _get(tool, "type"), ("function", "allowed_tools"))


def _native_item(item: Mapping[str, Any], place: str) -> Iterator[str]:
    kind = item.get("type") or ("item_reference" if "id" in item and "role" not in item else "message")
    yield from _unless(place, kind, _ITEMS)
    if kind == "reasoning" and item.get("encrypted_content"):
        yield f"{place} (encrypted reasoning)"
    for name in ("content", "output"):
        for where, part in _dicts(item.get(name), f"{place}.{name}"):
            if part.get("type") == "input_image" and part.get("file_id") and not part.get("image_url"):
                yield f"{where} (an image by its file_id)"
            if part.get("type") == "input_file" and part.get("file_url"):
                yield f"{where} (a file by its file_url)"


def _unless(place: str, kind: Any, known: Sequence[str]) -> Iterator[str]:
    if isinstance(kind, str) and kind not in known:
        yield f"{place} ({short(kind)[1:-1]})"


def _dicts(values: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, value in enumerate(values if isinstance(values, list) else ()):
        if isinstance(value, dict):
            yield f"{place}.{number}", value


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _chat(document: Mapping[str, Any], body: _Body) -> dict[str, Any]:
    """The chat request that asks the same."""
    passed = {name: value for name, value in document.items() if value is not None and name not in _OWN}
    return passed | _conversation(document, body) | tools(document) | _output(document, body)


def _conversation(document: Mapping[str, Any], body: _Body) -> dict[str, Any]:
    asked = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else messages(document["input"])
    if not asked:
        raise RequestError("input: says nothing", param="input", code="invalid_value")
    first = [{"role": "system", "content": body.instructions}] if body.instructions else []
    return {"messages": first + asked}


def _output(document: Mapping[str, Any], body: _Body) -> dict[str, Any]:
    """How the answer is to be: length, format, effort, log-probabilities."""
    text = body.text or _Text()
    asked: dict[str, Any] = {}
    # Every server reads `max_tokens`, except OpenAI for its reasoning models, which says so. Ollama,
    # llama-cpp-python and older llama.cpp pass over `max_completion_tokens` in silence: the answer has no limit.
    asked["max_tokens"] = body.max_output_tokens
    asked["reasoning_effort"] = body.reasoning.effort if body.reasoning else None
    asked["verbosity"] = text.verbosity
    if text.format and text.format.type != "text":
        asked["response_format"] = _format(document["text"]["format"])
    if _LOGPROBS in (body.include or ()):
        asked |= {"logprobs": True, "top_logprobs": body.top_logprobs}
    options = {name: value for name, value in (body.stream_options or {}).items() if name != "include_obfuscation"}
    asked["stream_options"] = options or None
    return {name: value for name, value in asked.items() if value is not None}


def _format(format_: Mapping[str, Any]) -> Mapping[str, Any]:
    if format_["type"] != "json_schema":
        return format_
    validated(_Schema, format_, "text.format")
    schema = {name: format_[name] for name in ("name", "description", "schema", "strict") if name in format_}
    return {"type": "json_schema", "json_schema": {n: value for n, value in schema.items() if value is not None}}


def _echo(document: Mapping[str, Any], body: _Body) -> dict[str, Any]:
    """The settings as a Response repeats them; nothing is claimed that guard does not do (`truncation`, `store`)."""
    given = {name: document[name] for name in _REPEATED if document.get(name) is not None}
    for name in ("instructions", "metadata", "prompt_cache_key", "parallel_tool_calls", "tools", "tool_choice"):
        if document.get(name) is not None:
            given[name] = document[name]
    if body.reasoning:
        given["reasoning"] = {"effort": None, "summary": None} | document["reasoning"]
    if body.text:
        given["text"] = {"format": {"type": "text"}} | {n: v for n, v in document["text"].items() if v is not None}
    if body.top_logprobs is not None or _LOGPROBS in (body.include or ()):
        given["top_logprobs"] = body.top_logprobs or 0
    return given
