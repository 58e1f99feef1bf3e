"""The output of a Response: items that grow piece by piece, and the stream events that tell of it.

Pure. Knows released pieces and the shape of items, neither the response around them nor bytes. Rules:
  An item of text has one part. Text of another kind, and a tool call, begin a new item and end the one before.
  A tool call ends there too once its arguments are a whole JSON object; until then it stays open, for fragments of
  several calls may come mixed. What follows a whole object is dropped.
  Reasoning is an item of its own in whatever form it came; inline tags belong to no item.
  guard's own word rides on a delta: of the text it came with, else an empty one of the item that is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec

from guard.core.events import Piece, ToolDelta
from guard.server import wire

Told: TypeAlias = dict[str, Any]
"""A stream event without its number."""

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of text: the item's id begins with `prefix`, its part is of `type` with the text in `field`."""

    prefix: str
    type: str
    field: str
    event: str


_TEXT = _Kind("msg", "output_text", "text", "response.output_text")
_REFUSAL = _Kind("msg", "refusal", "refusal", "response.refusal")
_REASONING = _Kind("rs", "reasoning_text", "text", "response.reasoning_text")


class _Text:
    """An item with one part of text: a message or reasoning."""

    def __init__(self, kind: _Kind, suffix: str, index: int) -> None:
        self.kind = kind
        self.whole = True
        self._texts: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._index = index
        self._id = f"{kind.prefix}_{suffix}"
        self._place = {"item_id": self._id, "output_index": index, "content_index": 0}

    def begin(self) -> Iterator[Told]:
        """The events that open it."""
        item = self._item("in_progress", [])
        yield {"type": "response.output_item.added", "output_index": self._index, "item": item}
        yield {"type": "response.content_part.added", **self._place, "part": self._part()}

    def write(self, text: str, logprobs: Any = None) -> Told:
        """More text; `logprobs` is what a chat chunk says beside it."""
        self._texts.append(text)
        told: Told = {"type": f"{self.kind.event}.delta", **self._place, "delta": text}
        if self.kind is _TEXT:
            told["logprobs"] = _logprobs(logprobs)
            self._logprobs += told["logprobs"]
        return told

    def end(self, status: str) -> Iterator[Told]:
        """The events that close it."""
        extra = {"logprobs": self._logprobs} if self.kind is _TEXT else {}
        yield {"type": f"{self.kind.event}.done", **self._place, self.kind.field: "".join(self._texts), **extra}
        yield {"type": "response.content_part.done", **self._place, "part": self._part()}
        item = self._item(status, [self._part()])
        yield {"type": "response.output_item.done", "output_index": self._index, "item": item}

    def _part(self) -> dict[str, Any]:
        extra = {"annotations": [], "logprobs": self._logprobs[:]} if self.kind is _TEXT else {}
        return {"type": self.kind.type, self.kind.field: "".join(self._texts), **extra}

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        if self.kind is _REASONING:
            return {"id": self._id, "type": "reasoning", "summary": [], "content": content, "status": status}
        return {"id": self._id, "type": "message", "role": "assistant", "status": status, "content": content}


class _Call:
    """A function call."""

    def __init__(self, call: ToolDelta, suffix: str, index: int) -> None:
        self.name = ""
        self._arguments = ""
        self._index = index
        self._id = f"fc_{suffix}"
        self._call_id = call.id or f"call_{suffix}"

    @property
    def whole(self) -> bool:
        """Whether its arguments can be taken as finished."""
        try:
            return isinstance(_decode(self._arguments), dict)
        except (msgspec.DecodeError, RecursionError):
            return False

    def begin(self) -> Iterator[Told]:
        """The event that opens it."""
        item = self._item("in_progress")
        yield {"type": "response.output_item.added", "output_index": self._index, "item": item}

    def write(self, text: str) -> Told:
        """More of the arguments."""
        self._arguments += text
        return {"type": "response.function_call_arguments.delta", **self._place, "delta": text}

    def end(self, status: str) -> Iterator[Told]:
        """The events that close it."""
        done = {"name": self.name, "arguments": self._arguments}
        yield {"type": "response.function_call_arguments.done", **self._place, **done}
        yield {"type": "response.output_item.done", "output_index": self._index, "item": self._item(status)}

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._id, "output_index": self._index}

    def _item(self, status: str) -> dict[str, Any]:
        called = {"call_id": self._call_id, "name": self.name, "arguments": self._arguments}
        return {"id": self._id, "type": "function_call", **called, "status": status}


_Item = TypeVar("_Item", _Text, _Call)


