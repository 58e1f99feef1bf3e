"""Numbers of a text and what follows from them, for `guard.checks.tool_arguments`.

It knows numbers in figures ("1,299.50", "1.299,50", "2k") and in English words; not what they measure. That a number
follows from others is said generously: a sum, difference or product of two, a share in per cent, the half, the double,
cents for whole units, a total of numbers that stand in a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

MOST = 32
"""From more numbers than this any amount may follow."""

_FIGURE = re.compile(r"(?<!\w)(?:\d{1,3}(?:[.,'’ ]\d{3}){1,5}(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?)(?![^\W\d_]+\d)")
_SCALE = re.compile(r"\s?(k|m|thousand|million|hundred|dozen)\b", re.IGNORECASE)
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "hundred": 1e2, "dozen": 12.0}
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
_TENS = {word: 10.0 * n for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_WORDS = {word: float(n) for n, word in enumerate(_UNITS)} | _TENS | {"a": 1.0, "half": 0.5}
_SPELT = re.compile(
    r"\b(?:%s|hundred|thousand|million|dozen)(?:(?:[ -]|\s+and\s+)(?:%s|hundred|thousand|million|dozen))*\b"
    % ((r"|".join(_WORDS),) * 2),
    re.IGNORECASE,
)


def numbers_in(text: str) -> tuple[float, ...]:
    """The numbers of a text, without doubles, in order."""
    return tuple(dict.fromkeys((*_figures(text), *_spelt(text))))


def _figures(text: str) -> Iterator[float]:
    for found in _FIGURE.finditer(text):
        scale = _SCALE.match(text, found.end())
        if not found[0].isdigit():
            yield from map(float, re.findall(r"\d+", found[0]))  # "100,200" may be a list
        for value in _readings(found[0]):
            yield value
            if scale:
                yield value * _SCALES[scale[1].lower()]


def _readings(figure: str) -> Iterator[float]:
    """What a figure may be as one number: "1.299" is also 1299."""
    plain = re.sub(r"['’ ]", "", figure)
    marks = re.findall(r"[.,]", plain)
    if not marks:
        yield float(plain)
        return
    whole, last = plain.rsplit(marks[-1], 1)
    yield float(re.sub(r"[.,]", "", whole) + "." + last)
    if len(last) == 3:
        yield float(re.sub(r"[.,]", "", plain))


def amounts_of(value: str) -> tuple[float, ...]:
    """What the first figure of an argument may be."""
    found = _FIGURE.search(value)
    return tuple(_readings(found[0])) if found else ()


def _spelt(text: str) -> Iterator[float]:
    for found in _SPELT.finditer(text):
        total, part = 0.0, 0.0
        for word in re.split(r"[\s-]+", found[0].lower()):
            if word in _WORDS:
                part += _WORDS[word]
            elif word in ("hundred", "dozen"):
                part = (part or 1) * _SCALES[word]
            elif word in _SCALES:
                total, part = total + (part or 1) * _SCALES[word], 0.0
        yield total + part


def derivable(amount: float, numbers: Sequence[float]) -> bool:
    """Whether an amount is one of the numbers or follows from them; 0 and 1 always do."""
    size = abs(amount)
    if size in (0, 1) or len(numbers) > MOST:
        return True
    if any(_same(size, number * by) for number in numbers for by in (1, 100, 0.01, 0.5, 2)):
        return True
    if any(_same(size, n) for n in _totals(numbers)):
        return True
    return any(_from_two(size, a, b) for a in numbers for b in numbers)


def _totals(numbers: Sequence[float]) -> Iterator[float]:
    for start in range(len(numbers)):
        total = 0.0
        for number in numbers[start:]:
            total += number
            yield total


def _from_two(size: float, a: float, b: float) -> bool:
    products = (a * b, a * b / 100, a * (100 - b) / 100, a * (100 + b) / 100)
    return any(_same(size, n) for n in (a + b, a - b, *products)) or (b != 0 and _same(size, a / b))


def _same(size: float, number: float) -> bool:
    """Equal, but for rounding to cents."""
    return abs(size - number) < 0.006
