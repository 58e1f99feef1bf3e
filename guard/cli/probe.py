"""`guard probe`: how an upstream continues a partial turn, found out by asking it, and the line of guard.yaml for it.

Everything is tried, also behind the first dialect that works; the examination is the backend's own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from pydantic import ValidationError

from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.probe import Examination, said
from guard.backends.openai.template import Template
from guard.backends.openai.upstream import Upstream
from guard.chat.prefill import Dialect, in_content
from guard.chat.trial import Ability
from guard.cli.reading import printable
from guard.errors import ConfigError, UpstreamError
from guard.registry import first_error

_PATIENCE_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an upstream can do.

    Attributes:
        form: the field reasoning came in, "" where none came.
        completions: what `/completions` said: "" if it works.
        usage: it knows `stream_options` and tells the prompt's tokens.
        renders: a tokenizer with a chat template was named.
    """

    address: str
    model: str
    content: Ability
    reasoning: Ability
    form: str
    completions: str
    usage: bool
    renders: bool


def probe(url: str, model: str | None, key_env: str | None, tokenizer: str | None, as_json: bool) -> None:
    """Examine and print. Raises ConfigError where nothing can be learnt."""
    options = _options(url, model, key_env, tokenizer)
    found = asyncio.run(_examine(options))
    told = _told(found, options)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(told)).decode() + "\n")
    else:
        print(printable("\n".join(_lines(told))))


def _options(url: str, model: str | None, key_env: str | None, tokenizer: str | None) -> OpenAIOptions:
    fields = {"base_url": url, "model": model, "api_key_env": key_env, "tokenizer": tokenizer}
    try:
        return OpenAIOptions.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(first_error(error)) from None


async def _examine(options: OpenAIOptions) -> Found:
    renders = options.tokenizer is not None and Template.load(options.tokenizer, options.tags).renders
    upstream = Upstream(options)
    await upstream.open()
    try:
        model = await _model(upstream, options)
        examination = Examination(upstream, options, model, {})
        try:
            content = await examination.of("content", every=True)
            reasoning = await examination.of("reasoning", every=True)
        except UpstreamError as error:
            raise ConfigError(f"{upstream.address} cannot be examined: {_why(error, options)}") from None
        bare = examination.bare
        assert bare is not None  # nothing is tried before it
        return Found(
            address=upstream.address,
            model=model,
            content=content,
            reasoning=reasoning,
            form=bare.form,
            completions=await _completions(upstream, model),
            usage=bare.prompt_tokens is not None and not upstream.usage_refused,
            renders=renders,
        )
    finally:
        await upstream.close()


async def _model(upstream: Upstream, options: OpenAIOptions) -> str:
    """The model to examine: the one that was named, else the first that is listed."""
    if options.model is not None:
        return options.model
    status, entries = await upstream.models({})
    if status == 0:
        raise ConfigError(f"{upstream.address} cannot be reached, or is no OpenAI-compatible server")
    if status in (401, 403):
        raise ConfigError(f"{upstream.address} cannot be examined: {_keyless(status, options)}")
    names = [entry["id"] for entry in entries if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)]
    if not names:
        said = "lists no models" if status == 200 else f"lists no models (HTTP {status})"
        raise ConfigError(f"{upstream.address} {said}: does the URL end in /v1? Or name one with --model")
    return str(names[0])


def _why(error: UpstreamError, options: OpenAIOptions) -> str:
    if error.status in (401, 403):
        return _keyless(error.status, options)
    return said(error) if error.body else str(error)


def _keyless(status: int, options: OpenAIOptions) -> str:
    if options.api_key_env is None:
        return f"it wants a key ({status}): name its environment variable with --api-key-env VAR"
    return f"it refuses the key in {options.api_key_env} ({status})"


async def _completions(upstream: Upstream, model: str) -> str:
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    try:
        body = {"model": model, "prompt": "1 2 3", "max_tokens": 1, "stream": True}
        response = await upstream.post("completions", body, {}, deadline)
    except UpstreamError as error:
        return said(error) if error.body or error.status != 502 else str(error)
    response.close()
    return ""


def _told(found: Found, options: OpenAIOptions) -> dict[str, Any]:
    exact = found.renders and not found.completions
    return {
        "base_url": found.address,
        "model": found.model,
        "content": _channel(found.content, exact),
        "reasoning": _channel(found.reasoning, exact),
        "reasoning_field": found.form,
        "completions": found.completions or "works",
        "usage": found.usage,
        "guard_yaml": _entry(found, options, exact),
    }


def _channel(ability: Ability, exact: bool) -> dict[str, Any]:
    way = "text_exact" if exact else "reask" if ability.dialect is None else "field_prefill"
    return {"continuation": way, **asdict(ability)}


def _entry(found: Found, options: OpenAIOptions, exact: bool) -> str:
    """The line of guard.yaml; what was found out need not be found out again."""
    entry: dict[str, str] = {"name": found.model, "backend": "openai", "base_url": found.address, "model": found.model}
    entry |= {"api_key_env": options.api_key_env} if options.api_key_env else {}
    entry |= {"tokenizer": options.tokenizer} if exact and options.tokenizer else {}
    entry |= {"reasoning": "inline"} if found.form == "inline" else {}
    if (dialect := _both(found)) is not None:
        entry["prefill"] = dialect
    elif found.content.dialect is None and found.reasoning.dialect is None and not exact:
        entry["continuation"] = "reask"
    return "- {" + ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in entry.items()) + "}"


def _both(found: Found) -> Dialect | None:
    """A dialect that does for both channels: open reasoning's, if it writes content as content's own does."""
    content, reasoning = found.content.dialect, found.reasoning.dialect
    if content is None or reasoning is None or found.reasoning.inline != (found.form == "inline"):
        return None
    return reasoning if in_content(content, "x") == in_content(reasoning, "x") else None


def _lines(told: Mapping[str, Any]) -> list[str]:
    lines = [f"{told['base_url']}  {told['model']}", "", "A turn that is cut goes on by"]
    for name in ("content", "reasoning"):
        found = told[name]
        dialect = f" ({found['dialect']})" if found["dialect"] and found["continuation"] == "field_prefill" else ""
        lines.append(f"  {name:<10} {found['continuation']}{dialect}: {_reason(found)}")
    for name in ("content", "reasoning"):
        lines += ["", f"Tried in {name}"]
        lines += [f"  {t['dialect']:<24}{t['verdict']:<11}{t['why']}" for t in told[name]["trials"]]
    able = "works; with --tokenizer a turn goes on there from the very text (text_exact)"
    lines += ["", f"/completions     {able if told['completions'] == 'works' else told['completions']}"]
    lines += [f"reasoning field  {told['reasoning_field'] or 'none seen'}"]
    lines += [f"usage in stream  {'told' if told['usage'] else 'not told'}"]
    return [*lines, "", "For guard.yaml, under models:", f"  {told['guard_yaml']}"]


def _reason(found: Mapping[str, Any]) -> str:
    exact = found["continuation"] == "text_exact"
    return "the chat template is rendered here and sent to /completions" if exact else str(found["why"])
