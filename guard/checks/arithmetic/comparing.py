"""Whether two sides of a relation are the same, or may be meant to be, for `guard.checks.arithmetic.equation`.

It does not know where the sides stand.
"""

from __future__ import annotations

from fractions import Fraction

from guard.checks.arithmetic.expression import Side

_SHIFTS = (Fraction(100), Fraction(1000), Fraction(10**6))
_FAMILIES = (
    "second sec minute min hour hr day night week weekday weekend month year decade century s h",
    "inch foot feet yard mile mm cm m km meter metre kilometer kilometre centimeter millimeter ft in",
    "ounce oz pound lb lbs ton gram g kg kilogram mg milligram",
    "cup pint quart gallon liter litre ml milliliter tablespoon teaspoon l",
    "cent penny pennies nickel dime quarter dollar buck euro usd eur",
    "dozen pair k thousand hundred million",
)
_FAMILY = {unit: number for number, family in enumerate(_FAMILIES) for unit in family.split()}


def _values(side: Side) -> tuple[Fraction, ...]:
    return (side.value, *side.readings)


def holds(left: Side, right: Side, approximate: bool) -> bool:
    """Whether some reading of both sides makes them equal, after rounding."""
    pairs = [(a, b) for a in _values(left) for b in _values(right)]
    if any(a == b for a, b in pairs):
        return True
    if any(_rounds_to(a, b, _step(right, b)) or _rounds_to(b, a, _step(left, a)) for a, b in pairs):
        return True
    if right.lead is not None and any(a == right.lead[0] or _rounds_to(a, *right.lead) for a in _values(left)):
        return True
    return approximate and any(_near(a, b, Fraction(1, 100)) for a, b in pairs)


def _step(side: Side, value: Fraction) -> Fraction:
    return side.ulp * 100 if side.percent and value != side.value else side.ulp


def _rounds_to(exact: Fraction, shown: Fraction, step: Fraction) -> bool:
    """Whether `exact` is `shown` after rounding (half up, half even) or cutting to whole `step`s."""
    if not step:
        return False
    away = abs(exact - shown)
    return away <= step / 2 or (away < step and abs(shown) < abs(exact))


def _near(a: Fraction, b: Fraction, share: Fraction) -> bool:
    return abs(a - b) <= share * max(abs(a), abs(b))


def converts(left: Side, right: Side) -> bool:
    """Whether the sides differ by a conversion that is told by units, or by cents for dollars."""
    families = [_FAMILY[unit] for unit in left.spoken | right.spoken if unit in _FAMILY]
    if len(families) != len(set(families)):
        return True
    if left.currency or right.currency:
        return left.value in (right.value * 100, right.value / 100)
    return False


def doubtful(left: Side, right: Side, relation: str) -> bool:
    """Whether units, a near miss or a usual way of writing may explain that they differ."""
    if left.doubtful or right.doubtful or left.rated or right.rated:
        return True
    if right.percent and not left.percent and abs(left.value) > 1:
        return True
    if left.units and left.units != (right.units or left.units):
        return True
    if _near_miss(left, right) or _is_range(left, right) or _is_shift(left.value, right.value):
        return True
    return relation == "~" and _near(left.value, right.value, Fraction(1, 10))


def _is_shift(left: Fraction, right: Fraction) -> bool:
    """5 * 3 = 15,000: thousands that were left out, or cents for dollars."""
    return bool(left and right) and any(left / right in (shift, 1 / shift) for shift in _SHIFTS)


def _near_miss(left: Side, right: Side) -> bool:
    """Decimals may have been rounded before, and a quotient rounded up ("10 / 3 = 4 buses")."""
    if (left.inexact or right.inexact) and _near(left.value, right.value, Fraction(1, 100)):
        return True
    return left.divides and right.bare and 0 < right.value - left.value < right.ulp


def is_fraction(side: Side) -> bool:
    """3/4, written without spaces."""
    return len(side.tokens) == 3 and side.tokens[1].text == "/" and side.tokens[0].end == side.tokens[1].start


def _is_range(left: Side, right: Side) -> bool:
    """3-4 may be pages, 24/7 a habit, and 2019 - 2023 four years."""
    tokens = left.tokens
    if len(tokens) != 3 or tokens[1].text != "-" or left.value >= 0:
        return False
    tight = tokens[0].end == tokens[1].start and tokens[1].end == tokens[2].start
    years = all(len(token.text) == 4 and token.text.isdigit() for token in (tokens[0], tokens[2]))
    return tight or (years and right.value in (-left.value, 1 - left.value))
