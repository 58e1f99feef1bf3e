"""Steps of algebra that change what they rewrite, for `guard.checks.arithmetic`: "(x + 1)^2 = x^2 + 1".

An equation may be one to be solved, so only these count, in LaTeX and with the same letters on both sides:

1. A later link of a chain: in "f(x) = (x + 1)^2 = x^2 + 1" the second says that one form is another. Not between
   members of one build ("r = (h - 2)^2 = (h - 4)^2": a system), nor where a name is given two forms that do not grow
   alike ("y = x^2 = 2x + 3": they meet).
2. A product of sums beside the same thing without brackets, where both grow alike: an expansion or a factorisation.
3. Numbers with roots, functions, factorials, binomials or π, which `equation` does not read.

It does not know side conditions ("since x + y = 1"): where letters are bound, a step that uses one is a slip too, so a
slip with letters is no more than plausible unless words say otherwise (`doubt`). A chain in which a letter is called
with several arguments ("a(n + 1) = a(n) + n") is left alone. Functions and π may be rounded: 1 % is no error. Decimals
are left to `equation`, and so are plain numbers unless both members are sums or products in a chain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise

from guard.checks.arithmetic.algebra import Expression, differ, evaluate
from guard.checks.arithmetic.formula import Unreadable
from guard.checks.arithmetic.mathtext import Member, Symbol, chains
from guard.checks.arithmetic.points import FUNCTIONS

MAX_MEMBERS = 60
"""Members of a segment's chains that are looked at."""
MAX_SLIPS = 4
_NAME = 3
"""Symbols of a member that may be a name ("d^2")."""
_MAX_ARGUMENT = 40
_TRIED = (2, 3, 1, 5, 4, 7)
"""Numbers that letters are shown to fail at."""
_FAR = 1e4
_ALIKE = 0.02
"""How far from 1 the ratio of two forms may be at far points."""
_PI_TAKEN = re.compile(r"(?:\\pi|π)\s?(?:=|≈|\\approx)\s?(?:[0-9]|\\[dt]?frac)")
_ROUNDED = frozenset((*FUNCTIONS, "log", "pi"))
_ROUNDING = 0.01
"""The share that a rounded function may be off by."""


@dataclass(frozen=True, slots=True)
class Slip:
    """Two members that are not the same, though the text says so."""

    left: Member
    right: Member
    letters: frozenset[str]


def judged_links(text: str) -> Iterator[Slip | None]:
    """The links of `text` that can be told right from wrong, in order: None for one of which nothing says that it does
    not hold. They end with the `MAX_SLIPS`th slip."""
    if "=" not in text:
        return
    taken = _PI_TAKEN.search(text) is not None
    slips = 0
    for slip in (slip for chain in chains(text, MAX_MEMBERS) for slip in _judged(chain)):
        if slip is None or not (taken and _has(slip, {"pi"})):
            yield slip
            slips += slip is not None
        if slips == MAX_SLIPS:
            return


def witness(slip: Slip) -> tuple[dict[str, int], float, float] | None:
    """Whole numbers for the letters with which both sides differ, and their values then; None where none are plain."""
    letters = sorted(slip.letters)
    for turn in range(len(_TRIED) if letters else 1):
        values = {letter: _TRIED[(turn + at) % len(_TRIED)] for at, letter in enumerate(letters)}
        one, other = (evaluate(member.symbols, values).values[0] for member in (slip.left, slip.right))
        if math.isfinite(one) and math.isfinite(other) and abs(one - other) > 1e-3 and max(abs(one), abs(other)) < 1e9:
            return values, one, other
    return None


def _judged(chain: Sequence[Member]) -> Iterator[Slip | None]:
    if _calls(chain):
        return
    read = [_read(member.symbols) for member in chain]
    named = read[0] is None or not read[0].operations or len(chain[0].symbols) <= _NAME
    for place, (left, right) in enumerate(pairwise(chain)):
        one, other = read[place], read[place + 1]
        if right.relation != "=" or one is None or other is None or not _comparable(one, other):
            continue
        if not (_rewrites(left, right, one, other, place) if one.letters else _computes(one, other, place)):
            continue
        slip = Slip(left, right, one.letters)
        if not differ(one, other):
            yield None
        elif not _is_mended(read[: place + 1], read[place + 1 :]):
            excused = named and _meet(slip, one, other) if one.letters else _is_rounded(slip, one, other)
            if not excused:
                yield slip


