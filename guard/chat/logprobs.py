"""Log-probabilities beside a delta's text: read as tokens, and taken out of bytes where only guard asked for them.

Pure. Knows OpenAI's `logprobs`, a chat's and a raw completion's. Does not know requests. Rules:
  Tokens are told only if together they spell the delta's text, to the character; else nobody knows where they stand.
  Taking log-probabilities out puts null in their place, as OpenAI does where they are not asked for; of alternatives
  the first stay. No other byte of an event changes. Where a name beside them is spelled with escapes or stands twice,
  the object around them is written anew, with its other values as they are.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import msgspec

from guard.core.types import Token

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_SPACE = b" \t\n\r"
_NULL = b"null"


def tokens(told: Any, text: str, most: int = 0) -> tuple[Token, ...]:
    """The tokens that spell `text`, from the `logprobs` beside it; () where they do not, or there are none.

    `most`: alternatives to read with each; no upstream tells their ids, so they are known by their texts.
    """
    entries = _entries(told) if isinstance(told, dict) else None
    if not text or not isinstance(entries, list):
        return ()
    found = tuple(_spelled(entries, most))
    return found if len(found) == len(entries) and "".join(token.text for token in found) == text else ()


def only_alternatives(told: Any, most: int) -> Any:
    """A chat's `logprobs` with at most so many alternatives a token."""
    entries = told.get("content") if isinstance(told, dict) else None
    if not isinstance(entries, list):
        return told
    return told | {"content": [_shortened(entry, most) for entry in entries]}


def _shortened(entry: Any, most: int) -> Any:
    top = entry.get("top_logprobs") if isinstance(entry, dict) else None
    return entry | {"top_logprobs": top[:most]} if isinstance(top, list) else entry


def _entries(told: dict[str, Any]) -> Any:
    """One object a token; a raw completion tells parallel lists."""
    if "content" in told or not isinstance(texts := told.get("tokens"), list):
        return told.get("content")
    logprobs, tops = told.get("token_logprobs"), told.get("top_logprobs")
    if not isinstance(logprobs, list) or len(logprobs) != len(texts):
        return None
    alternatives = map(_ranked, tops) if isinstance(tops, list) and len(tops) == len(texts) else repeat(None)
    return [
        {"token": text, "logprob": logprob, "top_logprobs": top}
        for text, logprob, top in zip(texts, logprobs, alternatives, strict=False)
    ]


def _ranked(top: Any) -> list[Any]:
    """A raw completion's alternatives, best first: it tells them in no order."""
    items = top.items() if isinstance(top, dict) else ()
    found = [{"token": text, "logprob": logprob} for text, logprob in items if isinstance(logprob, int | float)]
    return sorted(found, key=lambda one: -one["logprob"])


def _spelled(entries: list[Any], most: int) -> Iterator[Token]:
    """Tokens with the characters that their bytes complete, up to the first entry that is none."""
    characters = codecs.getincrementaldecoder("utf-8")("replace")
    for entry in entries:
        logprob = entry.get("logprob") if isinstance(entry, dict) else None
        spelled = _bytes(entry) if isinstance(logprob, int | float) else None
        if spelled is None:
            return
        top = list(_top(entry.get("top_logprobs"), most))
        yield Token(
            id=-1,
            text=characters.decode(spelled),
            logprob=float(entry["logprob"]),
            top=tuple((-1, likely) for _, likely in top),
            top_texts=tuple(text for text, _ in top),
        )


def _top(told: Any, most: int) -> Iterator[tuple[str, float]]:
    """The first alternatives, up to one that cannot be read: what follows it would not be the next best."""
    for one in told[:most] if isinstance(told, list) else ():
        text, logprob = (one.get("token"), one.get("logprob")) if isinstance(one, dict) else (None, None)
        if not isinstance(text, str) or not isinstance(logprob, int | float):
            return
        yield text, float(logprob)


def _bytes(entry: dict[str, Any]) -> bytes | None:
    told, text = entry.get("bytes"), entry.get("token")
    if isinstance(told, list) and all(type(byte) is int and 0 <= byte < 256 for byte in told):
        return bytes(told)
    return text.encode(errors="replace") if isinstance(text, str) else None


def without_logprobs(data: bytes, raw: bytes | None, most: int | None = None) -> tuple[bytes, bytes | None]:
    """An event's JSON and its bytes (None stays None) without the log-probabilities of its choices, or with at most
    `most` alternatives a token.

    Takes time in proportion to the event. Raises msgspec.DecodeError where the event is no object.
    """
    hidden = _with_member(data, "choices", lambda choices: _each(choices, lambda choice: _choice(choice, most)))
    if hidden == data or raw is None:
        return hidden, raw
    head, found, tail = raw.partition(data)
    if found:
        return hidden, head + hidden + tail
    return hidden, b"data: " + hidden.replace(b"\n", b"\ndata: ") + b"\n\n"  # its JSON came in several lines


def _each(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A list with each of its items changed; anything else as it is."""
    if not data.startswith(b"["):
        return data
    items = list(map(bytes, _ITEMS.decode(data)))
    spans, at = [], 1
    for item in items:  # between items stand nothing but white space and a comma
        at = _behind(data, at, _SPACE + b",")
        spans.append((at, at + len(item)))
        at += len(item)
    return _replaced(data, spans, list(map(change, items)))


def _choice(data: bytes, most: int | None) -> bytes:
    return _inside(data, "logprobs", lambda told: _NULL if most is None else _fewer(told, most))


def _fewer(told: bytes, most: int) -> bytes:
    return _inside(
        told, "content", lambda entries: _each(entries, lambda entry: _inside(entry, "top_logprobs", _first(most)))
    )


def _first(most: int) -> Callable[[bytes], bytes]:
    def first(data: bytes) -> bytes:
        items = list(map(bytes, _ITEMS.decode(data))) if data.startswith(b"[") else []
        return b"[" + b",".join(items[:most]) + b"]" if len(items) > most else data

    return first


def _inside(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """`_with_member` of what may be no object."""
    return _with_member(data, name, change) if data.startswith(b"{") else data


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
