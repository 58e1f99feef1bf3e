"""A claim found again in other text, as `normalise` compares statements: case, spacing and outer punctuation do not
count, nor do its list marker and marks of emphasis. A claim is never a part of a word, where a script parts words."""

from __future__ import annotations

import re
import unicodedata

from guard.core.resume import lead
from guard.core.types import normalise

_MARKS = "*_`~"
_BLANK = rf"(?:[{_MARKS}]*\s)+[{_MARKS}]*"
_UNPARTED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Thai, Lao, Burmese, Khmer, kana and Han: a word may begin anywhere."""

_WORD = rf"(?-i:[^\W_{_UNPARTED}])"
"""Case has no say in it; regarding it would make the pattern's making ten times as slow."""
_OF_WORD = re.compile(_WORD)
_EDGES = re.compile(r"[\W_]+")
_EMPHASIS = str.maketrans("", "", _MARKS)


def repeats(claim: str, text: str) -> bool:
    """Whether the text contains the claim."""
    pattern = _pattern(claim) if _may_repeat(claim, text) else None
    return pattern is not None and pattern.search(_compared(text)) is not None


def before_repeat(claim: str, text: str) -> str:
    """The text up to where it repeats the claim."""
    found = places(claim, text)
    text = text[: found[0][0]].rstrip() if found else text
    # Case folding can lengthen a text and composing shorten it, so that only the changed one shows the claim.
    return "" if repeats(claim, text) else text


def places(claim: str, text: str) -> list[tuple[int, int]]:
    """The stretches of the text that repeat the claim, as characters from and to."""
    pattern = _pattern(claim) if _may_repeat(claim, text) else None
    return [found.span() for found in pattern.finditer(text)] if pattern else []


def _may_repeat(claim: str, text: str) -> bool:
    """False where the claim's letters, accents apart, do not stand in the text. Most texts need no pattern, then, which
    takes milliseconds to make."""
    return _bare(claim[len(lead(claim)) :]) in _bare(text)


def _bare(text: str) -> str:
    apart = unicodedata.normalize("NFD", text.translate(_EMPHASIS).casefold())
    letters = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return "".join(_EDGES.sub(" ", letters).split()).replace("ı", "i")


def _compared(text: str) -> str:
    # A tokenizer that composes accents makes the same tokens of both spellings.
    return normalise(unicodedata.normalize("NFC", text))


def _pattern(claim: str) -> re.Pattern[str] | None:
    words = _words(claim[len(lead(claim)) :]) or _words(claim)
    if not words:
        return None
    letters = (rf"[{_MARKS}]*".join(map(re.escape, word)) for word in words)
    before = rf"(?<!{_WORD})" if _OF_WORD.match(words[0]) else ""
    behind = rf"(?!{_WORD})" if _OF_WORD.match(words[-1][-1]) else ""
    return re.compile(before + _BLANK.join(letters) + behind, re.IGNORECASE)


def _words(claim: str) -> list[str]:
    return _compared(claim.translate(_EMPHASIS)).split()
