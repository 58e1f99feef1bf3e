"""What a request asks for, as far as continuing must know: its messages, its turn so far, what text alone would lose.

Pure. It does not know how a turn is continued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from guard.backends import ChatRequest
from guard.core.types import Channel, Resume

# Constrained decoding under its vendors' names: a grammar would begin anew in the middle of the text.
_CONSTRAINTS = ("guided_", "structured_outputs", "grammar", "json_schema", "regex", "ebnf", "structural_tag")


def conversation(request: ChatRequest) -> list[Mapping[str, Any]]:
    """The messages without the client's unfinished assistant turn."""
    messages = list(request.messages)
    if request.prefix and messages and messages[-1].get("role") == "assistant":
        messages.pop()
    return messages


def extended(request: ChatRequest, turn: Mapping[Channel, str], channel: Channel) -> str:
    """A channel of the turn, the client's own beginning of it included once."""
    prefix, text = request.prefix.get(channel, ""), turn.get(channel, "")
    return text if text.startswith(prefix) else prefix + text


def full(request: ChatRequest, resume: Resume) -> dict[Channel, str]:
    """The assistant's turn so far by channel, the client's own beginning of it included once."""
    return {channel: extended(request, resume.kept, channel) for channel in ("reasoning", "content")}


def wants_format(body: Mapping[str, Any]) -> bool:
    """Whether the output is to have a form: a schema or a grammar."""
    kind = body.get("response_format") or {"type": "text"}
    if not isinstance(kind, Mapping) or kind.get("type") != "text":
        return True
    return any(name.startswith(_CONSTRAINTS) and value for name, value in body.items())


def wants_tools(body: Mapping[str, Any]) -> bool:
    """Whether tools are offered, whose calls only the server's chat route can read."""
    return bool(body.get("tools") or body.get("functions"))


def is_text(request: ChatRequest) -> bool:
    """Whether every message is text, so that token ids stand for all of it."""
    contents = [message.get("content") for message in request.messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return all(isinstance(part, Mapping) and part.get("type") == "text" for part in parts)


def plain_messages(request: ChatRequest) -> list[Mapping[str, Any]] | None:
    """The conversation as a chat template takes it, without the client's unfinished assistant turn.

    None where a raw completion would lose what the request asked for: tools or their traces, an output format, parts
    that are not text. `developer` becomes `system`, the name that templates know.
    """
    if wants_tools(request.body) or wants_format(request.body):
        return None
    messages = [_plain(message) for message in conversation(request)]
    return None if None in messages else [message for message in messages if message is not None]


class Telling(NamedTuple):
    """A request that asks for the log-probabilities guard wants, and what its client is to see of them.

    `hide`: nothing, for it asked for none. `most`: so many alternatives with each token; None: as many as come.
    """

    request: ChatRequest
    hide: bool = False
    most: int | None = None


def telling(request: ChatRequest, always: bool = False) -> Telling:
    """The request with log-probabilities where guard wants alternatives of them, or wants them `always`.

    A raw completion's `logprobs` is a number of alternatives; where its client named one, that stays.
    """
    body, top = request.body, request.top_logprobs
    if request.prompt is not None:
        named = body.get("logprobs")  # 0 names one: the chosen token's own, without alternatives
        if not top or not (named is None or named is False):
            return Telling(request)
        return Telling(replace(request, body={**body, "logprobs": top}), hide=True)
    if not body.get("logprobs"):
        asked = {"logprobs": True} | ({"top_logprobs": top} if top else {})
        return Telling(replace(request, body={**body, **asked}), hide=True) if top or always else Telling(request)
    own = body.get("top_logprobs")
    own = 0 if own is None else own
    if not isinstance(own, int) or own >= top:
        return Telling(request)
    return Telling(replace(request, body={**body, "top_logprobs": top}), most=own)


def template_variables(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the request hands to the chat template (`chat_template_kwargs`: vLLM, SGLang, transformers serve)."""
    variables = body.get("chat_template_kwargs")
    return variables if isinstance(variables, Mapping) else {}


def _plain(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A message whose content is a string, or None if it holds more than text."""
    if message.get("role") == "tool" or message.get("tool_calls"):
        return None
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
            return None
        # As the servers' own chat routes join them (vLLM, transformers serve).
        content = "\n".join(str(part.get("text", "")) for part in content)
    role = "system" if message.get("role") == "developer" else message.get("role")
    return {**message, "role": role, "content": content or ""}
