"""From a conversation to token ids, through the model's own chat template.

Knows templates and control strings. Does not know sampling or caches. Its rules:

1. Only the template writes control tokens. A control string in a message is swapped for a stand-in before the
   template runs and encoded as plain text after it; everything else is tokenised as one text, exactly as if the
   render had been tokenised whole.
2. In an assistant's message the tokenizer's special tokens are covered so, but not its reasoning tags: templates
   read those.
3. An unfinished assistant turn of the client's is gone on with, in the field it ends in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from guard.backends import ChatRequest
from guard.backends.transformers.splitter import Tags
from guard.backends.transformers.vocabulary import Vocabulary
from guard.core.types import Channel
from guard.errors import ConfigError, RequestError


@dataclass(frozen=True, slots=True)
class Prompt:
    """The context's ids, and the channel that the model goes on in (None: it may open reasoning itself)."""

    ids: tuple[int, ...]
    channel: Channel | None


class Template:
    """One model's chat template.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        tags: the reasoning tags, or None.
        opens: whether every new turn begins inside reasoning although the render does not show it.
        positions: tokens that fit into the context, or None.

    Raises:
        ConfigError: there is no template.
    """

    def __init__(
        self,
        tokenizer: Any,
        vocabulary: Vocabulary,
        tags: Tags | None,
        *,
        opens: bool = False,
        positions: int | None = None,
    ) -> None:
        if not tokenizer.chat_template:
            raise ConfigError("the tokenizer has no chat template; put a chat_template.jinja into the model's folder")
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._tags = tags
        self._opens = opens
        self._positions = positions
        self._control = _any_of((*vocabulary.control, *(tags or ())))
        self._special = _any_of(vocabulary.special)

    def prompt(self, request: ChatRequest, variables: Mapping[str, Any]) -> Prompt:
        """The context for `request`.

        Raises:
            RequestError: 400; a message or the template cannot be used, or the context is too long.
        """
        if request.prompt is not None:
            ids = self._vocabulary.encode(request.prompt, first=True)
            self._fits(len(ids))
            return Prompt(tuple(ids), "content")
        shield = _Shield([request.messages, variables])
        variables = shield.cover(variables, self._control)
        messages = [self._covered(message, shield) for message in request.messages]
        if request.prefix:
            text, channel = self._continued(messages, variables)
        else:
            text, channel = self._begun(messages, variables)
        ids = self._encode(shield.pieces(text))
        self._fits(len(ids))
        return Prompt(tuple(ids), channel if self._tags else "content")

    def _fits(self, size: int) -> None:
        if not size:
            raise RequestError("messages: the chat template makes nothing of them", param="messages")
        if self._positions is not None and size > self._positions - 1:
            raise RequestError(
                f"messages: they are {size} tokens, and this model's context holds {self._positions} with at least one "
                "of them for the answer; send less",
                param="messages",
                code="context_length_exceeded",
            )

    def _covered(self, message: Mapping[str, Any], shield: _Shield) -> dict[str, Any]:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise RequestError(f"messages: {message!r} is no message with a role", param="messages")
        pattern = self._special if message["role"] == "assistant" else self._control
        plain = {**message, "content": _joined(message.get("content"))}
        covered: dict[str, Any] = shield.cover(plain, pattern)
        return covered

    def _begun(self, messages: list[dict[str, Any]], variables: Mapping[str, Any]) -> tuple[str, Channel | None]:
        text = self._render(messages, variables, add_generation_prompt=True)
        if self._opens:
            return text, "reasoning"
        if not self._tags or not _is_open(text, self._tags):
            return text, None
        before = self._render(messages, variables, add_generation_prompt=False)
        tail = text.removeprefix(before)  # an open tag in an old message is not this turn's
        return text, "reasoning" if _is_open(tail, self._tags) else None

    def _continued(self, messages: list[dict[str, Any]], variables: Mapping[str, Any]) -> tuple[str, Channel | None]:
        last = messages[-1]
        field = next((f for f in ("reasoning_content", "reasoning", "thinking") if last.get(f)), None)
        if field and not last.get("content"):
            last["content"] = ""
            return self._render(messages, variables, continue_final_message=field), "reasoning"
        text = self._render(messages, variables, continue_final_message=True)
        inline = bool(self._tags) and _is_open(last.get("content") or "", self._tags)
        return text, "reasoning" if inline else "content"

    def _render(self, messages: list[dict[str, Any]], variables: Mapping[str, Any], **how: Any) -> str:
        try:
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, **how, **variables)
        except (TemplateError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RequestError(
                f"messages: the model's chat template refuses them ({error})", param="messages", code="template_error"
            ) from error
        return str(text)

    def _encode(self, pieces: Sequence[tuple[str, bool]]) -> list[int]:
        ids: list[int] = []
        for text, literal in pieces:
            if text:
                ids += self._vocabulary.plain(text) if literal else self._vocabulary.encode(text, first=not ids)
        return ids


class _Shield:
    """Stand-ins for control strings: a character that no text uses, a number, the character again."""

    def __init__(self, texts: Any) -> None:
        told = json.dumps(texts, ensure_ascii=False, default=str)
        # Braille and on: printable, so that a template that shows an object as Python does leaves it alone.
        self._mark = next(char for char in map(chr, range(0x2800, 0xD800)) if char not in told)
        self._covered: list[str] = []

    def cover(self, value: Any, pattern: re.Pattern[str] | None) -> Any:
        if isinstance(value, str):
            return pattern.sub(self._stand_in, value) if pattern else value
        if isinstance(value, Mapping):
            return {self.cover(key, pattern): self.cover(inner, pattern) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.cover(inner, pattern) for inner in value]
        return value

    def _stand_in(self, found: re.Match[str]) -> str:
        self._covered.append(found[0])
        return f"{self._mark}{len(self._covered) - 1}{self._mark}"

    def pieces(self, text: str) -> list[tuple[str, bool]]:
        """The render cut up: (text, whether it is a covered control string)."""
        parts = re.split(f"{self._mark}([0-9]+){self._mark}", text)
        return [(self._covered[int(part)], True) if i % 2 else (part, False) for i, part in enumerate(parts)]


def _any_of(words: Sequence[str]) -> re.Pattern[str] | None:
    longest_first = sorted({word for word in words if word}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _is_open(text: str, tags: Tags | None) -> bool:
    return tags is not None and text.rfind(tags[0]) > text.rfind(tags[1])


def _joined(content: Any) -> Any:
    """Text parts as one text, a line each (as vLLM's `string` format has it)."""
    if not isinstance(content, list | tuple):
        return content
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, Mapping) else part
            raise RequestError(
                f"messages: this backend reads text only, not parts of type {kind!r}; leave them out",
                param="messages",
                code="unsupported_content",
            )
    return "\n".join(part["text"] for part in content)
