"""Units of a number beside a field's name, against the unit that the field itself is in, for `guard.checks.fields`.

A field's unit is the last word of its key (``feels_like_c``, ``visibility_km``, ``price_eur``) or, for amounts, the
record's ``currency``; a sentence's stands right behind the number, or before it (``$``). It knows no rates of exchange
and no units but those below; a key without a unit has an unknown one. Rules: a conversion is right to within a unit of
the last digit that was said, or `SLACK` of itself, since records and sentences both round.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from guard.checks.fields.naming import words_of
from guard.checks.fields.records import Field

SLACK = 0.01
_LINEAR: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = (
    (
        "length",
        (
            ("mm millimeter millimetre", 0.001),
            ("cm centimeter centimetre", 0.01),
            ("m meter metre", 1.0),
            ("km kilometer kilometre", 1000.0),
            ("inch inches", 0.0254),
            ("ft foot feet", 0.3048),
            ("yd yard", 0.9144),
            ("mi mile", 1609.344),
        ),
    ),
    (
        "mass",
        (
            ("mg milligram", 0.001),
            ("g gram", 1.0),
            ("kg kilo kilogram", 1000.0),
            ("oz ounce", 28.3495),
            ("lb lbs pound", 453.592),
            ("ton tonne", 1e6),
        ),
    ),
    (
        "volume",
        (
            ("ml milliliter millilitre", 0.001),
            ("cl centiliter centilitre", 0.01),
            ("l liter litre", 1.0),
            ("gal gallon", 3.78541),
            ("pint", 0.473176),
            ("cup", 0.24),
        ),
    ),
    ("speed", (("kmh kph kmph km/h", 1.0), ("mph", 1.609344), ("m/s mps", 3.6), ("knot kn kt", 1.852))),
    (
        "time",
        (
            ("ms millisecond", 0.001),
            ("s sec second", 1.0),
            ("min minute", 60.0),
            ("h hr hour", 3600.0),
            ("day", 86400.0),
            ("week", 604800.0),
            ("month", 2629746.0),
            ("yr year", 31556952.0),
        ),
    ),
    ("data", (("kb", 1.0), ("mb", 1000.0), ("gb", 1e6), ("tb", 1e9))),
)
_DEGREES = {"c": "c", "celsius": "c", "f": "f", "fahrenheit": "f"}
_MONEY = {"$": "$", "dollar": "$", "usd": "usd", "€": "eur", "euro": "eur", "eur": "eur", "£": "gbp", "gbp": "gbp"}
_MONEY |= {code: code for code in ("chf", "jpy", "inr", "cad", "aud", "nzd", "sgd", "sek", "nok", "dkk", "pln", "cny")}
_DOLLARS = frozenset(("$", "usd", "cad", "aud", "nzd", "sgd"))
_EITHER = frozenset("min day week month year cup pint mile foot".split())
"""At a key's end these may be something else (``temp_min``, ``price_day``): they count beside a unit of their kind."""
_UNITS: dict[str, tuple[str, float]] = {
    name: (dimension, factor) for dimension, units in _LINEAR for names, factor in units for name in names.split()
}
_BEHIND = re.compile(
    r"[\s-]{0,2}(?:degrees?\s+|°\s?)?(?P<unit>[€$£]|km/h|m/s|[a-z]+)(?![\w/])|\s?°(?P<degrees>[cf])\b", re.IGNORECASE
)

Unit = tuple[str, float | str]
"""What is measured, and the factor to its first unit or the name of a degree or a currency."""


def said_unit(text: str, start: int, end: int) -> Unit | None:
    """The unit of the number at these characters of a sentence."""
    before = text[max(0, start - 3) : start].rstrip()[-1:]
    behind = _BEHIND.match(text, end)
    return _unit(before) if before in _MONEY else _unit((behind["unit"] or behind["degrees"]) if behind else "")


def field_unit(field: Field, fields: Iterable[Field], said: Unit) -> Unit | None:
    """The unit of a field beside a unit that is said: by its key, else, for money, by its record's one currency."""
    words = words_of(field.path[-1]) if field.path else []
    unit = _unit(words[-1]) if len(words) > 1 and words[-2] != "per" else None
    if unit and (words[-1] not in _EITHER or unit[0] == said[0]):
        return unit
    codes = currencies(other for other in fields if other.record == field.record) if said[0] == "money" else set()
    return _unit(codes.pop()) if len(codes) == 1 else None


def is_same(one: Unit, other: Unit) -> bool:
    """Whether two units are one; a bare "$" is any dollar."""
    return one == other or (one[1] in _DOLLARS and other[1] in _DOLLARS and "$" in (one[1], other[1]))


def currencies(fields: Iterable[Field]) -> set[str]:
    """The currencies that fields name as theirs."""
    named = (str(f.value).strip().lower() for f in fields if f.path and f.path[-1].lower().endswith("currency"))
    return {_MONEY[code] for code in named if code in _MONEY}


def converted(value: float, own: Unit, to: Unit) -> float | None:
    """A field's value in another unit; None where that takes more than a table."""
    if own[0] != to[0] or own[0] == "money":
        return None
    if own[0] == "degrees":
        return value * 9 / 5 + 32 if to[1] == "f" else (value - 32) * 5 / 9
    return value * float(own[1]) / float(to[1])


def is_conversion(said: float, written: str, value: float, own: Unit, to: Unit) -> bool:
    """Whether a number with its unit is a field's value in that unit, rounded."""
    true = converted(value, own, to)
    digit = 10.0 ** -len(written.partition(".")[2])
    return true is not None and abs(abs(true) - said) <= max(digit, SLACK * abs(true)) + 1e-9


def _unit(word: str) -> Unit | None:
    word = word.lower()
    for name in (word, word.removesuffix("s")):
        if name in _DEGREES:
            return "degrees", _DEGREES[name]
        if name in _MONEY:
            return "money", _MONEY[name]
        if name in _UNITS:
            return _UNITS[name]
    return None
