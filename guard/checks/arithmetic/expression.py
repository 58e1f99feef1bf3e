"""Tokens to exact values for `guard.checks.arithmetic`: one side of an equation, or that it cannot be read.

Rationals only, so that nothing is ever wrong for want of precision. It does not know what is beside the side
it reads. Bounds: nesting, the bits of any intermediate value and the size of an exponent are capped;
past them a side is unreadable, not slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from guard.checks.arithmetic.lexer import IMPLIED, LETTER_UNITS, Token

MAX_DEPTH = 40
MAX_BITS = 1024
MAX_EXPONENT = 256
_HUNDREDTH = Fraction(1, 100)
_GROUPED = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_ADD, _MULTIPLY = "+-", "*/" + IMPLIED


class Unreadable(Exception):
    """The tokens are no expression, or one too large to work out."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an equation.

    Attributes:
        value: its exact value, `n%` being n/100.
        readings: other values it may have been meant to have: `%` or a scale word dropped, a percentage of
            what stands before it, a fraction written without spaces taken first.
        bare: it is one number, perhaps signed or bracketed; then `ulp` is a step of its last digit, else 0.
        lead: its first number where an operator outside brackets follows, and that number's `ulp`.
        units: singular unit words of its numbers, the last of each; `spoken`: all of them ("minutes left"); `rated`
            where one is a rate ("per hour").
        inexact: it holds decimals, which may have been rounded.
        divides: it divides, so that its value may have been rounded.
        doubtful: its value hangs on a reading (precedence, a letter that may be a unit, 1.200 for 1200).
        percent, currency: whether it holds `%`, and its first currency sign or "".
        start, end: its characters in the segment.
        tokens: what it was read from.
    """

    value: Fraction
    readings: tuple[Fraction, ...]
    bare: bool
    ulp: Fraction
    lead: tuple[Fraction, Fraction] | None
    units: frozenset[str]
    spoken: frozenset[str]
    rated: bool
    inexact: bool
    divides: bool
    doubtful: bool
    percent: bool
    currency: str
    start: int
    end: int
    tokens: tuple[Token, ...]


def read_side(tokens: Sequence[Token]) -> Side:
    """Work out one side of an equation. Raises `Unreadable`, nothing else."""
    parser = _Parser(tokens)
    value = parser.run()
    numbers = [token for token in tokens if token.kind == "n"]
    core = _core(tokens)
    units = {_singular(word) for token in tokens for word in token.units[-1:] if token.units}
    return Side(
        value=value,
        readings=_readings(tokens),
        bare=core is not None,
        ulp=core.ulp * (_HUNDREDTH if _has_percent(tokens) else 1) if core else Fraction(0),
        lead=_lead(tokens),
        units=frozenset(units),
        spoken=frozenset(_singular(word) for token in tokens for word in token.units),
        rated=any(_is_rate(token.units) for token in tokens),
        inexact=any(token.ulp < 1 for token in numbers),
        divides=any(token.text == "/" or token.kind == "f" for token in tokens),
        doubtful=parser.doubtful or bool(units & LETTER_UNITS) or any(_is_grouped(token) for token in tokens),
        percent=_has_percent(tokens),
        currency=next((token.currency for token in numbers if token.currency), ""),
        start=tokens[0].start,
        end=tokens[-1].end,
        tokens=tuple(tokens),
    )


def _is_grouped(token: Token) -> bool:
    """Whether the dot of a number may set thousands apart."""
    return token.kind == "n" and _GROUPED.fullmatch(token.text) is not None


def value_of(tokens: Sequence[Token], *, tight: bool = False, grouped: bool = False) -> Fraction | None:
    """The value of `tokens`, or None if unreadable; `tight`: a fraction without spaces binds first; `grouped`: a dot
    before three digits sets thousands apart."""
    try:
        return _Parser(tokens, tight=tight, grouped=grouped).run()
    except Unreadable:
        return None


def _readings(tokens: Sequence[Token]) -> tuple[Fraction, ...]:
    readings = []
    if _has_percent(tokens):
        readings += [_Parser(tokens, percent=Fraction(1)).run(), *_changed_by_percentage(tokens)]
    if any(token.scale > 1 for token in tokens):
        readings.append(_Parser(tokens, scaled=False).run())
    if sum(token.text == "/" for token in tokens) > 1 and (value := value_of(tokens, tight=True)) is not None:
        readings.append(value)
    if any(_is_grouped(token) for token in tokens) and (value := value_of(tokens, grouped=True)) is not None:
        readings.append(value)
    return tuple(readings)


def _changed_by_percentage(tokens: Sequence[Token]) -> Iterator[Fraction]:
    """50 + 10% as 55."""
    if len(tokens) > 3 and tokens[-1].kind == "%" and tokens[-2].kind == "n" and tokens[-3].text in _ADD:
        base = value_of(tokens[:-3])
        share = tokens[-2].value * _HUNDREDTH
        if base is not None:
            yield base * (1 + share if tokens[-3].text == "+" else 1 - share)


def _has_percent(tokens: Sequence[Token]) -> bool:
    return any(token.kind == "%" for token in tokens)


def _core(tokens: Sequence[Token]) -> Token | None:
    """The one number that the side consists of."""
    numbers = [token for token in tokens if token.kind == "n"]
    others = all(token.kind in "()%" or token.text in ("-", "+") for token in tokens if token.kind != "n")
    return numbers[0] if len(numbers) == 1 and others else None


def _lead(tokens: Sequence[Token]) -> tuple[Fraction, Fraction] | None:
    """The first number, or bracket around one, that an operator follows."""
    size = 3 if tokens[0].kind == "(" else 1
    size += 1 if len(tokens) > size and tokens[size].kind == "%" else 0
    if len(tokens) <= size or tokens[size].kind != "o":
        return None
    if size == 1:
        return (tokens[0].value, tokens[0].ulp) if tokens[0].kind == "n" else None
    core = _core(tokens[:size])
    value = value_of(tokens[:size])
    return (value, core.ulp) if core is not None and value is not None else None


def _is_rate(units: tuple[str, ...]) -> bool:
    return any(word in ("/", "per", "each", "every") for word in units)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


class _Parser:
    """Recursive descent; loops, not recursion, over chains of one precedence."""

    def __init__(
        self,
        tokens: Sequence[Token],
        *,
        percent: Fraction = _HUNDREDTH,
        scaled: bool = True,
        tight: bool = False,
        grouped: bool = False,
    ) -> None:
        self.tokens = tokens
        self.percent = percent
        self.scaled = scaled
        self.tight = tight
        self.grouped = grouped
        self.at = 0
        self.depth = 0
        self.doubtful = False

    def run(self) -> Fraction:
        value = self._sum()
        if self.at != len(self.tokens):
            raise Unreadable
        return value

    def _peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _take(self, texts: str) -> str:
        """The next operator's text, taken, if it is one of `texts`; else ""."""
        token = self._peek()
        if token is None or token.kind != "o" or token.text not in texts:
            return ""
        self.at += 1
        return token.text

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._take(_ADD):
            term = self._product()
            value = _small(value + term if sign == "+" else value - term)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        divided = False
        while sign := self._take(_MULTIPLY):
            # 6/2(1+2) is read both ways, and so is 14 / 1 / 4.
            self.doubtful = self.doubtful or (sign != "*" and divided)
            factor = self._signed()
            divided = divided or sign == "/"
            value = _small(_divide(value, factor) if sign == "/" else value * factor)
        return value

    def _signed(self) -> Fraction:
        negative = False
        signed = False
        while sign := self._take(_ADD):
            negative = negative != (sign == "-")
            signed = True
        before = self.at
        value = self._power()
        # -3^2 is read both ways.
        self.doubtful = self.doubtful or (signed and negative and self._raised(before))
        return -value if negative else value

    def _raised(self, before: int) -> bool:
        return any(token.text == "^" for token in self.tokens[before : min(self.at, before + 3)])

    def _power(self) -> Fraction:
        base = self._percentage()
        if not self._take("^"):
            return base
        self._enter()
        exponent = self._signed()
        self.depth -= 1
        return _raise(base, exponent)

    def _percentage(self) -> Fraction:
        value = self._atom()
        token = self._peek()
        if token is not None and token.kind == "%":
            self.at += 1
            return value * self.percent
        return value

    def _atom(self) -> Fraction:
        token = self._peek()
        if token is None:
            raise Unreadable
        if token.kind == "n":
            return self._number(token)
        if token.kind == "f":
            self.at += 1
            above = self._group("{")
            return _divide(above, self._group("{"))
        return self._group("([{")

    def _number(self, token: Token) -> Fraction:
        self.at += 1
        value = _small(token.value if self.scaled else token.value / token.scale)
        value *= 1000 if self.grouped and _is_grouped(token) else 1
        if self.tight and (below := self._below(token)) is not None:
            self.at += 2
            return _divide(value, below)
        return value

    def _below(self, above: Token) -> Fraction | None:
        """The denominator of a fraction written without spaces, of which `above` is the numerator."""
        stroke, below = (*self.tokens[self.at : self.at + 2], None, None)[:2]
        if stroke is None or below is None or stroke.text != "/" or below.kind != "n":
            return None
        return below.value if above.end == stroke.start and stroke.end == below.start else None

    def _group(self, opening: str) -> Fraction:
        token = self._peek()
        if token is None or token.kind != "(" or token.text not in opening:
            raise Unreadable
        self._enter()
        first = self.at = self.at + 1
        value = self._sum()
        closing = self._peek()
        if closing is None or closing.text != _PAIRS[token.text]:
            raise Unreadable
        if token.text == "[":
            self._bracket(self.tokens[first : self.at])
        self.at += 1
        self.depth -= 1
        return value

    def _bracket(self, inside: Sequence[Token]) -> None:
        """[7/2] may be the whole part of 7/2, and [7] a reference."""
        if len(inside) == 1:
            raise Unreadable
        self.doubtful = self.doubtful or any(token.text == "/" or token.kind == "f" for token in inside)

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable


def _small(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise Unreadable
    return value


def _divide(value: Fraction, by: Fraction) -> Fraction:
    if by == 0:
        raise Unreadable
    return value / by


def _raise(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > MAX_EXPONENT or (base == 0 and exponent <= 0):
        raise Unreadable
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent) > 2 * MAX_BITS:
        raise Unreadable
    return _small(base ** int(exponent))
