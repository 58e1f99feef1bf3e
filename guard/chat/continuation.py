"""What is asked of the upstream, attempt by attempt: the bodies of its requests, word for word.

Pure: dictionaries in, dictionaries out. Knows no network and no tokenizer; the rendered prompt of an exact
continuation is given to it. Rules:
  The client's fields pass through, unknown ones included; what guard changes is named in this file.
  An attempt that continues carries one choice, `seed` + the choice's index and what is left of the token budget.
  An unfinished assistant turn of the client's is extended, never doubled.
  Flags that make a server continue the last message go once the last message is not the one the client meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from guard.backends import ChatRequest
from guard.core.types import Channel, Continuation, Resume

Route = Literal["chat/completions", "completions"]
Body = dict[str, Any]

_CONTINUING = ("continue_final_message", "add_generation_prompt")
# What `/completions` does not know or knows with another meaning. `logprobs` is a number there; constraints on the
# output (`response_format`, tools) never get here.
_CHAT_ONLY = (
    {"messages", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options", "logprobs", "top_logprobs"}
    | {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"}
    | {"modalities", "audio", "prediction", "store", "metadata", "service_tier", "web_search_options", "verbosity"}
    | {"chat_template", "chat_template_kwargs", "reasoning", "reasoning_effort", "thinking", "include_reasoning"}
    | {"separate_reasoning", "reasoning_format", "prompt", "suffix", "echo", "best_of", *_CONTINUING}
)
# Constrained decoding under its vendors' names: a grammar would begin anew in the middle of the text.
_CONSTRAINTS = ("guided_", "structured_outputs", "grammar", "json_schema", "regex", "ebnf", "structural_tag")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to make: where, with what, and how it continues the turn (None: it begins it)."""

    route: Route
    body: Body
    continuation: Continuation | None


def first(request: ChatRequest, model: str | None) -> Call:
    """Attempt 0: the client's request, with all its choices."""
    body = _streamed(dict(request.body), model)
    if request.n != (body.get("n") or 1):
        body["n"] = request.n
    return Call(route="chat/completions", body=body, continuation=None)


def tool_answers(request: ChatRequest, model: str | None, choice: int, resume: Resume, form: str) -> Call:
    """The calls as made, each answered by guard.

    `form` is the field the upstream sends reasoning in: an upstream that has one wants its reasoning back between a
    call and its answer (DeepSeek refuses the request without it).
    """
    messages = [*_conversation(request), *_answered(request, resume, form)]
    return _chat(request, model, choice, resume, messages, "tool_answers")


def goes_on_after_tools(resume: Resume) -> bool:
    """Whether the model has written on behind answered calls: then it is that text which was cut."""
    return bool(resume.calls) and (bool(resume.put_in) or resume.restart or bool(_behind_calls(resume)))


def _behind_calls(resume: Resume) -> str:
    return resume.kept.get("content", "")[resume.calls_at :]


def _answered(request: ChatRequest, resume: Resume, form: str) -> list[Mapping[str, Any]]:
    """The assistant's message with the calls, and the tool messages that answer them; none without calls."""
    if not resume.calls:
        return []
    before = {**resume.kept, "content": resume.kept.get("content", "")[: resume.calls_at]}
    message: Body = {"role": "assistant", "content": _extended(request, before, "content") or None}
    field = form.split("+")[0]
    if field in ("reasoning_content", "reasoning") and (reasoning := _extended(request, before, "reasoning")):
        message[field] = reasoning
    message["tool_calls"] = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call, _ in resume.calls
    ]
    answers = [{"role": "tool", "tool_call_id": call.id, "content": answer} for call, answer in resume.calls]
    return [message, *answers]


def reask(request: ChatRequest, model: str | None, choice: int, resume: Resume, form: str = "") -> Call:
    """Ask again: what the client has of the answer as a finished assistant message, then guard's words as the user.

    Open reasoning cannot be shown to a server that writes its own, so there the words alone are added and the answer
    starts again; so it does where content was asked for anew (`restart`) or none was sent. Calls that were answered
    earlier in the turn stand where they were made.
    """
    messages = [*_conversation(request), *_answered(request, resume, form)]
    again = resume.restart or resume.open_channel == "reasoning"
    if resume.calls:
        written = "" if again else _behind_calls(resume)
    else:
        written = _prefix(request, "content") + ("" if again else resume.sent.get("content", ""))
    if written:
        messages.append({"role": "assistant", "content": written})
    messages.append({"role": "user", "content": resume.message})
    return _chat(request, model, choice, resume, messages, "reask")


