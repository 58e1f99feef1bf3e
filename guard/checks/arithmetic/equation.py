"""Equations of a segment for `guard.checks.arithmetic`: finds both sides of every relation and compares them.

It does not know wording. Its rules:

1. A side that touches something unreadable is not checked, and neither is the relation.
2. A number may stand for what rounds to it, in any usual way of rounding, to as many decimals as it shows.
3. Running sums are no errors: in "6 / 2 = 3 + 4 = 7" each relation is about the number beside it.
4. Whatever another reading would make true is true: "%" left out, cents for dollars, a dash that is no minus.
5. A false relation is `CERTAIN` or, where units, letters, rounding or the sentence leave a doubt,
   `PLAUSIBLE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from guard.checks.arithmetic.expression import Side, Unreadable, read_side
from guard.checks.arithmetic.lexer import Token, words
from guard.checks.arithmetic.meaning import tokenise

CERTAIN = 1.0
PLAUSIBLE = 0.6
MAX_FINDINGS = 8
MAX_RELATIONS = 200
"""Relations of a segment that are looked at."""
MAX_SIDE = 200
"""Tokens of a side; longer ones are not read."""
MAX_REREADS = 16
"""Other starts of a left side that are tried before it is called wrong."""

_SHIFTS = (Fraction(100), Fraction(1000), Fraction(10**6))
_EXPRESSION = "no()%f"
_CONNECTIVES = words("so then that because since know thus therefore as but hence now means have get")
"""Words after which a told sum ("3 plus 4 is 7") begins."""
_FAMILIES = (
    "second sec minute min hour hr day night week weekday weekend month year decade century s h",
    "inch foot feet yard mile mm cm m km meter metre kilometer kilometre centimeter millimeter ft in",
    "ounce oz pound lb lbs ton gram g kg kilogram mg milligram",
    "cup pint quart gallon liter litre ml milliliter tablespoon teaspoon l",
    "cent penny pennies nickel dime quarter dollar buck euro usd eur",
    "dozen pair k thousand hundred million",
)
_FAMILY = {unit: number for number, family in enumerate(_FAMILIES) for unit in family.split()}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A relation that does not hold: how it was written ("=", "~" or "is"), where, and how sure that is."""

    left: Side
    right: Side
    relation: str
    at: int
    score: float


@dataclass(frozen=True, slots=True)
class _Edge:
    """A readable side and what stands before it."""

    side: Side
    before: Token | None
    first: int


def wrong_relations(text: str) -> Iterator[Wrong]:
    """The relations of `text` that do not hold, in order, at most `MAX_FINDINGS`."""
    reader = _Reader(tokenise(text))
    found = (reader.relation(index) for index in reader.relations()[:MAX_RELATIONS])
    yield from islice((wrong for wrong in found if wrong is not None), MAX_FINDINGS)


