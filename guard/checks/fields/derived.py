"""Numbers that follow from the record's, and words that say that one is meant otherwise, for `guard.checks.fields`.

"After the pending payment, the balance is 2,310.67", "with your 10% discount, the price is $1,079.10". It knows no
meaning: any sum, difference, product, quotient or percentage of two numbers counts, which by chance few small numbers
escape. Rules: such a number is no error where the sentence says that it is worked out (`is_qualified`), says one of the
two itself, or gives four digits and more; else it is worth a flag and no interruption. Factors are numbers of the
sentence and the record, small ones of the prose beside it too.
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache
from itertools import combinations, islice

from guard.checks.fields.index import Index
from guard.checks.fields.naming import stem

MOST = 60
"""With more numbers than these, any number may follow from some."""
_FACTORS = 12
_TELLING = 4
_RATED = tuple(map(stem, ("star", "stars", "rating", "ratings", "rated", "score")))
_QUALIFIED = re.compile(
    r"\b(?:with|without|after|before|includ(?:ing|es?|ed)|exclud(?:ing|es?|ed)|plus|minus|less|discount(?:ed|s)?|tax(?:es)?"
    r"|vat|tip|per|total(?:s|ling)?|about|around|remain(?:ing|s|der)|left|each|together|combined|difference|off)\b",
    re.IGNORECASE,
)
_BESIDE = re.compile(r"\bwith(?:\s+(?:an?|the|its|their))?\s+$", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,])\d{1,4}(?:\.\d{1,2})?(?!\w|[.,]\d)")
_WORDS = {w: float(n) for n, w in enumerate("two three four five six seven eight nine ten eleven twelve".split(), 2)}


def is_qualified(text: str, start: int) -> bool:
    """Whether a sentence says that a number is not the field's own; "with a price of", at `start`, does not."""
    beside = _BESIDE.search(text, max(0, start - 12), start)
    skipped = beside.start() if beside else -1
    return any(place != skipped for place in _qualifiers(text))


@lru_cache(maxsize=4)
def _qualifiers(text: str) -> tuple[int, ...]:
    return tuple(found.start() for found in islice(_QUALIFIED.finditer(text), 2))


def follows(value: float, written: str, text: str, index: Index, is_qualified: bool) -> bool | None:
    """Whether a number follows from two others; None where it may, by chance."""
    numbers = _numbers(index)
    if len(numbers) > MOST:
        return None if is_qualified else False
    decimals = len(written.partition(".")[2]) if written[0].isdigit() else 1
    key = round(value, decimals)
    if key in _with_factors(numbers, _said(text) - {value}, decimals):
        return True
    given = frozenset(float(word) for word in index.words if word.isdecimal() and len(word) <= 2)
    if key not in _of_two(numbers, decimals) and key not in _with_factors(numbers, _few(given), decimals):
        return False
    return True if is_qualified or _digits(written) >= _TELLING else None


def _numbers(index: Index) -> frozenset[float]:
    rated = {id(field) for name in _RATED for field in index.values.get(name, ())}
    return frozenset(f.value for f in index.fields if isinstance(f.value, float) and f.value and id(f) not in rated)


@lru_cache(maxsize=4)
def _said(text: str) -> frozenset[float]:
    """The numbers that a sentence says."""
    words = {_WORDS[word] for word in text.lower().split() if word in _WORDS}
    return _few(words | set(map(float, _NUMBER.findall(text))))


def _few(numbers: Set[float]) -> frozenset[float]:
    return frozenset(sorted(number for number in numbers if number > 1)[:_FACTORS])


def _digits(written: str) -> int:
    digits = written.replace(",", "").lstrip("0.") if written[0].isdigit() else ""
    return len((digits if "." in digits else digits.rstrip("0")).replace(".", ""))


@lru_cache(maxsize=16)
def _of_two(numbers: frozenset[float], decimals: int) -> frozenset[float]:
    found: set[float] = set()
    for a, b in combinations(sorted(numbers), 2):
        found.update((a + b, a - b, *((a * b, a * b / 100) if 1 not in (a, b) else ())))
    return _rounded(found, decimals)


@lru_cache(maxsize=16)
def _with_factors(numbers: frozenset[float], factors: frozenset[float], decimals: int) -> frozenset[float]:
    found: set[float] = set()
    for a in numbers:
        for f in factors:
            found.update((a * f, a / f, a * (1 - f / 100), a * (1 + f / 100), a * f / 100))
    return _rounded(found, decimals)


def _rounded(found: set[float], decimals: int) -> frozenset[float]:
    return frozenset(abs(round(number, decimals)) for number in found)
