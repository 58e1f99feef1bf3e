"""Equations of a segment for `guard.checks.arithmetic`: finds both sides of every relation and compares them.

It does not know wording. Its rules:

1. A side that touches something unreadable is not checked, and neither is the relation.
2. A number may stand for what rounds to it, in any usual way of rounding, to as many decimals as it shows.
3. Running sums are no errors: in "6 / 2 = 3 + 4 = 7" each relation is about the number beside it.
4. Whatever another reading would make true is true: "%" left out, cents for dollars, a dash that is no minus.
5. A slip of writing that the chain itself mends is none: "7 - -2 = 7 - 2 = 9" goes on from where it was right.
6. A false relation is `CERTAIN` or, where units, letters, rounding or the sentence leave a doubt,
   `PLAUSIBLE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from guard.checks.arithmetic.comparing import converts, doubtful, holds, is_fraction
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

_EXPRESSION = "no()%f"
_CONNECTIVES = words("so then that because since know thus therefore as but hence now means have get")
"""Words after which a told sum ("3 plus 4 is 7") begins."""


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


def judged_relations(text: str) -> Iterator[Wrong | None]:
    """The relations of `text` that can be told right from wrong, in order: None for one that holds. They end with the
    `MAX_FINDINGS`th that does not."""
    reader = _Reader(tokenise(text))
    wrong = 0
    for index in reader.relations[:MAX_RELATIONS]:
        for found in reader.relation(index):
            yield found
            wrong += found is not None
        if wrong == MAX_FINDINGS:
            return


class _Reader:
    """Reads the sides around relations, each run of tokens once."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.sides: dict[tuple[int, int], Side | None] = {}
        self.relations = [index for index, token in enumerate(tokens) if token.kind == "="][: MAX_RELATIONS + 1]

    def relation(self, index: int) -> Iterator[Wrong | None]:
        """Nothing where it cannot be told, None where it holds."""
        left = self._left(index)
        right = self._right(index) if left else None
        if left is None or right is None:
            return
        relation, at = self.tokens[index].text, self.tokens[index].start
        if left.side.bare and not converts(left.side, right) and (earlier := self._earlier(left)) is not None:
            # 3 * 4 = 12 = 13 is about 3 * 4; where that came out wrong before, nothing new is.
            at = self.tokens[left.first - 1].start
            if not (holds(earlier.side, left.side, True) or holds(earlier.side, right, relation == "~")):
                return
            left = earlier
        if holds(left.side, right, relation == "~"):
            if self._claims(left, right, relation):
                yield None
        elif (score := self._score(left, right, relation)) and not self._is_mended(index):
            yield Wrong(left.side, right, relation, at, score)

    def _is_mended(self, index: int) -> bool:
        """Whether a member of the chain behind the relation at `index` has the value of one before it."""
        before, edge = list[Fraction](), self._left(index)
        while edge is not None:
            before.append(edge.side.value)
            edge = self._left(edge.first - 1) if edge.before is not None and edge.before.kind == "=" else None
        return any(value in before for value in self._values_behind(index))

    def _values_behind(self, index: int) -> Iterator[Fraction]:
        for following in self.relations:
            if following <= index:
                continue
            edge = self._left(following)
            if edge is None or edge.first != index + 1:
                break
            yield edge.side.value
            index = following
        last = self._right(index)
        if last is not None:
            yield last.value

    def _score(self, left: _Edge, right: Side, relation: str) -> float:
        """How sure it is that sides which are not the same were said to be; 0 where they may have been meant to be."""
        if converts(left.side, right):
            return 0.0
        if not self._claims(left, right, relation) or self._holds_otherwise(left, right, relation):
            return 0.0
        doubt = doubtful(left.side, right, relation) or self._doubtful_start(left, relation)
        return PLAUSIBLE if doubt else CERTAIN

    def _claims(self, left: _Edge, right: Side, relation: str) -> bool:
        """Whether the relation says what a sum comes to, rather than what a name or a number stands for."""
        if left.side.bare:
            return relation != "is" and not right.bare
        return relation != "is" or (right.bare and not is_fraction(left.side))

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
            if side is not None and not side.bare and holds(side, right, relation == "~"):
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
