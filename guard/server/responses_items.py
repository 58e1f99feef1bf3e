"""The items of a Responses conversation as chat messages.

Pure. Knows both shapes of a conversation, nothing of the request around it. Rules:
  What an assistant reasoned, said and called in one turn is one message: chat has tool answers follow it at once.
  Words after words, without a call between, are two messages.
  What has the same name in both shapes, or no name here, goes on as it is; a wrong type is a RequestError that names
  the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from guard.errors import RequestError
from guard.server.request import OpenBody, short, validated

_UNFINISHED = ("in_progress", "incomplete")
_SPOKEN = ("output_text", "input_text", "text")


class _Said(OpenBody):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[dict[str, Any]]


class _Called(OpenBody):
    call_id: str
    name: str
    arguments: str


class _Answered(OpenBody):
    call_id: str
    output: str | list[dict[str, Any]]


class _Words(OpenBody):
    text: str


class _Refused(OpenBody):
    refusal: str


class _Reasoned(OpenBody):
    summary: list[_Words] | None = None
    content: list[_Words] | None = None


class _Image(OpenBody):
    image_url: str
    detail: str | None = None


class _File(OpenBody):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


@dataclass(slots=True)
class _Turn:
    """What the assistant did since others last spoke, as far as it fits in one message."""

    reasoning: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def spoken(self) -> bool:
        """Whether more words or thoughts belong to the next message."""
        return bool(self.texts or self.refusals) and not self.calls

    def message(self) -> dict[str, Any]:
        """The turn as a chat message."""
        silent = None if self.calls or self.refusals else ""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.texts) if self.texts else silent}
        if self.reasoning:
            message["reasoning_content"] = "\n".join(self.reasoning)
        if self.refusals:
            message["refusal"] = "".join(self.refusals)
        if self.calls:
            message["tool_calls"] = self.calls
        return message


class _Conversation:
    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._turn: _Turn | None = None

    def take(self, item: Mapping[str, Any], at: str) -> None:
        match item.get("type") or "message":
            case "message":
                self._message(item, at)
            case "reasoning":
                self._reasoned(validated(_Reasoned, item, at))
            case "function_call":
                self._called(validated(_Called, item, at))
            case "function_call_output":
                answered = validated(_Answered, item, at)
                content = _content(answered.output, f"{at}.output")
                self._other({"role": "tool", "tool_call_id": answered.call_id, "content": content})
            case other:
                raise RequestError(f"{at}.type: {short(other)} has no counterpart in chat", param=f"{at}.type")

    def close(self) -> None:
        if self._turn is not None and self._turn != _Turn():  # clients send back thoughts that they did not keep
            self.messages.append(self._turn.message())
        self._turn = None

    def _other(self, message: dict[str, Any]) -> None:
        self.close()
        self.messages.append(message)

    def _message(self, item: Mapping[str, Any], at: str) -> None:
        said = validated(_Said, item, at)
        if said.role != "assistant":
            named = {"name": item["name"]} if item.get("name") is not None else {}
            self._other({"role": said.role, "content": _content(said.content, f"{at}.content"), **named})
            return
        turn = self._go_on()
        parts = [{"type": "text", "text": said.content}] if isinstance(said.content, str) else said.content
        for number, part in enumerate(parts):
            place = f"{at}.content.{number}"
            if part.get("type") in _SPOKEN:
                turn.texts.append(validated(_Words, part, place).text)
            elif part.get("type") == "refusal":
                turn.refusals.append(validated(_Refused, part, place).refusal)
            else:
                raise RequestError(
                    f"{place}.type: an assistant's part is output_text or refusal (got {short(part.get('type'))})",
                    param=f"{place}.type",
                )

    def _reasoned(self, reasoned: _Reasoned) -> None:
        # A summary stands for reasoning that is not told; beside the reasoning itself it would say it twice.
        self._go_on().reasoning += [words.text for words in reasoned.content or reasoned.summary or ()]

    def _called(self, called: _Called) -> None:
        function = {"name": called.name, "arguments": called.arguments}
        self._turn = self._turn or _Turn()
        self._turn.calls.append({"id": called.call_id, "type": "function", "function": function})

    def _go_on(self) -> _Turn:
        if self._turn is None or self._turn.spoken:
            self.close()
            self._turn = _Turn()
        return self._turn


def messages(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The chat messages of `input`. Raises RequestError."""
    conversation = _Conversation()
    for number, item in enumerate(items):
        conversation.take(item, f"input.{number}")
    conversation.close()
    return conversation.messages


def unfinished(last: Mapping[str, Any]) -> bool:
    """Whether the model is to go on from this valid item, the last one, instead of answering."""
    if last.get("status") not in _UNFINISHED:
        return False
    if last.get("type") == "reasoning":
        return bool(last.get("content") or last.get("summary"))
    return last.get("role") == "assistant"


def _content(content: str | Sequence[Mapping[str, Any]], at: str) -> Any:
    """One plain text as a string, which every template can render; else chat's parts."""
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{at}.{number}") for number, part in enumerate(content)]
    plain = len(parts) == 1 and parts[0].keys() == {"type", "text"} and parts[0]["type"] == "text"
    return parts[0]["text"] if plain else parts


def _part(part: Mapping[str, Any], at: str) -> Mapping[str, Any]:
    kind = part.get("type")
    kept = {name: part[name] for name in ("prompt_cache_breakpoint",) if part.get(name) is not None}
    if kind in _SPOKEN:
        return {"type": "text", "text": validated(_Words, part, at).text, **kept}
    if kind == "input_image":
        image = validated(_Image, part, at)
        detail = {"detail": image.detail} if image.detail is not None else {}
        return {"type": "image_url", "image_url": {"url": image.image_url, **detail}, **kept}
    if kind == "input_file":
        file = validated(_File, part, at)
        known = {"file_data": file.file_data, "file_id": file.file_id, "filename": file.filename}
        return {"type": "file", "file": {name: value for name, value in known.items() if value is not None}, **kept}
    return part
