"""Numbers at several points at once, for `guard.checks.arithmetic.formula`: what has no value at a point is nan there.

It does not know formulas. Nothing here raises, and nothing is slow: what is too large has no value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

Values = list[float]
"""One value a point; nan where there is none."""

POINTS = 6
FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "cot": lambda x: 1 / math.tan(x),
    "ln": math.log,
    "arcsin": math.asin,
    "arccos": math.acos,
    "arctan": math.atan,
}
"""What functions of one number are called in a formula."""


def divided(a: float, b: float) -> float:
    """a / b; nan where b is 0 but for rounding."""
    return a / b if abs(b) > 1e-13 else math.nan


def power(base: float, exponent: float) -> float:
    """A power that is real and not too large; else nan."""
    try:
        found = base**exponent
    except (OverflowError, ZeroDivisionError):
        return math.nan
    return found if isinstance(found, float) else math.nan


def factorial(x: float) -> float:
    """x!, between whole numbers too; nan where it is too large."""
    return math.gamma(x + 1) if -1 < x < 150 else math.nan


def choose(n: float, k: float) -> float:
    """n over k, between whole numbers too; nan where there is none."""
    if n == int(n) and k == int(k) and 0 <= k <= n <= 500:
        return float(math.comb(int(n), int(k)))
    return divided(factorial(n), factorial(k) * factorial(n - k))


def applied(function: Callable[..., float], *arguments: Values) -> Values:
    """Point by point; nan stays nan."""
    return [_at(function, each) for each in zip(*arguments, strict=True)]


def _at(function: Callable[..., float], arguments: tuple[float, ...]) -> float:
    if not all(map(math.isfinite, arguments)):
        return math.nan
    try:
        return function(*arguments)
    except (ValueError, OverflowError, ZeroDivisionError):
        return math.nan
