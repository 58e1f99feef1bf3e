"""What is asked of the upstream, attempt by attempt: the bodies of its requests, word for word.

Pure: dictionaries in, dictionaries out. Knows no network and no tokenizer; the rendered prompt of an exact
continuation is given to it. Rules:
  The client's fields pass through, unknown ones included; what guard changes is named in this file.
  An attempt that continues carries one choice, `seed` + the choice's index and what is left of the token budget.
  An unfinished assistant turn of the client's is extended, never doubled.
  Flags that make a server continue the last message go once the last message is not the one the client meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from guard.backends import ChatRequest
from guard.chat.asked import conversation, extended
from guard.chat.echo import LEAST
from guard.chat.prefill import Dialect, Prefill, in_content, in_reasoning
from guard.core.types import Continuation, Resume

Route = Literal["chat/completions", "completions"]
Body = dict[str, Any]

# llama.cpp's `echo` says the message again in front of what it adds.
_CONTINUING = ("continue_final_message", "add_generation_prompt", "echo")
# What `/completions` does not know or knows with another meaning. `logprobs` is a number there; constraints on the
# output (`response_format`, tools) never get here.
_CHAT_ONLY = (
    {"messages", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options", "logprobs", "top_logprobs"}
    | {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"}
    | {"modalities", "audio", "prediction", "store", "metadata", "service_tier", "web_search_options", "verbosity"}
    | {"chat_template", "chat_template_kwargs", "reasoning", "reasoning_effort", "thinking", "include_reasoning"}
    | {"separate_reasoning", "reasoning_format", "prompt", "suffix", "best_of", *_CONTINUING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to make: where, with what, and how it continues the turn (None: it begins it). `told`: the message
    that is to be gone on with, where the upstream might begin another one instead."""

    route: Route
    body: Body
    continuation: Continuation | None
    told: str | None = None


def first(request: ChatRequest, model: str | None) -> Call:
    """Attempt 0: the client's request, with all its choices."""
    body = _streamed(dict(request.body), model)
    if request.n != (body.get("n") or 1):
        body["n"] = request.n
    route: Route = "chat/completions" if request.prompt is None else "completions"
    return Call(route=route, body=body, continuation=None)


def raw(request: ChatRequest, model: str | None, choice: int, resume: Resume) -> Call:
    """A raw completion goes on from its prompt with the text so far behind it."""
    body = _seeded(_streamed(dict(request.body), model), choice)
    body["prompt"] = (request.prompt or "") + resume.kept.get("content", "")
    if "n" in body:
        body["n"] = 1
    if resume.max_tokens is not None:
        body["max_tokens"] = resume.max_tokens
    return Call(route="completions", body=body, continuation="text_exact")


def tool_answers(request: ChatRequest, model: str | None, choice: int, resume: Resume, form: str) -> Call:
    """The calls as made, each answered by guard.

    `form` is the field the upstream sends reasoning in: an upstream that has one wants its reasoning back between a
    call and its answer (DeepSeek refuses the request without it).
    """
    messages = [*conversation(request), *_answered(request, resume, form)]
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
    message: Body = {"role": "assistant", "content": extended(request, before, "content") or None}
    field = form.split("+")[0]
    if field in ("reasoning_content", "reasoning") and (reasoning := extended(request, before, "reasoning")):
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
    starts again; so it does where content was asked for anew (`restart`) or none was sent. Then the words go into the
    user's own message if that is plain text: templates that demand alternating roles refuse a second one. Calls that
    were answered earlier in the turn stand where they were made.
    """
    messages = [*conversation(request), *_answered(request, resume, form)]
    again = resume.restart or resume.open_channel == "reasoning"
    if resume.calls:
        written = "" if again else _behind_calls(resume)
    else:
        begun = request.prefix.get("content", "")
        sent = "" if again else resume.sent.get("content", "")
        written = sent if len(begun) >= LEAST and sent.startswith(begun) else begun + sent  # see `echo`
    if written:
        messages.append({"role": "assistant", "content": written})
    return _chat(request, model, choice, resume, _with_word(messages, resume.message), "reask")


def _with_word(messages: list[Mapping[str, Any]], word: str) -> list[Mapping[str, Any]]:
    last = messages[-1] if messages else {}
    said = last.get("content")
    if last.get("role") == "user" and isinstance(said, str):
        return [*messages[:-1], {**last, "content": f"{said}\n\n{word}" if said else word}]
    return [*messages, {"role": "user", "content": word}]


def prefilled(
    request: ChatRequest, model: str | None, choice: int, resume: Resume, dialect: Dialect, form: str, opening: str
) -> Call | None:
    """Send the turn so far as a last message to go on with, or None where it has no text or the dialect no word for it.

    Calls that were answered earlier stand where they were made; then only the content behind them goes on.
    """
    reasoning, content = (extended(request, resume.kept, channel) for channel in ("reasoning", "content"))
    asked: Prefill | None
    if resume.open_channel == "reasoning":
        told, asked = reasoning, None if resume.calls else in_reasoning(dialect, reasoning, opening)
    elif resume.calls:
        told = _behind_calls(resume)
        asked = in_content(dialect, told)
    else:
        told, asked = content, in_content(dialect, content, reasoning, form)
    if asked is None or not told.strip():
        return None
    messages = [*conversation(request), *_answered(request, resume, form), asked.message]
    call = _chat(request, model, choice, resume, messages, "field_prefill")
    return replace(call, body={**call.body, **asked.flags}, told=told)


def from_ids(request: ChatRequest, model: str | None, choice: int, resume: Resume, ids: Sequence[int]) -> Call:
    """Continue from token ids in the chat route (SGLang), where tools and formats are still the server's."""
    call = _chat(request, model, choice, resume, list(conversation(request)), "token_exact")
    return replace(call, body={**call.body, "input_ids": ids})


def exact(
    request: ChatRequest, model: str | None, choice: int, resume: Resume, prompt: str | Sequence[int], budget: int
) -> Call:
    """Continue from the very text or the very token ids: a prompt for `/completions`.

    `budget` is the token limit where the request set none: servers' own default is 16 tokens.
    """
    body = {name: value for name, value in request.body.items() if name not in _CHAT_ONLY}
    body = _seeded(_streamed(body, model), choice)
    body["prompt"] = prompt
    if request.top_logprobs:
        body["logprobs"] = request.top_logprobs
    body["max_tokens"] = budget if resume.max_tokens is None else resume.max_tokens
    return Call(route="completions", body=body, continuation="text_exact" if isinstance(prompt, str) else "token_exact")


def with_ids(call: Call) -> Call:
    """The same request, with token ids told in the answer."""
    return replace(call, body={**call.body, "return_token_ids": True})


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
