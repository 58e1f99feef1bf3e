"""Who answers, said before anything else: the chunk that begins a stream whose first event cannot go out as it came.

All chunks of a response bear the upstream's id. Where its first event is split there is none yet that says it, so a
chunk with the role alone, which is how the API itself begins, goes ahead. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from guard.backends import Item, Usage
from guard.chat.rest import event
from guard.core.events import Extra, Opened

_decode = msgspec.json.Decoder().decode
_HEAD = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class Introduction:
    """Of one attempt. `needed` until the first thing that has the upstream's id has gone out."""

    __slots__ = ("_first", "needed")

    def __init__(self, needed: bool) -> None:
        self.needed = needed
        self._first: bytes | None = None

    def learn(self, data: bytes) -> None:
        """The JSON of an event that has choices; the first one is kept."""
        self._first = self._first or data

    def before(self, items: list[Item]) -> list[Item]:
        """The items, with the introduction if one of them needs it."""
        for place, item in enumerate(items):
            if isinstance(item, Usage) or isinstance(item[1], Opened) or self._first is None:
                continue
            self.needed = False
            if getattr(item[1], "raw", None) is None and (raw := _role(self._first, item[0])) is not None:
                return [*items[:place], (item[0], Extra(0, raw)), *items[place:]]
            break
        return items


def _role(data: bytes, index: int) -> bytes | None:
    """A chunk with the head of this event; None where that has no name for the answer or the model."""
    chunk: dict[str, Any] = _decode(data)
    if not (chunk.get("id") and chunk.get("created") and chunk.get("model")):
        return None
    head = {name: chunk[name] for name in _HEAD if chunk.get(name) is not None}
    said: dict[str, Any] = {"delta": {"role": "assistant"}}
    if head.get("object") == "text_completion":
        said = {"text": ""}
    else:
        head["object"] = "chat.completion.chunk"
    return event(head | {"choices": [{"index": index, **said, "logprobs": None, "finish_reason": None}]})
