"""A tokenizer as the engine needs it: text to ids with and without control tokens, ids to bytes.

Knows tokenizers' JSON. Does not know chats, channels or models. Its rules:

1. `encode` is for text that the chat template wrote: control tokens in it are control tokens.
2. `plain` is for text that anybody else wrote: whatever it spells, no control token comes out, and nothing is put in
   front of it, so it can continue other text.
3. Nothing here is changed after it was built: any thread may use it.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer

from guard.errors import ConfigError

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Vocabulary:
    """Ids and text of one tokenizer.

    Args:
        tokenizer: a transformers tokenizer with a `tokenizers` backend.
        tags: control strings that count as text when the model writes them (the reasoning tags).

    Raises:
        ConfigError: it has no such backend, or spells text in a way that is not known here.
    """

    def __init__(self, tokenizer: Any, tags: tuple[str, ...] = ()) -> None:
        spec = _spec(tokenizer)
        onward = _onward(spec)
        self._first = _build(spec)
        self._onward = self._first if onward == spec else _build(onward)
        self._plain = _build({**onward, "added_tokens": []})
        self._added = {token["id"]: token for token in spec["added_tokens"]}
        self._tags = tags
        self._byte_level, self._space, self._fallback = _spelling(spec.get("decoder"))
        self.bytes = lru_cache(maxsize=None)(self._bytes)

    @property
    def control(self) -> tuple[str, ...]:
        """Strings that `encode` makes one token of; blank ones (runs of spaces, a newline) are ordinary text."""
        return tuple(t["content"] for t in self._added.values() if not t["content"].isspace())

    @property
    def special(self) -> tuple[str, ...]:
        """Those of `control` that the tokenizer calls special: never part of a message."""
        return tuple(t["content"] for t in self._added.values() if t["special"])

    def encode(self, text: str, *, first: bool = True) -> list[int]:
        """Ids of text that the template wrote; `first`: it stands at the very start of the context."""
        tokenizer = self._first if first else self._onward
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def plain(self, text: str) -> list[int]:
        """Ids of text that goes on from other text and holds no control token, whatever it spells."""
        ids = list(self._plain.encode(text, add_special_tokens=False).ids)
        if self._added.keys().isdisjoint(ids):
            return ids
        return [i for char in text for i in self._plain.encode(char, add_special_tokens=False).ids]

    def text(self, id: int) -> str:
        """The token's text by itself; half a character shows as U+FFFD."""
        return self.bytes(id).decode("utf-8", "replace")

    def _bytes(self, id: int) -> bytes:
        token = self._first.id_to_token(id)
        if token is None:  # models pad their vocabulary beyond the tokenizer's
            return b""
        if (added := self._added.get(id)) is not None:
            return b"" if added["special"] and token not in self._tags else token.encode()
        if self._byte_level:
            return bytes(_BYTES[char] for char in token)
        if self._fallback and (byte := _BYTE.fullmatch(token)):
            return bytes([int(byte[1], 16)])
        return token.replace(self._space, " ").encode() if self._space else token.encode()


def _spec(tokenizer: Any) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ConfigError(
            f"tokenizer {type(tokenizer).__name__!r} has no tokenizer.json; the transformers backend needs a fast one"
        )
    spec: dict[str, Any] = json.loads(backend.to_str())
    return {**spec, "truncation": None, "padding": None}


def _build(spec: dict[str, Any]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps({**spec, "post_processor": None}))


def _onward(spec: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer for text that does not begin the context: nothing is put in front of it."""
    return {**spec, **{key: _bare(spec.get(key)) for key in ("normalizer", "pre_tokenizer")}}


def _bare(part: dict[str, Any] | None) -> dict[str, Any] | None:
    if part is None or part["type"] == "Prepend":
        return None
    bare = dict(part)
    for key in ("normalizers", "pretokenizers"):
        if key in bare:
            bare[key] = [inner for inner in map(_bare, bare[key]) if inner is not None]
    if "prepend_scheme" in bare:
        bare["prepend_scheme"] = "never"
    if "add_prefix_space" in bare:
        bare["add_prefix_space"] = False
    return bare


def _spelling(decoder: Any) -> tuple[bool, str, bool]:
    """(bytes as letters, what stands for a space, bytes as `<0x..>`), read from the decoder's description."""
    told = json.dumps(decoder, ensure_ascii=False)
    if "ByteLevel" in told:
        return True, "", False
    if "▁" in told:
        return False, "▁", "ByteFallback" in told
    raise ConfigError(f"tokenizer decoder {told!r} is not supported: use a byte-level or sentencepiece tokenizer")


def _byte_letters() -> dict[str, int]:
    """GPT-2's letters for bytes: printable ones stand for themselves, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


_BYTES = _byte_letters()
