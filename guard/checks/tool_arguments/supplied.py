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
from collections.abc import Sequence
from functools import cached_property

from guard.checks.tool_arguments.numbers import derivable, numbers_in
from guard.core.types import Passage

_SOLID = re.compile(r"[\W_]+")
_PARTS = re.compile(r"[^\W\d_]+|\d+")
_COMPOSITE = re.compile(r"[/:.|@]")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrt/])")
_TOKEN = re.compile(r"[^\W_]+(?:[-_/.#][^\W_]+)*")
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_MONTHS = "january february march april may june july august september october november december".split()
_RELATIVE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|(?:next|this|last|coming|past|in|for|after|before|within|every)\s+"
    r"(?:\w+\s+)?(?:days?|nights?|weeks?|weekend|months?|years?|quarter|\w+day|spring|summer|autumn|fall|winter)"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|weekends?|christmas|easter|new year|\d+[- ]?(?:days?|nights?|weeks?"
    r"|months?)|heute|morgen|gestern|hoy|mañana|ayer|demain|hier|aujourd)\b",
    re.IGNORECASE,
)


def fold(text: str) -> str:
    """Lower case without accents, full-width forms as plain ones."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in plain if not unicodedata.combining(c))


def solid(text: str) -> str:
    """Letters and digits alone."""
    return _SOLID.sub("", fold(text))


def shape_of(value: str) -> str:
    """What a value looks like: letters are A, digits 9, marks as they are."""
    return "".join("9" if c.isdigit() else "A" if c.isalpha() else c for c in value)


class Supplied:
    """The text of `passages`."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._raw = _read("\n".join(p.text for p in passages))
        self._given = _read("\n".join(p.text for p in passages if p.source != "user"))
        self._text = fold(self._raw)
        self._solid = solid(self._raw)

    def has(self, value: str) -> bool:
        """Whether this identity is supplied, however it is written."""
        if self._has(value):
            return True
        parts = [part for part in _COMPOSITE.split(value) if part]
        return len(parts) > 1 and all(len(solid(part)) > 3 and self._has(part) for part in parts)

    def _has(self, value: str) -> bool:
        key = solid(value)
        key = key.lstrip("0") or key if key.isdigit() else key
        # The search across marks is slow; most of what is missing is missing here too.
        if not key or key not in self._solid:
            return False
        pattern = r"[\W_]*".join(map(re.escape, key))
        return re.search(_no_more(key[0], "<!", "0*") + pattern + _no_more(key[-1], "!"), self._text) is not None

    def has_digits(self, value: str) -> bool:
        """Whether the digits of a value that also has letters are supplied by themselves."""
        return any(len(run) > 2 and self._has(run) for run in re.findall(r"\d+", value))

    def has_text(self, value: str) -> bool:
        """Whether a text stands in what is supplied as it is, but for letter case."""
        return fold(value) in self._text

    def has_phone(self, value: str) -> bool:
        """Whether a phone number is supplied, with or without its country's prefix."""
        digits = re.sub(r"\D", "", value).lstrip("0")
        for cut in range(min(4, max(1, len(digits) - 6))):
            if self._has(digits[cut:]):
                return True
        return False

    def names(self, value: str) -> tuple[int, int]:
        """How many words of a name are supplied, and how many it has."""
        words = [word for word in re.findall(r"[^\W\d_]+", fold(value)) if len(word) > 1]
        return sum(word in self._text for word in words), len(words)

    @property
    def is_latin(self) -> bool:
        """Whether names can be compared letter by letter: nothing here is in a script that has to be transcribed."""
        return not any(c.isalpha() and c > "ʯ" for c in self._text)

    def has_date(self, value: str) -> bool:
        """Whether a date (ISO) is supplied in any form, or may follow from words such as "next week"."""
        _, month, day = value[:10].split("-")
        name = _MONTHS[int(month) - 1] if 0 < int(month) < 13 else month
        in_month = name[:3] in self._text or self._number(month)
        # A month's first and last day stand for the month.
        return bool(_RELATIVE.search(self._text)) or (
            in_month and (int(day) in (1, 28, 29, 30, 31) or self._number(day))
        )

    def _number(self, digits: str) -> bool:
        return re.search(rf"(?<!\d)0?{int(digits)}(?!\d)", self._text) is not None

    def has_amount(self, value: str) -> bool:
        """Whether an amount is supplied or follows from supplied numbers."""
        (amount,) = numbers_in(value) or (None,)
        return amount is None or derivable(amount, self._numbers)

    @cached_property
    def _numbers(self) -> tuple[float, ...]:
        return numbers_in(self._raw)

    def only_alike(self, value: str) -> str:
        """The only value outside the user's own words that looks like this one, or ""."""
        pattern = _EMAIL if "@" in value else _TOKEN
        if "@" in value:
            found = {fold(token): token for token in pattern.findall(self._given)}
        else:
            shape = shape_of(value)
            found = {fold(t): t for t in pattern.findall(self._given) if len(t) == len(value) and shape_of(t) == shape}
        return next(iter(found.values())) if len(found) == 1 else ""


def _read(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text) if "\\" in text else text


def _no_more(edge: str, direction: str, zeros: str = "") -> str:
    """The value does not go on: no digit beside a digit, no letter beside a letter."""
    if edge.isdigit():
        return rf"(?{direction}\d)" + zeros
    return rf"(?{direction}[^\W\d_])"
