"""Log-probabilities beside a delta's text: read as tokens, and taken out of bytes where only guard asked for them.

Pure. Knows OpenAI's `logprobs`. Does not know requests. Rules:
  Tokens are told only if together they spell the delta's text, to the character; else nobody knows where they stand.
  Taking log-probabilities out puts null in their place, as OpenAI does where they are not asked for; no other byte of
  an event changes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from guard.core.types import Token


class _Choice(msgspec.Struct):
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    choices: list[_Choice] | None = None


_EVENTS = msgspec.json.Decoder(_Event)


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
    """An event's JSON and its bytes (None stays None) without the log-probabilities of its choices."""
    values = {bytes(choice.logprobs) for choice in _EVENTS.decode(data).choices or ()} - {b"null"}
    for value in values:
        member = re.compile(rb'("logprobs"\s*:\s*)' + re.escape(value))
        data, count = member.subn(rb"\1null", data)
        if raw is not None:
            raw, same = member.subn(rb"\1null", raw)
            raw = raw if same == count else b"data: " + data + b"\n\n"  # its JSON came in several lines
    return data, raw
