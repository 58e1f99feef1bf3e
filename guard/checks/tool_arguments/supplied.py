"""What a request supplies, made ready for look-ups, for `guard.checks.tool_arguments`.

It knows text and values; not arguments, tools or scores. Built once a request: linear in the text, the numbers only
when one is asked for.

Rules: an identity is found whatever its letter case and the marks between its characters ("A-1043", "a 1043",
"#A1043"), never inside a longer run of letters or digits. The client's own words (`user`) count as supplied, but
nothing is ever given back from them. Escapes of JSON text are read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import SequenceMatcher
from functools import cached_property

from guard.checks.tool_arguments.numbers import amounts_of, derivable, numbers_in
from guard.core.types import Passage

_ACCENT = re.compile("[\u0300-\u036f]")
_SOLID = re.compile(r"[\W_]+")
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_COMPOSITE = re.compile(r"[/:.|@]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrt/])")
_WITH_DIGIT = re.compile(r"(?<!\S)[^\s\d]{0,40}\d\S{0,80}")
_TOKEN = re.compile(r"[^\W_]+(?:[-_/.#][^\W_]+)*")
_FOREIGN = re.compile(r"[^\W\d_\x00-\u02af]")
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_MONTHS = "january february march april may june july august september october november december".split()
_EDGES = (1, 28, 29, 30, 31)
"""A month's first and last day stand for the month."""
_RELATIVE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|(?:next|this|last|coming|past|in|for|after|before|within|every)\s+"
    r"(?:\w+\s+)?(?:days?|nights?|weeks?|weekend|months?|years?|quarter|\w+day|spring|summer|autumn|fall|winter)"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|weekends?|christmas|easter|new year|\d+[- ]?(?:days?|nights?|weeks?"
    r"|months?)|heute|morgen|gestern|hoy|mañana|ayer|demain|hier|aujourd)\b",
    re.IGNORECASE,
)


_LETTERED = re.compile(r"[^\W\d_]+[\W_]*(\d{3,})")
PHONE = 7
"""Digits that tell a phone number from others, behind what prefix soever."""
ALIKE = 0.8
"""How much of two e-mail addresses must be the same for one to be a slip for the other."""
NEAR = 40
"""Characters before a bare number in which the name of its kind must stand."""


def fold(text: str) -> str:
    """Lower case without accents, full-width forms as plain ones."""
    if text.isascii():
        return text.lower()
    return _ACCENT.sub("", unicodedata.normalize("NFKD", text)).casefold()


def solid(folded: str) -> str:
    """Letters and digits alone, of folded text."""
    return _SOLID.sub("", folded)


def shape_of(value: str) -> str:
    """What a value looks like: letters are A, digits 9, marks as they are."""
    return _DIGIT.sub("9", _LETTER.sub("A", value))


