"""Recursive descent over a formula's symbols, computing as it reads, for `guard.checks.arithmetic.algebra`.

It does not know what letters stand for: it is told. What has several readings (f(x), a/bc, 2 1/2, AB, i, log without a
base, degrees outside a function) is unreadable. Bounds: depth, digits; powers and factorials too large have no value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from guard.checks.arithmetic.mathtext import GREEK, Symbol
from guard.checks.arithmetic.points import FUNCTIONS, POINTS, Values, applied, choose, divided, factorial, power

MAX_DEPTH = 24
MAX_DIGITS = 15
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_FRACTIONS = frozenset(("frac", "dfrac", "tfrac"))
_CALLS = frozenset("fghpqrstuv")
"""Small letters that are functions where a bracket follows; so is every capital."""
_OPERANDS = frozenset((*_FRACTIONS, *FUNCTIONS, *GREEK, "sqrt", "binom", "dbinom", "log", "boxed", "pi"))


class Unreadable(Exception):
    """The symbols are no expression, or one with several readings."""


class Formula:
    """One expression; `values_of` gives a letter's values. The attributes are those of `algebra.Expression`."""

    def __init__(self, symbols: Sequence[Symbol], values_of: Callable[[str], Values]) -> None:
        self.symbols = symbols
        self.values_of = values_of
        self.at = 0
        self.depth = 0
        self.round = 0
        self.inside = 0
        self.letters: set[str] = set()
        self.largest = [1.0] * POINTS
        self.operations = self.sums = self.nested = 0
        self.special = self.decimal = False

    def run(self) -> Values:
        """Its values. Raises `Unreadable`."""
        values = self._sum()
        if self.at != len(self.symbols):
            raise Unreadable
        return values

    def _text(self, ahead: int = 0) -> str:
        return self.symbols[self.at + ahead].text if self.at + ahead < len(self.symbols) else ""

    def _kind(self, ahead: int = 0) -> str:
        return self.symbols[self.at + ahead].kind if self.at + ahead < len(self.symbols) else ""

    def _take(self, *texts: str) -> str:
        text = self._text()
        if text not in texts:
            return ""
        self.at += 1
        return text

    def _noted(self, values: Values) -> Values:
        self.operations += 1
        self.largest = [max(a, abs(b)) if b == b else a for a, b in zip(self.largest, values, strict=True)]
        return values

    def _sum(self) -> Values:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable
        values = self._product()
        while sign := self._take("+", "-"):
            self.sums += self.depth == 1
            self.nested += self.round > 0
            term = self._product()
            values = self._noted([a + b if sign == "+" else a - b for a, b in zip(values, term, strict=True)])
        self.depth -= 1
        return values

    def _product(self) -> Values:
        values = self._signed()
        while True:
            if self._take("*"):
                values = self._noted([a * b for a, b in zip(values, self._signed(), strict=True)])
            elif self._take("/"):
                values = self._noted(applied(divided, values, self._signed()))
                if self._begins():  # a/bc
                    raise Unreadable
            elif self._begins():
                values = self._noted([a * b for a, b in zip(values, self._implied(), strict=True)])
            else:
                return values

    def _begins(self) -> bool:
        kind, text = self._kind(), self._text()
        return kind in ("number", "letter") or text in ("(", "{") or (kind == "command" and text in _OPERANDS)

    def _implied(self) -> Values:
        mixed = self._kind(-1) == "number" and (self._kind() == "number" or self._text() in _FRACTIONS)
        if mixed:  # 2 1/2
            raise Unreadable
        return self._powered()

    def _signed(self) -> Values:
        negative = False
        while sign := self._take("+", "-"):
            negative = negative != (sign == "-")
        values = self._powered()
        return [-a for a in values] if negative else values

    def _powered(self) -> Values:
        values = self._atom()
        if self._text() == "^":
            values = self._raised(values)
        if self._take("!"):
            if self._text() == "!":  # 5!! is 5 * 3
                raise Unreadable
            self.special = True
            values = self._noted(applied(factorial, values))
        return values

    def _raised(self, base: Values) -> Values:
        bare = self._kind(-1) == "number"
        self.at += 1
        if "circ" in (self._text(), self._text(1)):
            return self._degrees(base, bare)
        exponent = self._argument()
        return self._noted(applied(power, base, exponent))

    def _degrees(self, values: Values, bare: bool) -> Values:
        braced = self._take("{")
        if not self.inside or not bare or not self._take("circ") or (braced and not self._take("}")):
            raise Unreadable
        return [math.radians(a) for a in values]

    def _argument(self) -> Values:
        """What a command or a power takes: a group, or one number or letter."""
        if self._text() in ("{", "("):
            return self._group()
        if self._take("-"):
            return [-a for a in self._atom()]
        return self._atom()

    def _group(self) -> Values:
        opening = self._take("(", "{", "[")
        if not opening:
            raise Unreadable
        self.round += opening == "("
        values = self._sum()
        self.round -= opening == "("
        if not self._take(_PAIRS[opening]):
            raise Unreadable
        return values

    def _atom(self) -> Values:
        kind, text = self._kind(), self._text()
        if kind == "number":
            return self._number()
        if kind == "letter":
            return self._letter()
        if kind == "command":
            self.at += 1
            return self._command(text)
        if text == "[":  # the whole part of it, or an interval
            raise Unreadable
        return self._group()

    def _number(self) -> Values:
        text = self._take(self._text())
        if len(text) > MAX_DIGITS:
            raise Unreadable
        self.decimal = self.decimal or "." in text
        self.largest = [max(a, float(text)) for a in self.largest]
        return [float(text)] * POINTS

    def _letter(self) -> Values:
        first = self.symbols[self.at]
        self.at += 1
        name = first.text
        if name in ("i", "e", "omega", "zeta") or self._is_word(first):
            raise Unreadable
        if self._take("_"):
            name += "_" + self._index()
        call = len(name) > 1 or name in _CALLS or name.isupper()
        if self._text() in ("'", "[") or (call and self._text() == "("):
            raise Unreadable
        self.letters.add(name)
        return self.values_of(name)

    def _is_word(self, first: Symbol) -> bool:
        """AB is a line, and three letters are a word."""
        run = [s for s in self.symbols[self.at : self.at + 2] if s.kind == "letter" and len(s.text) == 1]
        touching = bool(run) and self._kind() == "letter" and run[0].start == first.end
        if not touching or len(first.text) > 1:
            return False
        return first.text.isupper() or run[0].text.isupper() or (len(run) == 2 and run[1].start == run[0].end)

    def _index(self) -> str:
        if not self._take("{"):
            return self._take(self._text())
        index = ""
        while (text := self._text()) != "}":
            if not text or text == "{":
                raise Unreadable
            index += self._take(text)
        self.at += 1
        return index

    def _command(self, text: str) -> Values:
        if text == "boxed":
            return self._group()
        if text in _FRACTIONS:
            return self._noted(applied(divided, self._group(), self._group()))
        self.special = True
        if text == "pi":
            return [math.pi] * POINTS
        if text == "sqrt":
            root = self._group() if self._text() == "[" else [2.0] * POINTS
            return self._noted(applied(lambda x, n: power(x, 1 / n), self._group(), root))
        if text in ("binom", "dbinom"):
            return self._noted(applied(choose, self._group(), self._group()))
        return self._noted(self._function(text))

    def _function(self, name: str) -> Values:
        if name == "log":
            if not self._take("_"):
                raise Unreadable
            base = self._argument()
            return applied(lambda x, b: math.log(x) / math.log(b), self._operand(), base)
        if name not in FUNCTIONS:
            raise Unreadable
        exponent = self._exponent()
        found = applied(FUNCTIONS[name], self._operand())
        return applied(power, found, exponent) if exponent else found

    def _exponent(self) -> Values:
        """That of sin^2 x; sin^{-1} is no power."""
        if not self._take("^"):
            return []
        exponent = self._argument()
        if not exponent[0] > 0:
            raise Unreadable
        return exponent

    def _operand(self) -> Values:
        """What a function is of: a bracket, or what stands beside each other up to a sign."""
        self.inside += 1
        if self._text() in ("(", "{"):
            values = self._group()
        else:
            values = self._powered()
            while self._kind() in ("number", "letter") or self._text() == "pi":
                values = self._noted([a * b for a, b in zip(values, self._powered(), strict=True)])
        self.inside -= 1
        return values
