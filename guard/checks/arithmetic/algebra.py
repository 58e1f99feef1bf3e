"""Expressions with letters, roots and functions, worked out at a few points, for `guard.checks.arithmetic`.

Two expressions that differ at every point are not the same, whatever the letters stand for; two that agree somewhere
may be. Points depend on the letters' names alone, so that the same text always gets the same answer.

Floating point, so it never says that two things are equal, and only of things further apart than rounding can bring
them (`differ`) that they are not. It does not know what an equation claims, nor how a formula is read (`formula`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from guard.checks.arithmetic.formula import Formula, Unreadable
from guard.checks.arithmetic.mathtext import Symbol
from guard.checks.arithmetic.points import POINTS, Values

_ENOUGH = 3
"""Points at which both sides must have a value."""
MAX_SYMBOLS = 150
_CLOSE, _CANCELLED = 1e-9, 1e-12
"""Shares of the values, and of the largest value on the way to them, that rounding may take."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression at the points.

    Attributes:
        values: its values; `largest`: the largest on the way to each.
        letters: its variables.
        operations: how many there are; `sums`: those outside brackets that add, `nested`: those inside round ones.
        special: it holds a root, a function, a factorial, a binomial or π.
        decimal: it holds a decimal, which may have been rounded.
    """

    values: Values
    largest: Values
    letters: frozenset[str]
    operations: int
    sums: int
    nested: int
    special: bool
    decimal: bool


def evaluate(symbols: Sequence[Symbol], letters: Mapping[str, float] | None = None, far: float = 1.0) -> Expression:
    """Work it out; `letters`: at these values instead of the points; `far`: points that many times as large.

    Raises `Unreadable`, nothing else.
    """
    if not symbols or len(symbols) > MAX_SYMBOLS:
        raise Unreadable
    parser = Formula(symbols, lambda name: _values_of(name, letters, far))
    values = parser.run()
    return Expression(
        values=values,
        largest=parser.largest,
        letters=frozenset(parser.letters),
        operations=parser.operations,
        sums=parser.sums,
        nested=parser.nested,
        special=parser.special,
        decimal=parser.decimal,
    )


def differ(one: Expression, other: Expression) -> bool:
    """Whether they have different values wherever both have one, at `_ENOUGH` points at least."""
    known = [
        (a, b, _CLOSE * max(abs(a), abs(b)) + _CANCELLED * max(one.largest[at], other.largest[at]))
        for at, (a, b) in enumerate(zip(one.values, other.values, strict=True))
        if math.isfinite(a) and math.isfinite(b)
    ]
    return len(known) >= _ENOUGH and all(abs(a - b) > room for a, b, room in known)


def _values_of(name: str, letters: Mapping[str, float] | None, far: float) -> Values:
    if letters is not None:
        return [letters.get(name, math.nan)] * POINTS
    return [far * x for x in _points(name)]


def _points(name: str) -> Values:
    """Some below one and more above, none of them round."""
    state, points = crc32(name.encode()), []
    for at in range(POINTS):
        state = (state * 1103515245 + 12345) % 2**31
        share = state / 2**31
        points.append(0.15 + 0.7 * share if at % 3 == 0 else 1.3 + 2.9 * share)
    return points