def exact(request: ChatRequest, model: str | None, choice: int, resume: Resume, prompt: str, budget: int) -> Call:
    """Continue from the very text: a rendered prompt for `/completions`.

    `budget` is the token limit where the request set none: servers' own default is 16 tokens.
    """
    body = {name: value for name, value in request.body.items() if name not in _CHAT_ONLY}
    body = _seeded(_streamed(body, model), choice)
    body["prompt"] = prompt
    body["max_tokens"] = budget if resume.max_tokens is None else resume.max_tokens
    return Call(route="completions", body=body, continuation="text_exact")


def plain_messages(request: ChatRequest) -> list[Mapping[str, Any]] | None:
    """The conversation as a chat template takes it, without the client's unfinished assistant turn.

    None where a raw completion would lose what the request asked for: tools or their traces, an output format, parts
    that are not text. `developer` becomes `system`, the name that templates know.
    """
    body = request.body
    kind = body.get("response_format") or {"type": "text"}
    if body.get("tools") or body.get("functions") or not isinstance(kind, Mapping) or kind.get("type") != "text":
        return None
    if any(name.startswith(_CONSTRAINTS) and value for name, value in body.items()):
        return None
    messages = [_plain(message) for message in _conversation(request)]
    return None if None in messages else [message for message in messages if message is not None]


def template_variables(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the request hands to the chat template (`chat_template_kwargs`: vLLM, SGLang, transformers serve)."""
    variables = body.get("chat_template_kwargs")
    return variables if isinstance(variables, Mapping) else {}


def full(request: ChatRequest, resume: Resume) -> dict[Channel, str]:
    """The assistant's turn so far by channel, the client's own beginning of it included once."""
    return {channel: _extended(request, resume.kept, channel) for channel in ("reasoning", "content")}


def _chat(
    request: ChatRequest,
    model: str | None,
    choice: int,
    resume: Resume,
    messages: list[Mapping[str, Any]],
    continuation: Continuation,
) -> Call:
    body = {name: value for name, value in request.body.items() if name not in _CONTINUING}
    body = _seeded(_streamed(body, model), choice)
    body["messages"] = messages
    if "n" in body:
        body["n"] = 1
    for limit in ("max_completion_tokens", "max_tokens"):
        if resume.max_tokens is not None and body.get(limit) is not None:
            body[limit] = resume.max_tokens
    return Call(route="chat/completions", body=body, continuation=continuation)


def _streamed(body: Body, model: str | None) -> Body:
    """Always a stream, always with its usage: guard has one path, and counts."""
    options = body.get("stream_options")
    body["stream"] = True
    body["stream_options"] = {**(options if isinstance(options, Mapping) else {}), "include_usage": True}
    if model is not None:
        body["model"] = model
    return body


def _seeded(body: Body, choice: int) -> Body:
    if isinstance(body.get("seed"), int):
        body["seed"] += choice
    return body


def _conversation(request: ChatRequest) -> list[Mapping[str, Any]]:
    """The messages without the client's unfinished assistant turn."""
    messages = list(request.messages)
    if request.prefix and messages and messages[-1].get("role") == "assistant":
        messages.pop()
    return messages


def _prefix(request: ChatRequest, channel: Channel) -> str:
    return request.prefix.get(channel, "")


def _extended(request: ChatRequest, turn: Mapping[Channel, str], channel: Channel) -> str:
    prefix, text = _prefix(request, channel), turn.get(channel, "")
    return text if text.startswith(prefix) else prefix + text


def _plain(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A message whose content is a string, or None if it holds more than text."""
    if message.get("role") == "tool" or message.get("tool_calls"):
        return None
    content = message.get("content")
    if isinstance(content, list):
        if not all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
            return None
        content = "".join(str(part.get("text", "")) for part in content)
    role = "system" if message.get("role") == "developer" else message.get("role")
    return {**message, "role": role, "content": content or ""}