class _Reader:
    """Reads the sides around relations, each run of tokens once."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.sides: dict[tuple[int, int], Side | None] = {}

    def relations(self) -> list[int]:
        """Where the relations stand."""
        return [index for index, token in enumerate(self.tokens) if token.kind == "="]

    def relation(self, index: int) -> Wrong | None:
        left = self._left(index)
        right = self._right(index) if left else None
        if left is None or right is None:
            return None
        relation, at = self.tokens[index].text, self.tokens[index].start
        if left.side.bare and (earlier := self._earlier(left)) is not None:
            # 3 * 4 = 12 = 13 is about 3 * 4; where that came out wrong before, nothing new is.
            at = self.tokens[left.first - 1].start
            if _holds(earlier.side, right, relation == "~") or not _holds(earlier.side, left.side, True):
                return None
            left = earlier
        score = self._score(left, right, relation)
        return Wrong(left.side, right, relation, at, score) if score else None

    def _score(self, left: _Edge, right: Side, relation: str) -> float:
        if _holds(left.side, right, relation == "~") or _converts(left.side, right):
            return 0.0
        if not self._claims(left, right, relation) or self._holds_otherwise(left, right, relation):
            return 0.0
        doubt = _doubtful(left.side, right, relation) or self._doubtful_start(left, relation)
        return PLAUSIBLE if doubt else CERTAIN

    def _claims(self, left: _Edge, right: Side, relation: str) -> bool:
        """Whether the relation says what a sum comes to, rather than what a name or a number stands for."""
        if left.side.bare:
            return relation != "is" and not right.bare
        return relation != "is" or (right.bare and not _is_fraction(left.side))

    def _earlier(self, left: _Edge) -> _Edge | None:
        """The sum whose result a bare left side is, as 12 is in 3 * 4 = 12 = 13."""
        if left.before is None or left.before.kind != "=":
            return None
        earlier = self._left(left.first - 1)
        return earlier if earlier is not None and not earlier.side.bare else None

    def _holds_otherwise(self, left: _Edge, right: Side, relation: str) -> bool:
        """Whether a later start makes it hold: after a dash ("Day 1 - 3 + 4 = 7") or after "of" too."""
        tokens = left.side.tokens
        starts = [i + 1 for i, token in enumerate(tokens) if token.text == "-" or token.end - token.start > 1]
        for start in starts[:MAX_REREADS]:
            side = self._read(left.first + start, left.first + len(tokens)) if start < len(tokens) else None
            if side is not None and not side.bare and _holds(side, right, relation == "~"):
                return True
        return False

    def _doubtful_start(self, left: _Edge, relation: str) -> bool:
        before, first = left.before, left.side.tokens[0]
        if before is not None and before.kind == "=":
            return False
        if before is None or left.side.bare:
            return left.side.bare
        if before.kind == "(" and self._kind(left.first - 2) == "o":
            return True
        if before.text in (",", "and") and self._kind(left.first - 2) == "n":
            return True
        told = relation == "is" and before.text.lower() not in _CONNECTIVES
        return before.kind == "w" and (told or first.text in "+-")

    def _kind(self, index: int) -> str:
        return self.tokens[index].kind if index >= 0 else ""

    def _left(self, index: int) -> _Edge | None:
        """The side that ends at the relation at `index`."""
        depth, first = 0, index
        while first > 0 and index - first <= MAX_SIDE:
            token = self.tokens[first - 1]
            depth += {")": 1, "(": -1}.get(token.kind, 0)
            if token.kind not in _EXPRESSION or depth < 0:
                break
            first -= 1
        before = self.tokens[first - 1] if first else None
        if first == index or not self._may_start(first, before):
            return None
        side = self._read(first, index)
        return _Edge(side, before, first) if side else None

    def _may_start(self, first: int, before: Token | None) -> bool:
        token = self.tokens[first]
        if before is not None and (before.kind == "!" or before.kind in _EXPRESSION.replace("(", "")):
            return False
        if before is not None and (self._is_broken(first) or _is_call(before, token)):
            return False
        if token.kind != "o":
            return True
        spaced = first + 1 < len(self.tokens) and self.tokens[first + 1].start > token.end
        spoken = before is not None and before.kind == "w"
        return token.text == "-" and not (spoken and spaced)

    def _is_broken(self, first: int) -> bool:
        """Whether a boundary follows an operator, as in ". 84" for .84."""
        return self._kind(first - 1) == "." and self._kind(first - 2) == "o"

    def _right(self, index: int) -> Side | None:
        """The side that begins behind the relation at `index`."""
        depth, stop = 0, index + 1
        while stop < len(self.tokens) and stop - index <= MAX_SIDE:
            token = self.tokens[stop]
            depth += {"(": 1, ")": -1}.get(token.kind, 0)
            if token.kind not in _EXPRESSION or depth < 0:
                break
            stop += 1
        after = self.tokens[stop] if stop < len(self.tokens) else None
        if stop == index + 1 or (after is not None and after.kind in "!" + _EXPRESSION.replace(")", "")):
            return None
        return self._read(index + 1, stop)

    def _read(self, first: int, stop: int) -> Side | None:
        key = (first, stop)
        if key not in self.sides:
            try:
                self.sides[key] = read_side(self.tokens[first:stop])
            except Unreadable:
                self.sides[key] = None
        return self.sides[key]


def _is_call(before: Token, token: Token) -> bool:
    """f(3), and a(1 + r) where "a" is a variable."""
    return before.kind == "w" and token.kind == "(" and (len(before.text) == 1 or before.end == token.start)


def _values(side: Side) -> tuple[Fraction, ...]:
    return (side.value, *side.readings)


def _holds(left: Side, right: Side, approximate: bool) -> bool:
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


def _converts(left: Side, right: Side) -> bool:
    """Whether the sides differ by a conversion that is told by units, or by cents for dollars."""
    families = [_FAMILY[unit] for unit in left.units | right.units if unit in _FAMILY]
    if len(families) != len(set(families)):
        return True
    if left.currency or right.currency:
        return left.value in (right.value * 100, right.value / 100)
    return False


def _doubtful(left: Side, right: Side, relation: str) -> bool:
    if left.doubtful or right.doubtful or left.rated or right.rated:
        return True
    if right.percent and not left.percent and abs(left.value) > 1:
        return True
    if left.units and left.units != (right.units or left.units):
        return True
    if _near_miss(left, right) or _is_range(left) or _is_shift(left.value, right.value):
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


def _is_fraction(side: Side) -> bool:
    return len(side.tokens) == 3 and side.tokens[1].text == "/" and side.tokens[0].end == side.tokens[1].start


def _is_range(left: Side) -> bool:
    """3-4 may be pages, 24/7 a habit."""
    tokens = left.tokens
    tight = len(tokens) == 3 and tokens[0].end == tokens[1].start and tokens[1].end == tokens[2].start
    return tight and tokens[1].text == "-" and left.value < 0
