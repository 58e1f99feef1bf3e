"""A claim found again in other text, as `normalise` compares statements: case, spacing and outer punctuation do not
count, and a claim is never a part of a word."""

from __future__ import annotations

import re

from guard.core.types import normalise


def repeats(claim: str, text: str) -> bool:
    """Whether the text contains the claim."""
    pattern = _pattern(claim)
    return pattern is not None and pattern.search(normalise(text)) is not None


def before_repeat(claim: str, text: str) -> str:
    """The text up to where it repeats the claim."""
    found = places(claim, text)
    text = text[: found[0][0]].rstrip() if found else text
    # Case folding can lengthen a text, so that only the folded one shows the claim.
    return "" if repeats(claim, text) else text


def places(claim: str, text: str) -> list[tuple[int, int]]:
    """The stretches of the text that repeat the claim, as characters from and to."""
    pattern = _pattern(claim)
    return [found.span() for found in pattern.finditer(text)] if pattern else []


def _pattern(claim: str) -> re.Pattern[str] | None:
    words = normalise(claim).split()
    joint = r"\s+".join(map(re.escape, words))
    return re.compile(rf"(?<!\w){joint}(?!\w)", re.IGNORECASE) if words else None