def _calls(chain: Sequence[Member]) -> bool:
    """Whether a letter that never stands alone has brackets with several things in them behind it."""
    arguments: dict[str, set[tuple[str, ...]]] = {}
    alone = set[str]()
    for member in chain:
        for at, symbol in enumerate(member.symbols):
            if symbol.kind == "letter":
                inside = _argument(member.symbols[at + 1 : at + 1 + _MAX_ARGUMENT])
                if inside:
                    arguments.setdefault(symbol.text, set()).add(inside)
                else:
                    alone.add(symbol.text)
    return any(len(each) > 1 and name not in alone for name, each in arguments.items())


def _argument(symbols: Sequence[Symbol]) -> tuple[str, ...]:
    """What stands in the round brackets at the beginning, if there are any."""
    texts = [symbol.text for symbol in symbols]
    return tuple(texts[1 : texts.index(")")]) if texts[:1] == ["("] and ")" in texts else ()


def _has(slip: Slip, commands: AbstractSet[str]) -> bool:
    return any(symbol.text in commands for member in (slip.left, slip.right) for symbol in member.symbols)


def _is_rounded(slip: Slip, one: Expression, other: Expression) -> bool:
    """Whether a function or π is written as a number near it."""
    a, b = one.values[0], other.values[0]
    return _has(slip, _ROUNDED) and abs(a - b) <= _ROUNDING * max(abs(a), abs(b))


def _meet(slip: Slip, one: Expression, other: Expression) -> bool:
    """Whether two forms of one name are set equal, rather than one rewritten as the other."""
    if not (one.sums or other.sums or _has(slip, {"frac", "dfrac", "tfrac"})):
        return False
    both = bool(one.sums and other.sums and one.nested and other.nested)
    return both or not _alike(slip.left, slip.right)


def _is_mended(before: Sequence[Expression | None], behind: Sequence[Expression | None]) -> bool:
    """Whether a member behind a link may be the same as one before it: what stands between was a slip of writing."""
    pairs = ((one, other) for one in before for other in behind if one is not None and other is not None)
    return any(one.letters == other.letters and not differ(one, other) for one, other in pairs)


def _comparable(one: Expression, other: Expression) -> bool:
    return one.letters == other.letters and not (one.decimal or other.decimal)


def _read(symbols: Sequence[Symbol]) -> Expression | None:
    # "1 + ... + n": what stands behind the dots is no member.
    if symbols[0].text == "+":
        return None
    try:
        return evaluate(symbols)
    except Unreadable:
        return None


def _rewrites(left: Member, right: Member, one: Expression, other: Expression, place: int) -> bool:
    if not (one.operations and other.operations):
        return False
    if place > 0:
        return _build(left) != _build(right)
    factored = (_is_product(one) and _is_expanded(other)) or (_is_expanded(one) and _is_product(other))
    return factored and _alike(left, right)


def _computes(one: Expression, other: Expression, place: int) -> bool:
    if one.special or other.special:
        return one.operations > 0
    return place > 0 and one.operations > 0 and other.operations > 0


def _build(member: Member) -> list[str]:
    """What it is made of, whatever the numbers and letters."""
    return [symbol.kind if symbol.kind in ("number", "letter") else symbol.text for symbol in member.symbols]


def _is_product(one: Expression) -> bool:
    return one.nested > 0 and one.sums == 0


def _is_expanded(one: Expression) -> bool:
    return one.nested == 0 and one.sums > 0


def _alike(left: Member, right: Member) -> bool:
    """Whether both have the same leading term."""
    one, other = evaluate(left.symbols, far=_FAR), evaluate(right.symbols, far=_FAR)
    return all(abs(a - b) <= _ALIKE * abs(b) for a, b in zip(one.values, other.values, strict=True))
