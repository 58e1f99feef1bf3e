"""Times, days and opening hours as they are written, for `guard.checks.fields`.

It knows no records and no sentences beyond the characters of a time. A time is minutes after midnight, 0..1440; a time
without "am" or "pm" may be either where it is 12 or less. Days are 0 (Monday) to 6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DAY = 1440
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ABBREVIATIONS = {
    "mon": 0,
    "tue": 1,
    "tues": 1,
    "wed": 2,
    "thu": 3,
    "thur": 3,
    "thurs": 3,
    "fri": 4,
    "sat": 5,
    "sun": 6,
}
TIME = r"(?:noon|midnight|\d{1,2}(?:[:.]\d{1,2}(?:[:.]00)?)?\s?(?:[ap]\.?m\b\.?|o['’]clock)?)"
_ONE = re.compile(
    r"(?P<h>\d{1,2})(?:[:.](?P<m>\d{1,2}))?(?:[:.]00)?\s?(?:(?P<half>[ap])\.?m\b\.?|o['’]clock)?", re.IGNORECASE
)
_RANGE = re.compile(rf"({TIME})\s*(?:-|–|—|to|until|till)\s*({TIME})", re.IGNORECASE)
_CLOSED = re.compile(r"\s*(?:closed|none|no|-)\s*", re.IGNORECASE)
_ALWAYS = re.compile(r"\b(?:24[ -]?(?:hours|h|/7)|open 24|00?:00?-24:00)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Open:
    """One day's hours: the readings of opening and closing; both empty: closed."""

    opens: frozenset[int]
    closes: frozenset[int]

    @property
    def is_closed(self) -> bool:
        """Whether the day has no hours."""
        return not self.opens


CLOSED = Open(frozenset(), frozenset())


def day_of(word: str) -> int | None:
    """The day that a word names."""
    word = word.lower().rstrip(".")
    word = word[:-1] if word.endswith("days") else word
    return _DAYS.index(word) if word in _DAYS else _ABBREVIATIONS.get(word)


def name_of(day: int) -> str:
    """The day's name."""
    return _DAYS[day].capitalize()


def minutes(written: str) -> frozenset[int]:
    """What a written time may mean; empty if it is none."""
    text = written.strip().lower()
    if text in ("noon", "midnight"):
        return frozenset({720}) if text == "noon" else frozenset({0})
    found = _ONE.fullmatch(text)
    if found is None:
        return frozenset()
    hour, minute = int(found["h"]), int(found["m"] or 0)
    if hour > 24 or minute > 59:
        return frozenset()
    if found["half"]:
        # "21:00 PM" is said often enough to be understood.
        hour = hour if hour > 12 else hour % 12 + (12 if found["half"] == "p" else 0)
        return frozenset({(hour * 60 + minute) % DAY})
    exact = (hour * 60 + minute) % DAY
    return frozenset({exact, (exact + 720) % DAY}) if 0 < hour <= 12 and ":" not in text else frozenset({exact})


def hours(written: str) -> Open | None:
    """A day's hours as a record writes them; None where they cannot be told, as for "0:0-0:0", which stands for a day
    without hours in some data and for the whole day in others."""
    if _CLOSED.fullmatch(written):
        return CLOSED
    if _ALWAYS.search(written):
        return None
    found = _RANGE.fullmatch(written.strip())
    if found is None:
        return None
    opens, closes = minutes(found[1]), minutes(found[2])
    return Open(opens, closes) if opens and closes and opens != closes else None


def said_range(first: str, second: str) -> Open | None:
    """Hours as a sentence says them; "9 to 5" and "9-5 pm" may be either half of the day."""
    opens, closes = minutes(first), minutes(second)
    return Open(opens | _other(first, opens), closes | _other(second, closes)) if opens and closes else None


def _other(written: str, found: frozenset[int]) -> frozenset[int]:
    bare = not re.search(r"[ap]\.?m|noon|midnight", written, re.IGNORECASE)
    return frozenset((m + 720) % DAY for m in found if m <= 720) if bare and len(found) == 1 else frozenset()