class Output:
    """The items of one response. `suffix` makes their ids its own.

    Attributes:
        items: those that have ended, by their place in the output.
    """

    def __init__(self, suffix: str) -> None:
        self.items: dict[int, dict[str, Any]] = {}
        self._suffix = suffix
        self._begun = 0
        self._answered = False
        self._open: list[_Text | _Call] = []
        self._last: _Text | _Call | None = None
        self._calls: dict[int, _Call] = {}

    def take(self, piece: Piece) -> list[Told]:
        """A piece was released: the events that tell it."""
        told: list[Told] = []
        if piece.call is not None:
            self._call(piece.call, told)
        elif piece.text and not piece.tag:
            kind = _REASONING if piece.channel == "reasoning" else _TEXT
            told.append(self._text(kind, told).write(piece.text, piece.logprobs))
        elif piece.raw is not None and not piece.tag and (refusal := _refusal(piece.raw)):
            told.append(self._text(_REFUSAL, told).write(refusal))
        if piece.guard is not None:
            self._guard(piece, told)
        return told

    def end(self, *, complete: bool) -> list[Told]:
        """The turn is over; `complete`: by its own end."""
        told: list[Told] = []
        if complete and not self._answered:
            self._text(_TEXT, told)  # an answer in chat has content too, if only ""
        for item in self._open:
            self._close(item, "completed" if complete else "incomplete", told)
        self._open = []
        return told

    def listed(self) -> list[dict[str, Any]]:
        """The items that have ended, in order."""
        return [self.items[index] for index in sorted(self.items)]

    def _text(self, kind: _Kind, told: list[Told]) -> _Text:
        last = self._last
        if isinstance(last, _Text) and last.kind is kind:
            return last
        return self._begin(_Text(kind, *self._next()), told)

    def _call(self, call: ToolDelta, told: list[Told]) -> None:
        item = self._calls.get(call.index)
        if item is None:
            item = self._calls[call.index] = _Call(call, *self._next())
            item.name = call.name
            self._begin(item, told)
        elif item in self._open:
            item.name += call.name
            self._last = item
        if call.arguments and item in self._open:
            told.append(item.write(call.arguments))

    def _guard(self, piece: Piece, told: list[Told]) -> None:
        assert piece.guard is not None
        if not told or not told[-1]["type"].endswith(".delta"):
            item = self._last or self._text(_REASONING if piece.channel == "reasoning" else _TEXT, told)
            told.append(item.write(""))
        told[-1]["guard"] = wire.guard_field(piece.guard)

    def _next(self) -> tuple[str, int]:
        index, self._begun = self._begun, self._begun + 1
        return f"{self._suffix}_{index}", index

    def _begin(self, item: _Item, told: list[Told]) -> _Item:
        for other in [other for other in self._open if other.whole]:
            self._open.remove(other)
            self._close(other, "completed", told)
        self._answered = self._answered or not (isinstance(item, _Text) and item.kind is _REASONING)
        self._open.append(item)
        self._last = item
        told += item.begin()
        return item

    def _close(self, item: _Text | _Call, status: str, told: list[Told]) -> None:
        told += item.end(status)
        self.items[told[-1]["output_index"]] = told[-1]["item"]


def _refusal(raw: Any) -> str:
    """What an upstream's chunk without text refuses with, or ""."""
    for choice in wire.payload(raw).get("choices") or ():
        found = (choice.get("delta") or {}).get("refusal")
        if isinstance(found, str):
            return found
    return ""


def _logprobs(told: Any) -> list[dict[str, Any]]:
    """Chat's log-probabilities of a chunk as those of a part; what is none of them is left out."""
    found = _tokens(told.get("content")) if isinstance(told, Mapping) else ()
    return [
        _logprob(one) | {"top_logprobs": [_logprob(top) for top in _tokens(one.get("top_logprobs"))]} for one in found
    ]


def _tokens(entries: Any) -> Iterator[Mapping[str, Any]]:
    for entry in entries if isinstance(entries, list) else ():
        token, logprob = (entry.get("token"), entry.get("logprob")) if isinstance(entry, Mapping) else (None, None)
        if isinstance(token, str) and isinstance(logprob, int | float):
            yield entry


def _logprob(entry: Mapping[str, Any]) -> dict[str, Any]:
    known = entry.get("bytes")
    bytes_ = known if isinstance(known, list) else list(entry["token"].encode(errors="replace"))
    return {"token": entry["token"], "bytes": bytes_, "logprob": entry["logprob"]}
