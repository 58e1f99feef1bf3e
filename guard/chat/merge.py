"""The deltas of a stream as one answer: how each field adds up.

Pure. Knows nothing of guard's own words. Rules, the streaming API's own where it has one:
  Texts add up (`content`, `reasoning_content`, `reasoning`, `refusal`); typed parts of content are put in one list.
  Calls add up by index: `arguments` and `input` grow, and so does a `name`; so does a `function_call`.
  `audio` adds up: `data` (base64) and `transcript`.
  Of any other field lists are extended and of anything else the last one wins; null says nothing. The fields of a
  choice beside its delta follow the same rule. At the top of a chunk the last one wins, lists too: there servers
  repeat what is true of the whole answer (`citations`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_TEXTS = frozenset({"content", "reasoning_content", "reasoning", "refusal"})
_GROWING = frozenset({"name", "arguments", "input", "data", "transcript"})
_OBJECTS = frozenset({"function_call", "audio"})
_CALL_OBJECTS = frozenset({"function", "custom"})
_OF_A_CHUNK = frozenset({"id", "object", "created", "model", "choices", "usage", "error", "obfuscation"})
_OF_A_CHOICE = frozenset({"index", "delta", "message", "text", "finish_reason", "logprobs"})


class Answer:
    """An answer of `n` choices, as far as it has come; `top` is what chunks said of all of it."""

    def __init__(self, n: int) -> None:
        self.top: dict[str, Any] = {}
        self._messages = [_Message() for _ in range(n)]
        self._beside: list[dict[str, Any]] = [{} for _ in range(n)]
        self._logprobs: list[dict[str, list[Any]]] = [{} for _ in range(n)]

    def take(self, chunk: Mapping[str, Any]) -> None:
        """Add a whole chunk."""
        self.top |= beside_choices(chunk)
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            if 0 <= index < len(self._messages):
                self.delta(index, choice.get("delta") or {}, choice.get("logprobs"))
                _add(self._beside[index], beside_delta(choice))

    def delta(self, index: int, delta: Mapping[str, Any], logprobs: Any = None) -> None:
        """Add a delta to a choice."""
        self._messages[index].take(delta)
        if isinstance(logprobs, dict):
            for name, entries in logprobs.items():
                if isinstance(entries, list):
                    self._logprobs[index].setdefault(name, []).extend(entries)

    def choice(self, index: int, reason: str | None) -> dict[str, Any]:
        """A choice of a `chat.completion`."""
        entry = {"index": index, "message": self._messages[index].whole(), "logprobs": self._logprobs[index] or None}
        return entry | {"finish_reason": reason} | self._beside[index]


class _Message:
    """The message of one choice, as far as its deltas have come."""

    def __init__(self) -> None:
        self._texts: dict[str, list[Any]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._fields: dict[str, Any] = {}

    def take(self, delta: Mapping[str, Any]) -> None:
        """Add a delta."""
        for name, value in delta.items():
            if name in _TEXTS and isinstance(value, str | list):
                self._texts.setdefault(name, []).append(value)
            elif name == "tool_calls":
                for call in value or ():
                    self._call(call)
            elif name in _OBJECTS and isinstance(value, dict):
                _grow(self._fields.setdefault(name, {}), value)
            elif name != "role":
                _add(self._fields, {name: value})

    def whole(self) -> dict[str, Any]:
        """The message. Without text `content` is null beside something else, and empty where there is nothing."""
        fields: dict[str, Any] = {name: _joined(parts) for name, parts in self._texts.items()}
        fields |= {name: _closed(value) if name in _OBJECTS else value for name, value in self._fields.items()}
        if self._calls:
            fields["tool_calls"] = [_called(self._calls[index]) for index in sorted(self._calls)]
        said = fields.keys() & {"tool_calls", "function_call", "refusal", "audio"}
        if not fields.get("content"):
            fields["content"] = None if said else ""
        return {"role": "assistant", **fields}

    def _call(self, call: Mapping[str, Any]) -> None:
        index = call.get("index")
        entry = self._calls.setdefault(index if isinstance(index, int) else len(self._calls), {"id": "", "type": ""})
        for name, value in call.items():
            if name in _CALL_OBJECTS and isinstance(value, dict):
                _grow(entry.setdefault(name, {}), value)
            elif name in ("id", "type"):
                entry[name] = entry[name] or value or ""
            elif name != "index":
                _add(entry, {name: value})


def _add(fields: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Extend lists; of anything else keep the last; null says nothing."""
    for name, value in told.items():
        if value is not None:
            old = fields.get(name)
            fields[name] = [*old, *value] if isinstance(old, list) and isinstance(value, list) else value


def beside_delta(choice: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a choice that the API's types do not name (`stop_reason`, `content_filter_results`, ...)."""
    return {name: value for name, value in choice.items() if name not in _OF_A_CHOICE and value is not None}


def beside_choices(chunk: Mapping[str, Any]) -> dict[str, Any]:
    """What else a chunk says of the whole answer (`service_tier`, `citations`, ...); padding is none of it."""
    return {name: value for name, value in chunk.items() if name not in _OF_A_CHUNK and value is not None}


def _grow(grown: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Add to an object whose texts come in fragments; they are kept in lists until it is closed."""
    for name, value in told.items():
        if name in _GROWING and isinstance(value, str):
            grown.setdefault(name, _Fragments()).append(value)
        elif value is not None:
            grown[name] = value


class _Fragments(list[str]):
    """A text in the making; a type of its own, so that it is not taken for a list that an upstream sent."""


def _called(call: dict[str, Any]) -> dict[str, Any]:
    """A call that nobody named a kind of is one of a function."""
    kind = call["type"] or ("custom" if "custom" in call else "function")
    function = {"function": {"name": "", "arguments": ""} | call.get("function", {})} if kind == "function" else {}
    closed: dict[str, Any] = _closed(call | {"type": kind} | function)
    return closed


def _closed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _closed_field(name, inner) for name, inner in value.items()}
    return value


def _closed_field(name: str, value: Any) -> Any:
    if isinstance(value, _Fragments):
        return _base64(value) if name == "data" else "".join(value)
    return _closed(value) if name in _CALL_OBJECTS else value


def _base64(parts: Sequence[str]) -> str:
    """Each part is encoded for itself: where one is padded they cannot simply be put together."""
    if not any(part.endswith("=") for part in parts[:-1]):
        return "".join(parts)
    try:
        return base64.b64encode(b"".join(base64.b64decode(part, validate=True) for part in parts)).decode()
    except (binascii.Error, ValueError):
        return "".join(parts)


def _joined(parts: Iterable[Any]) -> Any:
    """Texts in one string; typed parts in one list."""
    parts = list(parts)
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    typed: list[Any] = []
    for part in parts:
        typed += [{"type": "text", "text": part}] * bool(part) if isinstance(part, str) else part
    return typed
