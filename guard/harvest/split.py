"""Which rows are for validation: whole conversations, drawn by a hash of their name.

A conversation is never in both, stays where it is when the log grows, and one that validates at a small share does so
at every larger one.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

Split = Literal["train", "validation"]


def split_of(conversation: str, share: float) -> Split:
    """Where a conversation belongs when `share` (0..1) of them validate."""
    digest = sha256(b"split\n" + conversation.encode()).digest()
    return "validation" if int.from_bytes(digest[:8], "big") < share * 2.0**64 else "train"


def utf8(text: str) -> str:
    """A name that every file can carry: one that UTF-8 cannot say is spelt with escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