class Supplied:
    """The text of `passages`."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._raw = _read("\n".join(p.text for p in passages))
        self._given = _read("\n".join(p.text for p in passages if p.source != "user"))
        self._text = fold(self._raw)
        self._solid = solid(self._text)

    def has(self, value: str) -> bool:
        """Whether this identity is supplied, however it is written."""
        if self._has(value):
            return True
        parts = [part for part in _COMPOSITE.split(value) if part]
        return len(parts) > 1 and all(len(part) > 3 and self._has(part) for part in parts)

    def _has(self, value: str) -> bool:
        folded = fold(value)
        key = solid(folded)
        key = key.lstrip("0") or key if key.isdigit() else key
        # The search across marks is slow: what is missing is mostly missing here too, and the rest stands as it is.
        if not key or key not in self._solid:
            return False
        return self._stands(folded) or self._stands_with_marks(key)

    def _stands(self, folded: str) -> bool:
        at = self._text.find(folded)
        while at >= 0:
            before, behind = self._text[max(0, at - 1) : at], self._text[at + len(folded) : at + len(folded) + 1]
            if not (before.isalnum() or behind.isalnum()):
                return True
            at = self._text.find(folded, at + 1)
        return False

    def _stands_with_marks(self, key: str) -> bool:
        pattern = r"[\W_]*".join(map(re.escape, key))
        return re.search(_no_more(key[0], "<!", "0*") + pattern + _no_more(key[-1], "!"), self._text) is not None

    def has_digits(self, value: str) -> bool:
        """Whether the digits of a number with letters before it are supplied by themselves."""
        found = _LETTERED.fullmatch(value)
        return found is not None and self._has(found[1])

    def has_text(self, value: str) -> bool:
        """Whether a text stands in what is supplied as it is, but for letter case."""
        return fold(value) in self._text

    def has_phone(self, value: str) -> bool:
        """Whether a phone number is supplied, with or without its country's prefix."""
        digits = re.sub(r"\D", "", value).lstrip("0")
        cuts = range(min(4, max(1, len(digits) - PHONE + 1)))
        return any(digits[cut:] in self._solid for cut in cuts) if len(digits) >= PHONE else self._has(digits)

    def names(self, value: str) -> tuple[int, int]:
        """How many words of a name are supplied, and how many it has."""
        words = [word for word in re.findall(r"[^\W\d_]+", fold(value)) if len(word) > 1]
        return sum(word in self._text for word in words), len(words)

    @cached_property
    def is_latin(self) -> bool:
        """Whether names can be compared letter by letter: nothing here is in a script that has to be transcribed."""
        return _FOREIGN.search(self._text) is None

    def has_date(self, value: str) -> bool:
        """Whether a date (ISO) is supplied in any form, or may follow from words such as "next week"."""
        _, month, day = value[:10].split("-")
        name = _MONTHS[int(month) - 1] if 0 < int(month) < 13 else month
        in_month = name[:3] in self._text or self._number(month)
        in_month = in_month and (int(day) in _EDGES or self._number(day))
        in_year = value[5:10] in ("01-01", "12-31") and self._number(value[:4])
        return in_month or in_year or self._is_next_to_one(value) or _RELATIVE.search(self._text) is not None

    def _is_next_to_one(self, value: str) -> bool:
        """Whether it is the day before or after a date that is supplied, such as that of today."""
        try:
            there = date.fromisoformat(value[:10]).toordinal()
            around = (date.fromordinal(there + by).isoformat() for by in (-1, 1))
            return any(day in self._text for day in around)
        except (ValueError, OverflowError):
            return False

    def _number(self, digits: str) -> bool:
        return re.search(rf"(?<!\d)0?{int(digits)}(?!\d)", self._text) is not None

    def has_amount(self, value: str) -> bool:
        """Whether an amount is supplied or follows from supplied numbers."""
        amounts = amounts_of(value)
        return not amounts or any(derivable(amount, self._numbers) for amount in amounts)

    @cached_property
    def _numbers(self) -> tuple[float, ...]:
        return numbers_in(self._raw)

    def only_alike(self, value: str, nouns: Sequence[str]) -> str:
        """The only value outside the user's own words that looks like this one, or "".

        A bare number looks like any other: it must stand behind one of `nouns`.
        """
        found: dict[str, re.Match[str]] = {}
        for token in self._emails_like(value) if "@" in value else self._shaped_like(value):
            found.setdefault(fold(token[0]), token)
        if len(found) != 1:
            return ""
        (token,) = found.values()
        return token[0] if not value.isdigit() or self._stands_behind(token.start(), nouns) else ""

    def _emails_like(self, value: str) -> Iterator[re.Match[str]]:
        for found in self._emails:
            if SequenceMatcher(None, fold(found[0]), fold(value)).ratio() >= ALIKE:
                yield found

    def _shaped_like(self, value: str) -> Sequence[re.Match[str]]:
        return self._shapes.get(shape_of(value), ())

    @cached_property
    def _emails(self) -> tuple[re.Match[str], ...]:
        return tuple(_EMAIL.finditer(self._given)) if "@" in self._given else ()

    @cached_property
    def _shapes(self) -> Mapping[str, list[re.Match[str]]]:
        """The tokens with a digit outside the user's own words, by what they look like."""
        shapes: dict[str, list[re.Match[str]]] = {}
        for run in _WITH_DIGIT.finditer(self._given):
            for found in _TOKEN.finditer(self._given, *run.span()):
                shapes.setdefault(shape_of(found[0]), []).append(found)
        return shapes

    def _stands_behind(self, at: int, nouns: Sequence[str]) -> bool:
        before = fold(self._given[max(0, at - NEAR) : at])
        return any(noun in before for noun in nouns)


def _read(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text) if "\\" in text else text


def _no_more(edge: str, direction: str, zeros: str = "") -> str:
    """The value does not go on: no digit beside a digit, no letter beside a letter."""
    if edge.isdigit():
        return rf"(?{direction}\d)" + zeros
    return rf"(?{direction}[^\W\d_])"
