"""What a key is called in a sentence, for `guard.checks.fields`.

``RestaurantsTakeOut``, ``take_out`` and ``offers.takeOut`` are all "take out", "take-out", "takeout" and, by a small
list of words that mean the same anywhere, "takeaway". It does not know values or sentences. Names are compared as
their words' stems run together.
"""

from __future__ import annotations

import re
from functools import lru_cache

_KEY_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_EMPTY = frozenset(
    "business businesses restaurant restaurants has is are can does do allow allows accept accepts offer offers support"
    " supports provide provides good suitable for available availability enabled enable by the of a an in on option"
    " options attribute attributes info details data value field flag get list current total_of item items usd eur"
    " gbp celsius fahrenheit c f kg km kph mph mg ml cm mm gb mb seconds secs ms minutes pct percent".split()
)
_JOINED = (("wi", "fi"), ("e", "mail"), ("drive", "thru"), ("check", "in"), ("check", "out"))
_SAME: tuple[tuple[str, ...], ...] = (
    ("wifi", "wireless internet", "internet access", "wireless"),
    ("parking", "parking lot", "parking space", "parking facilities"),
    ("take out", "takeaway", "take away", "carry out", "to go orders", "takeout"),
    ("reservation", "reservations", "booking", "reserve a table", "table reservations"),
    ("outdoor seating", "outdoor dining", "outside seating", "seating outdoors", "outdoor tables", "outdoor patio"),
    ("groups", "group dining", "group"),
    ("ambience", "ambiance", "atmosphere", "vibe", "setting", "environment"),
    ("rating", "stars", "star rating", "rated", "review stars", "score"),
    ("price", "cost", "costs", "priced"),
    ("phone", "telephone", "phone number", "telephone number"),
    ("email", "e mail", "email address"),
    ("music", "live music"),
    ("pets", "dogs", "pet friendly", "dog friendly"),
    ("wheelchair accessible", "wheelchair access", "wheelchair accessibility"),
    ("delivery", "food delivery", "home delivery"),
    ("credit cards", "credit card", "card payment"),
    ("pool", "swimming pool"),
    ("gym", "fitness center", "fitness centre"),
    ("air conditioning", "air conditioned"),
    ("refundable", "refund", "refunds"),
    ("quantity", "count", "amount"),
    ("departure", "departs", "leaves"),
    ("arrival", "arrives"),
)
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "ied", "es", "ed", "s", "y", "e")


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its ending; words of four letters and fewer lose only an "s"."""
    word = word.lower()
    if len(word) <= 4:
        return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            return word[: -len(suffix)]
    return word


def words_of(key: str) -> list[str]:
    """The words of a key, lower case."""
    return [word.lower() for word in _KEY_WORD.findall(key)]


def compact(words: list[str]) -> str:
    """What names are compared by."""
    return "".join(stem(word) for word in words)


@lru_cache(maxsize=4000)
def names_of(key: str) -> tuple[str, ...]:
    """How a key may be said, compact: its telling words and what means the same."""
    words = words_of(key)
    telling = [word for word in words if word not in _EMPTY] or words
    names = {compact(words), compact(telling)}
    names |= {same for name in tuple(names) for same in _SYNONYMS.get(name, ())}
    if len(telling) > 1:
        # ``business_stars`` is a rating by its last word; nothing else follows from a part of a name.
        names |= set(_LAST.get(stem(telling[-1]), ()))
    return tuple(sorted(name for name in names if len(name) > 1))


_SYNONYMS: dict[str, tuple[str, ...]] = {
    compact(words_of(name)): tuple(compact(words_of(other)) for other in group) for group in _SAME for name in group
}
_LAST: dict[str, tuple[str, ...]] = {
    stem(word): _SYNONYMS[compact([word])] for word in ("stars", "rating", "price", "cost", "phone", "email", "score")
}
LONGEST = 4
"""Words of a sentence that one name may span."""
