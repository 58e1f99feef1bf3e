"""The shapes of an upstream's JSON, typed so that decoding one costs half a microsecond, and what text is in them.

One set of shapes for `chat.completion.chunk`, `chat.completion` (`message` instead of `delta`) and `text_completion`
(`text`). Unknown fields are not decoded: they travel in the bytes of the event. Knows nothing of choices' state,
attempts or tags. Rule: lenient where servers differ (null, missing, extra), strict where text could slip by unseen.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

FORM_BOTH = "reasoning_content+reasoning"
"""Form of a delta that carried the same reasoning under both names (late-2025 vLLM): written back under both."""


class Function(msgspec.Struct, gc=False):
    """Name and arguments of a called function; Ollama has sent arguments as an object."""

    name: str | None = None
    arguments: Any = None


class Call(msgspec.Struct, gc=False):
    """A fragment of a tool call; Gemini's endpoint leaves `index` out."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct, gc=False):
    """`delta` of a chunk or `message` of a whole answer. `content` may be a list of typed parts (Mistral)."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[Call] | None = None


class Choice(msgspec.Struct, gc=False):
    """One entry of `choices`."""

    index: int | None = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    message: Delta | None = None
    text: str | None = None
    token_ids: Any = None
    prompt_token_ids: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One event, or a whole answer."""

    choices: list[Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    prompt_token_ids: Any = None


Text: TypeAlias = tuple[Literal["reasoning", "content"], str, str]
"""A channel, its text, and the field the text came in (its form)."""


decode = msgspec.json.Decoder(Chunk).decode
"""bytes -> Chunk. Raises msgspec.DecodeError."""


def only(delta: Delta) -> Text | None:
    """The text of a delta that carries nothing but one string, under one name; None: look closer."""
    content, long, short = delta.content, delta.reasoning_content, delta.reasoning
    if content:
        if long or short or not isinstance(content, str):
            return None
        return "content", content, "content"
    if long:
        return None if short else ("reasoning", long, "reasoning_content")
    return ("reasoning", short, "reasoning") if short and isinstance(short, str) else None


def texts(choice: Choice) -> list[Text]:
    """The texts of a choice, reasoning first as a model writes it; empty ones are none."""
    if choice.text:
        return [("content", choice.text, "content")]
    delta = choice.delta or choice.message
    if delta is None:
        return []
    found = _reasoning(delta)
    if isinstance(delta.content, list):
        return found + _typed(delta.content)
    if delta.content:
        found.append(("content", delta.content, "content"))
    return found


def parts(choice: Choice) -> int:
    """How many things a choice brings: texts, calls, a finish."""
    delta = choice.delta or choice.message
    calls = delta.tool_calls if delta is not None and delta.tool_calls else ()
    return len(texts(choice)) + len(calls) + bool(choice.finish_reason)


def _reasoning(delta: Delta) -> list[Text]:
    """One text even where it comes twice; if the two differ both count, for neither may pass unseen."""
    other = delta.reasoning if isinstance(delta.reasoning, str) else None
    pairs = ((delta.reasoning_content, "reasoning_content"), (other, "reasoning"))
    found: list[Text] = [("reasoning", text, form) for text, form in pairs if text]
    if len(found) == 2 and found[0][1] == found[1][1]:
        return [("reasoning", found[0][1], FORM_BOTH)]
    return found


def _typed(parts: list[Any]) -> list[Text]:
    """Mistral's list: `{"type": "thinking", "thinking": [{"type": "text", ...}]}` and `{"type": "text", ...}`."""
    found: list[Text] = []
    for part in parts:
        channel, text = _part(part)
        if not text:
            continue
        if found and found[-1][0] == channel:
            text = found.pop()[1] + text
        found.append((channel, text, "typed"))
    return found


def _part(part: Any) -> tuple[Literal["reasoning", "content"], str]:
    if not isinstance(part, dict):
        return "content", part if isinstance(part, str) else ""
    if part.get("type") == "thinking":
        inner = part.get("thinking")
        inner = inner if isinstance(inner, list) else [inner]
        return "reasoning", "".join(_part(each)[1] for each in inner)
    text = part.get("text")
    return "content", text if isinstance(text, str) else ""


def arguments(call: Call) -> str:
    """The JSON text of a call's arguments as far as this fragment goes."""
    written = call.function.arguments if call.function else None
    if written is None or isinstance(written, str):
        return written or ""
    return msgspec.json.encode(written).decode()
