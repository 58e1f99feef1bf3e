"""What is left of an event once its text, its calls and its finish have been taken out: the fields nobody reads.

Pure: bytes in, bytes out. An event that is split into several things cannot be sent on as it came; so that nothing of
it is lost, the rest goes out in a chunk of its own, behind the text it came with. Nulls say nothing and are no rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from guard.chat.merge import beside_choices, beside_delta

_decode = msgspec.json.Decoder().decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_HEAD = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
_READ = frozenset({"role", "content", "reasoning_content", "reasoning", "tool_calls"})
_READ_OF_A_CALL = frozenset({"index", "id", "function"})


def event(fields: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


def without_usage(data: bytes) -> bytes | None:
    """The event without its usage, every other field in the very bytes it came in; None if it tells none.

    Raises msgspec.DecodeError if it is no JSON object.
    """
    fields = _fields(data)
    return None if fields.pop("usage", None) is None else event(fields)


def rest(
    data: bytes, position: int | None, calls: Sequence[int] = (), *, logprobs: bool = False, fields: bool = True
) -> bytes | None:
    """The rest of one choice of an event, as an event; None if there is none.

    Args:
        data: the event's JSON, a chunk or a whole answer.
        position: of the choice in `choices`; the first one takes along what stands at the top of the event. None:
            that alone.
        calls: the index of each of its calls, as guard counts them.
        logprobs: they belong to the rest, for no text took them.
        fields: so does everything else that is not read.
    """
    chunk = _decode(data)
    told = (
        {}
        if position or not fields
        else {name: value for name, value in beside_choices(chunk).items() if name not in _HEAD}
    )
    choices = [] if position is None else [_choice(_of_rest(chunk["choices"][position], fields), calls, logprobs)]
    if not told and not any(_tells(choice) for choice in choices):
        return None
    head = {name: chunk[name] for name in _HEAD if chunk.get(name) is not None}
    if head.get("object") != "text_completion":
        head["object"] = "chat.completion.chunk"
    return event(head | {"choices": choices} | told)


def _of_rest(choice: Mapping[str, Any], fields: bool) -> Mapping[str, Any]:
    return choice if fields else {name: choice[name] for name in ("index", "text", "logprobs") if name in choice}


def _choice(choice: Mapping[str, Any], calls: Sequence[int], logprobs: bool) -> dict[str, Any]:
    delta = choice.get("delta") or choice.get("message") or {}
    left = {name: value for name, value in delta.items() if name not in _READ and value is not None}
    if isinstance(delta.get("content"), list) and (parts := [part for part in delta["content"] if _unread(part)]):
        left["content"] = parts
    if delta.get("reasoning") and not isinstance(delta["reasoning"], str):
        left["reasoning"] = delta["reasoning"]
    pairs = zip(calls, delta.get("tool_calls") or (), strict=False)
    if kept := [{"index": index, **found} for index, call in pairs if (found := _call(call))]:
        left["tool_calls"] = kept
    spoken = choice.get("logprobs") if logprobs else None
    body = {"text": ""} if isinstance(choice.get("text"), str) else {"delta": left}
    return {
        "index": choice.get("index") or 0,
        **body,
        "logprobs": spoken,
        "finish_reason": None,
        **beside_delta(choice),
    }


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    left = {name: value for name, value in call.items() if name not in _READ_OF_A_CALL and value is not None}
    return {} if left == {"type": "function"} else left


def _unread(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") not in ("text", "thinking")


def _tells(choice: Mapping[str, Any]) -> bool:
    return bool(choice.get("delta")) or choice["logprobs"] is not None or len(choice) > 4
