"""What makes two rows the same, and what makes them nearly so.

Pure: rows in, short digests out; which of the rows is kept is the index's affair (`seen.py`). Rules:

- Where a row comes from does not count: two rows are the same when the text, the tokens and the targets are.
- Nearly the same: the word shingles of two rows overlap by `NEAR` or more (Jaccard), and what they say of the text, as
  right or wrong, is the same. Only the end of a row's text is read, the `TAIL` characters in which the claim and what
  is learnt stand: a passage that many questions share does not make them the same question.
- One hash a shingle does for both: the `SKETCH` smallest estimate the overlap (exactly, of a text with no more than
  that many), and the smallest under each of `BANDS` x `WIDE` orders find the rows worth comparing. Texts that overlap
  by 0.8 are found 98 times in 100, by 0.9 practically always.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import blake2b, sha256
from struct import pack, unpack
from typing import Any

import msgspec

NEAR = 0.8
"""Overlap from which on two rows are nearly the same."""

TAIL = 1000
"""Characters of a row's text that are compared."""

SHINGLE = 3
"""Words in a shingle."""

SKETCH = 64
"""Hashes that are kept of a row."""

BANDS, WIDE = 8, 4

_WORD = re.compile(r"\w+")
_UNREAD = frozenset({"role", "kind", "channel", "type", "tools", "spans", "ids"})
"""Columns whose text is no text of the conversation."""


def _order(n: int) -> int:
    # Evenly apart in the highest bits, so that no two orders begin with the same shingle.
    low = int.from_bytes(blake2b(f"order {n}".encode(), digest_size=8).digest(), "big") >> 5
    return (n << 59) | low


_ORDERS = [_order(n).__xor__ for n in range(BANDS * WIDE)]


def exact(row: Mapping[str, Any], about: Collection[str]) -> bytes:
    """The digest of a row without the columns that say where it comes from, whatever their order."""
    content = {name: value for name, value in row.items() if name not in about}
    return blake2b(msgspec.json.encode(content, order="sorted"), digest_size=16).digest()


def near(row: Mapping[str, Any], about: Collection[str]) -> bytes:
    """What is kept of a row to find those like it: `BANDS` keys of 8 bytes, then its sketch."""
    content = {name: value for name, value in row.items() if name not in about}
    hashes = sorted(set(_hashes("\n".join(_texts(content))[-TAIL:], _said(content))))
    least = [min(map(order, hashes)) for order in _ORDERS]
    keys = [_key(band, least[band * WIDE : (band + 1) * WIDE]) for band in range(BANDS)]
    kept = [number >> 32 for number in hashes[:SKETCH]]
    return b"".join(keys) + pack(f">{len(kept)}I", *kept)


def bands(digest: bytes) -> list[int]:
    """The keys of a row's digest; rows that are nearly the same have one in common."""
    return list(unpack(f">{BANDS}q", digest[: 8 * BANDS]))


def sketch(digest: bytes) -> bytes:
    """What a row is compared by."""
    return digest[8 * BANDS :]


def overlap(one: bytes, other: bytes) -> float:
    """How much of the shingles of two rows is common to them (0..1), from their sketches."""
    left, right = _numbers(one), _numbers(other)
    whole = sorted(left | right)[:SKETCH]
    return len(left & right & set(whole)) / len(whole) if whole else 1.0


def _numbers(sketch: bytes) -> set[int]:
    return set(unpack(f">{len(sketch) // 4}I", sketch))


def _key(band: int, least: Sequence[int]) -> bytes:
    return blake2b(pack(f">B{WIDE}Q", band, *least), digest_size=8).digest()


def _said(content: Mapping[str, Any]) -> bytes:
    """What a row says of its text: a label, or one of each step."""
    said = [content.get(name) for name in ("label", "labels")]
    told = [one for one in said if isinstance(one, bool) or (one and isinstance(one[0], bool))]
    return sha256(repr(told).encode()).digest()


def _hashes(text: str, said: bytes) -> Iterator[int]:
    words = _WORD.findall(text.casefold())
    for at in range(max(1, len(words) - SHINGLE + 1)):
        shingle = " ".join(words[at : at + SHINGLE]).encode("utf-8", "replace")
        yield int.from_bytes(blake2b(shingle, digest_size=8, key=said).digest(), "big")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name not in _UNREAD:
                yield from _texts(item)
    elif isinstance(value, Sequence) and value and not isinstance(value[0], (int, float)):
        for item in value:
            yield from _texts(item)
