"""Where a sentence says a relation, for `guard.checks.knowledge`: a pattern's words found, its two slots cut out.

It does not know facts. A pattern is its literal words around two slots, and the slots are found between the words by
plain search, never by a regular expression over the whole sentence: the time is linear in the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from guard.errors import ConfigError

Slot = Literal["subject", "object"]
Anchor = Literal["start", "end", "both"]
"""Where in a cut-out a name stands: at its start (words before it end there), at its end, or it is all of it."""

MAX_SLOT = 160
"""Characters that a slot may span."""
_MAX_PLACES = 8
_SLOT = re.compile(r"\{(subject|object)\}")
_ARTICLE_BEFORE_SLOT = re.compile(r"\s+(?:the|a|an)$", re.IGNORECASE)
_LEADING_ARTICLE = re.compile(r"^(?:the|a|an)\s+", re.IGNORECASE)
_ARTICLE = re.compile(
    r"\b(?:the|a|an)\s{1,4}(?:(?:current|present|actual|real|official|true|only)\s{1,4})?$", re.IGNORECASE
)
_QUALIFIED = re.compile(
    r"\b(?:(?:the|an?|its|their|our)\s+(?:(?!(?:the|an?|that|current|present|actual|real|official|true|only)\b)"
    r"[\w'’-]+\s+){1,2}|(?:former|previous|past|next|future|vice|deputy)\s+|(?:ex|co|vice)-)$",
    re.IGNORECASE,
)
"""What makes another thing of it: "the financial capital of", "former CEO of"."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class CutOut:
    """A stretch of a sentence in which a slot's name stands."""

    slot: Slot
    anchor: Anchor
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """One place where a sentence says a relation: both cut-outs, and the characters of the pattern's own words."""

    first: CutOut
    second: CutOut
    start: int
    end: int


class Pattern:
    """One way to say a relation, such as ``{subject} was born in {object}.``; raises `ConfigError` if it is none."""

    def __init__(self, pattern: str, relation: str) -> None:
        parts = _SLOT.split(pattern)
        if len(parts) != 5 or parts[1] == parts[3]:
            raise ConfigError(
                f"pattern {pattern!r} of relation {relation!r} must hold {{subject}} and {{object}} once each"
            )
        self.slots: tuple[Slot, Slot] = (_slot(parts[1]), _slot(parts[3]))
        before, between, after = (_literal(part) for part in (parts[0], parts[2], parts[4].rstrip(" .!")))
        if not _WORD.search(between):
            raise ConfigError(
                f"pattern {pattern!r} of relation {relation!r} needs a word between {{subject}} and {{object}}"
            )
        self._words = sorted(set(_WORD.findall(f"{before} {between} {after}".lower())), key=len, reverse=True)
        self._before, self._between, self._after = (_search(part) for part in (before, between, after))
        self._article = bool(before) and _LEADING_ARTICLE.match(parts[0]) is not None

    def places(self, text: str, lowered: str) -> Iterator[Place]:
        """Where `text` says it; `lowered` is ``text.lower()``, to turn most sentences down at once."""
        if self._words[0] not in lowered or self._between is None:
            return
        if not all(word in lowered for word in self._words):
            return
        for number, match in enumerate(self._between.finditer(text)):
            if number >= _MAX_PLACES:
                return
            if place := self._place(text, match):
                yield place

    def _place(self, text: str, match: re.Match[str]) -> Place | None:
        start, end = max(0, match.start() - MAX_SLOT), min(len(text), match.end() + MAX_SLOT)
        first: Anchor = "end"
        second: Anchor = "start"
        spoken, said = match.start(), match.end()
        if self._before is not None:
            before = list(self._before.finditer(text, start, match.start()))[-1:]
            if not before:
                return None
            spoken, start, first = before[0].start(), before[0].end(), "both"
            led = _led(text, spoken) if self._article else spoken
            if led is None:
                return None
            spoken = led
        if self._after is not None:
            after = self._after.search(text, match.end(), end)
            if after is None:
                return None
            said, end, second = after.end(), after.start(), "both"
        return Place(
            CutOut(self.slots[0], first, start, match.start()),
            CutOut(self.slots[1], second, match.end(), end),
            spoken,
            said,
        )


def _led(text: str, start: int) -> int | None:
    """Where the article in front of a pattern's words is, `start` without one; None behind an adjective."""
    before = text[max(0, start - MAX_SLOT) : start]
    if article := _ARTICLE.search(before):
        return start - len(before) + article.start()
    return None if _QUALIFIED.search(before) else start


def _slot(name: str) -> Slot:
    return "subject" if name == "subject" else "object"


def _literal(part: str) -> str:
    """A pattern's own words, without the articles at their ends, which names may bring along."""
    return _LEADING_ARTICLE.sub("", _ARTICLE_BEFORE_SLOT.sub("", " ".join(part.split())))


def _search(literal: str) -> re.Pattern[str] | None:
    if not literal:
        return None
    words = r"\s{1,4}".join(re.escape(word) for word in literal.split(" "))
    left = r"(?<!\w)" if literal[0].isalnum() else ""
    right = r"(?!\w)" if literal[-1].isalnum() else ""
    return re.compile(left + words + right, re.IGNORECASE)
