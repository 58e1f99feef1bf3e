"""Log-probabilities beside a delta's text: read as tokens, and taken out of bytes where only guard asked for them.

Pure. Knows OpenAI's `logprobs`. Does not know requests. Rules:
  Tokens are told only if together they spell the delta's text, to the character; else nobody knows where they stand.
  Taking log-probabilities out puts null in their place, as OpenAI does where they are not asked for; no other byte of
  an event changes. Where a name beside them is spelled with escapes or stands twice, the object around them is written
  anew, with its other values as they are.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from guard.core.types import Token

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_SPACE = b" \t\n\r"
_NULL = b"null"


def tokens(told: Any, text: str) -> tuple[Token, ...]:
    """The tokens that spell `text`, from the `logprobs` beside it; () where they do not, or there are none."""
    entries = told.get("content") if isinstance(told, dict) else None
    if not text or not isinstance(entries, list):
        return ()
    found = tuple(_spelled(entries))
    return found if len(found) == len(entries) and "".join(token.text for token in found) == text else ()


def _spelled(entries: list[Any]) -> Iterator[Token]:
    """Tokens with the characters that their bytes complete, up to the first entry that is none."""
    characters = codecs.getincrementaldecoder("utf-8")("replace")
    for entry in entries:
        logprob = entry.get("logprob") if isinstance(entry, dict) else None
        spelled = _bytes(entry) if isinstance(logprob, int | float) else None
        if spelled is None:
            return
        yield Token(id=-1, text=characters.decode(spelled), logprob=float(entry["logprob"]))


def _bytes(entry: dict[str, Any]) -> bytes | None:
    told, text = entry.get("bytes"), entry.get("token")
    if isinstance(told, list) and all(type(byte) is int and 0 <= byte < 256 for byte in told):
        return bytes(told)
    return text.encode(errors="replace") if isinstance(text, str) else None


def without_logprobs(data: bytes, raw: bytes | None) -> tuple[bytes, bytes | None]:
    """An event's JSON and its bytes (None stays None) without the log-probabilities of its choices.

    Takes time in proportion to the event. Raises msgspec.DecodeError where the event is no object.
    """
    hidden = _with_member(data, "choices", _choices)
    if hidden == data or raw is None:
        return hidden, raw
    head, found, tail = raw.partition(data)
    if found:
        return hidden, head + hidden + tail
    return hidden, b"data: " + hidden.replace(b"\n", b"\ndata: ") + b"\n\n"  # its JSON came in several lines


def _choices(data: bytes) -> bytes:
    """A list of choices without their log-probabilities; anything else as it is."""
    if not data.startswith(b"["):
        return data
    items = list(map(bytes, _ITEMS.decode(data)))
    spans, at = [], 1
    for item in items:  # between items stand nothing but white space and a comma
        at = _behind(data, at, _SPACE + b",")
        spans.append((at, at + len(item)))
        at += len(item)
    return _replaced(data, spans, list(map(_choice, items)))


def _choice(data: bytes) -> bytes:
    return _with_member(data, "logprobs", lambda _: _NULL) if data.startswith(b"{") else data


def _with_member(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """An object's JSON with one member's value changed; as it is without such a member."""
    members = {key: bytes(value) for key, value in _MEMBERS.decode(data).items()}
    if name not in members:
        return data
    at = _place(data, members, name)
    if at is None:
        members[name] = change(members[name])
        return msgspec.json.encode({key: msgspec.Raw(value) for key, value in members.items()})
    return _replaced(data, [(at, at + len(members[name]))], [change(members[name])])


def _place(data: bytes, members: dict[str, bytes], name: str) -> int | None:
    """Where a member's value begins; None unless every name stands once and is spelled without escapes."""
    at, found = _behind(data, 0, _SPACE + b"{"), None
    for key, value in members.items():
        quoted = b'"' + key.encode() + b'"'
        at = _behind(data, at, _SPACE + b",")
        if not data.startswith(quoted, at):
            return None
        at = _behind(data, at + len(quoted), _SPACE + b":")
        if not data.startswith(value, at):
            return None
        found = at if key == name else found
        at += len(value)
    return found if data.startswith(b"}", _behind(data, at, _SPACE)) else None


def _behind(data: bytes, at: int, marks: bytes) -> int:
    """The first place from `at` on that holds none of the marks."""
    while data[at : at + 1] and data[at] in marks:
        at += 1
    return at


def _replaced(data: bytes, spans: list[tuple[int, int]], values: list[bytes]) -> bytes:
    parts, at = [], 0
    for (start, end), value in zip(spans, values, strict=True):
        parts += [data[at:start], value]
        at = end
    return b"".join([*parts, data[at:]])
