"""A client's `/v1/completions` request: read once, and split into one supervised text a prompt.

Pure. What no session can follow is named in `unsupervised`: prompts of token ids (there is no text to read), `suffix`
(the text goes on behind what is written), `echo` (the prompt is repeated as if it were an answer), `best_of` above 1
(a server streams no text that it has yet to choose).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from guard.core.types import Evidence
from guard.errors import RequestError
from guard.server.request import (
    ChatCall,
    GuardFields,
    OpenBody,
    StreamOptions,
    conversation,
    evidence,
    read_document,
    split_model,
    validated,
)

MOST_CHOICES = 128
"""Choices in one response, over all its prompts; each prompt is an upstream call of its own."""


class _Body(OpenBody):
    model: Annotated[str, Field(min_length=1)]
    prompt: str | list[str] | list[int] | list[list[int]] = "<|endoftext|>"
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    best_of: Annotated[int, Field(ge=0)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    logprobs: Annotated[int, Field(ge=0)] | bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    guard: GuardFields | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionCall:
    """A completion request, understood. `calls`: one a prompt; none where it is `unsupervised`, which says why."""

    prompts: tuple[str, ...] = ()
    calls: tuple[ChatCall, ...] = ()
    unsupervised: str = ""


def parse_completion(raw: bytes, headers: Mapping[str, str] | None = None) -> CompletionCall:
    """Understand a request body. `headers` have lower-case names. Raises RequestError."""
    document = read_document(raw)
    body = validated(_Body, document)
    if why := _unsupervised(body):
        return CompletionCall(unsupervised=why)
    prompts = _prompts(body)
    first = _call(document, body, headers or {})
    calls = tuple(_asked(first, prompt, body.guard or GuardFields()) for prompt in prompts)
    return CompletionCall(prompts=prompts, calls=calls)


def _unsupervised(body: _Body) -> str:
    prompt = body.prompt
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], str):
        return "a prompt of token ids"
    if body.suffix:
        return "suffix"
    if body.echo:
        return "echo"
    return "best_of" if (body.best_of or 1) > 1 else ""


def _prompts(body: _Body) -> tuple[str, ...]:
    prompts = (body.prompt,) if isinstance(body.prompt, str) else tuple(str(prompt) for prompt in body.prompt)
    if not 0 < len(prompts) * (body.n or 1) <= MOST_CHOICES:
        raise RequestError(
            f"prompt: 1 to {MOST_CHOICES} choices over all prompts are served "
            f"(got {len(prompts)} prompts with n = {body.n or 1})",
            param="prompt",
            code="invalid_value",
        )
    return prompts


def _call(document: Mapping[str, Any], body: _Body, headers: Mapping[str, str]) -> ChatCall:
    """What all prompts have in common."""
    model, named = split_model(body.model)
    guard = body.guard or GuardFields()
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return ChatCall(
        body={name: value for name, value in document.items() if name != "guard"} | {"model": model},
        model=model,
        policy=guard.policy or headers.get("x-guard-policy") or named,
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        n=body.n or 1,
        evidence=Evidence(),
        prefix={},
        structured=False,
        stops=tuple(stop for stop in stops if stop),
        max_tokens=body.max_tokens,
        conversation=headers.get("x-guard-conversation") or "",
        user=body.user or "",
    )


def _asked(first: ChatCall, prompt: str, guard: GuardFields) -> ChatCall:
    messages = [{"role": "user", "content": prompt}]
    given = evidence(messages, guard.evidence)
    named = first.conversation or conversation(messages)
    return replace(first, body={**first.body, "prompt": prompt}, evidence=given, conversation=named)
