"""What can be said of an attribute, and when two such values exclude each other, for `guard.checks.contradiction`.

Days of the week, times, dates and years, numbers, names, yes and no. It knows no sentences. Values that may be the same
(a year and a day in it, a number and its rounding, a name and a part of it) do not exclude each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["day", "time", "date", "number", "name", "polarity"]

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
TIME = r"(?:\d{1,2}(?::\d{2})?\s?[ap]\.?m\b\.?|\d{1,2}:\d{2}|noon|midnight)"
YEAR = r"(?:1[0-9]{3}|20[0-9]{2})(?![\d%]|[.,]\d)"
_ORDINAL = r"\d{1,2}(?!\d)(?:st|nd|rd|th)?"
DATE = (
    rf"(?:{_MONTH}\s{_ORDINAL}(?:,?\s{YEAR})?|{_ORDINAL}(?:\sof)?\s{_MONTH}(?:,?\s{YEAR})?|{_MONTH},?\s{YEAR}|{YEAR})"
)
NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b"
_WORDED = {w: n for n, w in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())}
_PARTS = re.compile(rf"(?P<month>{_MONTH})|(?P<year>{YEAR})|(?P<day>\d{{1,2}})", re.IGNORECASE)
_PARTICLES = frozenset(("the", "city", "and", "von", "van"))
_SCALE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


@dataclass(frozen=True, slots=True)
class Value:
    """One value as it is written."""

    kind: Kind
    text: str


def exclude(one: Value, other: Value) -> bool:
    """Whether both cannot be true of the same thing."""
    first, second = one.text.lower().strip(" ."), other.text.lower().strip(" .")
    if one.kind != other.kind or first == second:
        return False
    match one.kind:
        case "date":
            return _dates_differ(first, second)
        case "time":
            return _minutes(first) != _minutes(second)
        case "number":
            return _numbers_differ(first, second)
        case "name":
            return not set(_words(first)) & set(_words(second)) and not _is_short(one.text, other.text)
        case _:
            return True


def _dates_differ(one: str, other: str) -> bool:
    first, second = _date(one), _date(other)
    return any(first[part] != second[part] for part in first.keys() & second.keys())


def _date(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in _PARTS.finditer(text):
        kind = part.lastgroup or ""
        found[kind] = _month(part[0]) if kind == "month" else int(part[0])
    return found


def _month(word: str) -> int:
    return next(number for number, month in enumerate(_MONTHS) if month.startswith(word[:3].lower()))


def _minutes(text: str) -> int:
    if text in ("noon", "midnight"):
        return 720 if text == "noon" else 0
    hour, _, minute = re.sub(r"[^\d:]", "", text).partition(":")
    half = 720 if "p" in text else 0
    is_half = "p" in text or "a" in text
    return (int(hour) % 12 if is_half else int(hour)) * 60 + int(minute or 0) + half


def number(text: str) -> float:
    """A written number's value, its scale included."""
    words = text.lower().replace(",", "").lstrip("$€£").split()
    scale = _SCALE.get(words[-1], 1)
    return (float(_WORDED[words[0]]) if words[0] in _WORDED else float(words[0])) * scale


def _numbers_differ(one: str, other: str) -> bool:
    first, second = number(one), number(other)
    # 8.3 million and 8,336,817, or 330 and 324, may be the same number told with less care.
    return abs(first - second) > 0.05 * max(abs(first), abs(second))


def _words(text: str) -> list[str]:
    return [
        word for word in re.findall(r"\w+", text) if len(word) > 2 and word not in ("the", "city", "and", "von", "van")
    ]


def _is_short(one: str, other: str) -> bool:
    """Whether one name may be the initials of the other."""
    initials = ("".join(word[0] for word in name.split() if word[:1].isupper()) for name in (one, other))
    return any(
        short.replace(".", "") in (one.replace(".", ""), other.replace(".", "")) for short in initials if len(short) > 1
    )
