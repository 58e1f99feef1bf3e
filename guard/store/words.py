"""The words of a text, as they are searched for: the same in every database, whose own ideas of a word differ.

A word is letters and digits without accents, in lower case; a character of a script that is written without spaces is a
word of its own. Nothing in it is any database's query syntax.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 64
"""Characters of a word that count."""

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words in order."""
    return [word[:LONGEST] for word in _WORD.findall(_plain(text)) if word.isalnum()]


def _plain(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFKC", "".join(c for c in apart if not unicodedata.combining(c))).casefold()
