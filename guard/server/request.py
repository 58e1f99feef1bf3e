"""A client's chat request: read once, checked, and split into what goes upstream and what is guard's.

Pure. Knows the shape of the OpenAI chat API, not how it is served. Unknown fields pass through; a wrong type is a
`RequestError` that names the field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.core.types import Channel, Evidence, Passage
from guard.errors import RequestError

_READ = msgspec.json.Decoder().decode
_Model = TypeVar("_Model", bound=BaseModel)


class OpenBody(BaseModel):
    """A client's JSON object: what guard does not know passes."""

    # Strict: the upstream gets the value as it came, so it must not be understood as another one here.
    model_config = ConfigDict(extra="allow", strict=True)


class _Message(OpenBody):
    role: Annotated[str, Field(min_length=1)]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Source(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    text: str
    source: str | None = None


class GuardFields(BaseModel):
    """The request field `guard`."""

    model_config = ConfigDict(extra="forbid", strict=True)
    policy: str | None = None
    evidence: str | list[str | _Source] = Field(default_factory=list)


class StreamOptions(OpenBody):
    """The request field `stream_options`."""

    include_usage: bool | None = None


class _Body(OpenBody):
    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[_Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None
    guard: GuardFields | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """A chat request, understood.

    Attributes:
        body: for the upstream: the client's fields without `guard`; `model` without the policy's name.
        model: the model asked for; `policy` the supervision policy asked for, or None.
        include_usage: the client wants a usage chunk in its stream.
        conversation: `x-guard-conversation`, else a hash of the system and first user message.
    """

    body: Mapping[str, Any]
    model: str
    policy: str | None
    stream: bool
    include_usage: bool
    n: int
    evidence: Evidence
    prefix: Mapping[Channel, str]
    structured: bool
    stops: tuple[str, ...]
    max_tokens: int | None
    conversation: str
    user: str


def parse_chat(raw: bytes, headers: Mapping[str, str] | None = None) -> ChatCall:
    """Understand a request body. `headers` have lower-case names. Raises RequestError."""
    return understand(read_document(raw), headers)


def understand(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> ChatCall:
    """Understand a chat request that has been read. Raises RequestError."""
    headers = headers or {}
    body = validated(_Body, document)
    model, named = split_model(body.model)
    guard = body.guard or GuardFields()
    upstream = {name: value for name, value in document.items() if name != "guard"} | {"model": model}
    kind = (body.response_format or {}).get("type", "text")
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return ChatCall(
        body=upstream,
        model=model,
        policy=guard.policy or headers.get("x-guard-policy") or named,
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        n=body.n or 1,
        evidence=evidence(document["messages"], guard.evidence),
        prefix=_prefix(document["messages"][-1]),
        structured=kind != "text",
        stops=tuple(stop for stop in stops if stop),
        max_tokens=body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens,
        conversation=headers.get("x-guard-conversation") or conversation(document["messages"]),
        user=body.user or "",
    )


def read_document(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request body. Raises RequestError."""
    try:
        document = _READ(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"the request body is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(document, dict):
        raise RequestError(f"the request body must be a JSON object, not {type(document).__name__}")
    return document


def validated(model: type[_Model], value: Mapping[str, Any], at: str = "") -> _Model:
    """The value as its model. Raises RequestError, which names the field; `at` is where the value itself stands."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # Of the members of a union that were tried, the one that came furthest is what was meant.
        first = max(error.errors(include_url=False), key=lambda found: len(found["loc"]))
        path = [at] * bool(at) + [str(part) for part in first["loc"] if not _union_member(part)]
        name = ".".join(path)
        got = "" if first["type"] == "missing" else f" (got {short(first['input'])})"
        raise RequestError(f"{name}: {first['msg']}{got}", param=name, code="invalid_value") from None


def _union_member(part: int | str) -> bool:
    """Pydantic names the member of a union it tried (`str`, `list[...]`); the client never wrote that."""
    return isinstance(part, str) and (part in ("str", "_Source") or part.startswith(("list[", "dict[")))


def short(value: object) -> str:
    """A client's value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def split_model(name: str) -> tuple[str, str | None]:
    """`model@policy` in two. A leading @ is the model's own."""
    model, at, policy = name.rpartition("@")
    return (model, policy or None) if at and model else (name, None)


def evidence(messages: Sequence[Mapping[str, Any]], supplied: str | Iterable[Any] = ()) -> Evidence:
    """What a request supplies to check against: never assistant text."""
    given = [supplied] if isinstance(supplied, str) else supplied
    passages = [Passage(source="evidence", text=g if isinstance(g, str) else g.text) for g in given]
    unreadable: list[str] = []
    question = ""
    for message in messages:
        role = message["role"]
        if role == "assistant":
            continue
        text = _text(message.get("content"), unreadable)
        source: Literal["tool", "system", "user"] = (
            "tool" if role in ("tool", "function") else "system" if role in ("system", "developer") else "user"
        )
        if source == "user":
            question = text
        if text:
            passages.append(Passage(source=source, text=text))
    return Evidence(passages=tuple(passages), question=question, unreadable=tuple(unreadable))


def _text(content: Any, unreadable: list[str]) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in content or ():
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            unreadable.append(str(part.get("type", "unknown")))
    return "\n".join(texts)


def _prefix(last: Mapping[str, Any]) -> dict[Channel, str]:
    """An unfinished assistant turn at the end of the messages: context that the model is to go on from."""
    if last["role"] != "assistant" or last.get("tool_calls"):
        return {}
    reasoning = last.get("reasoning_content") or last.get("reasoning")
    prefix: dict[Channel, str] = {}
    if isinstance(reasoning, str) and reasoning:
        prefix["reasoning"] = reasoning
    if text := _text(last.get("content"), []):
        prefix["content"] = text
    return prefix


def conversation(messages: Sequence[Mapping[str, Any]]) -> str:
    """What identifies a conversation whose client does not name it: how it opened."""
    system = [m for m in messages if m["role"] in ("system", "developer")]
    user = [m for m in messages if m["role"] == "user"]
    opening = [_text(m.get("content"), []) for m in system + user[:1]]
    return hashlib.sha256("\x00".join(opening).encode(errors="surrogatepass")).hexdigest()[:32]
