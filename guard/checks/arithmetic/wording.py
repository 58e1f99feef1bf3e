"""Findings of `guard.checks.arithmetic` in words: why a relation is wrong, and what is true.

A finding's span is the equation alone, without brackets of math, markdown, or the unit and full stop behind it, and its
correction, without its full stop, can stand there: the left side as it is spelled, and the true number without a unit.
It does not know text beyond the relation. A number that does not end is given with the decimals that the
writer used, behind "≈"; all others are exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from guard.checks.arithmetic.equation import Wrong
from guard.checks.arithmetic.expression import Side
from guard.checks.arithmetic.identities import Slip, witness
from guard.checks.arithmetic.named import Misused
from guard.core.types import Finding

MAX_SHOWN_BITS = 160
"""A longer number is not worth telling."""
_MAX_DECIMALS = 6
_NOTE = re.compile(r"<<[^<>]{0,200}>>")
_UNSEEN = re.compile(r"<<[^<>]{0,200}>>|\\(?:left|right|boxed|displaystyle)(?![a-zA-Z])")
_TRAILING = " \t\n&\\"
_LEFT = re.compile(r"\\left\s?\Z")


def finding(text: str, wrong: Wrong, score: float) -> Finding:
    """The finding about `wrong`, found in `text`."""
    left, right = wrong.left, wrong.right
    said = _shown(text, left.start, wrong.at, left.currency if right.currency else "")
    start = left.start - said.startswith(left.currency) if left.currency else left.start
    start, said = _whole_math(text, start, said)
    if left_bracket := _LEFT.search(text, max(0, start - 8), start):
        start = left_bracket.start()
    spelled = _spelled(text, start, wrong.at)
    verb = {"~": "is not about", "is": "is not"}.get(wrong.relation, "is not")
    claimed = _shown(text, right.start, right.end, right.currency)
    return Finding(
        score=score,
        reason=f"{_with_first(said, str.lower)} {verb} {claimed}.",
        correction=_correction(text, spelled, wrong),
        subject="".join(token.text.replace(",", "") for token in left.tokens).casefold(),
        start=start,
        end=right.end,
        fits=True,
    )


def misused_finding(text: str, misused: Misused) -> Finding:
    """The finding about a sum of named results: the reason tells what the letters stand for."""
    found = finding(text, misused.wrong, misused.wrong.score)
    said, _, shown = found.reason.removesuffix(".").partition(" is not ")
    named = _spelled(text, misused.wrong.left.start, misused.wrong.left.end)
    return replace(found, reason=f"with {_listed(misused.values)}, {named} is not {shown or said}.", subject=named)


def slip_finding(text: str, slip: Slip, score: float) -> Finding:
    """The finding about a wrong step of algebra: the correction is a case that shows it, or the number it comes to."""
    left = _spelled(text, slip.left.start, slip.left.end)
    right = _spelled(text, slip.right.start, slip.right.end)
    return Finding(
        score=score,
        reason=f"{left} is not {right}.",
        correction=_case(left, right, slip),
        subject="".join(symbol.text for symbol in slip.left.symbols),
        start=slip.left.start,
        end=slip.right.end,
        fits=not slip.letters,
    )


def _case(left: str, right: str, slip: Slip) -> str:
    shown = witness(slip)
    if shown is None:
        return ""
    letters, one, other = shown
    if not letters:
        return f"{left} {'=' if _plain(one).lstrip('-').isdigit() else '≈'} {_plain(one)}."
    values = _listed([f"{letter} = {value}" for letter, value in letters.items()])
    return f"With {values}, {left} is {_plain(one)} and {right} is {_plain(other)}."


def _plain(value: float) -> str:
    """A float, as a whole number where it is one but for rounding."""
    whole = round(value)
    return str(whole) if abs(value - whole) <= 1e-11 * max(1, abs(value)) else f"{value:.6g}"


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def _whole_math(text: str, start: int, said: str) -> tuple[int, str]:
    """The start and the left side with the "$" that opens math which ends within it ("$2+2$ = 5")."""
    if said.count("$") % 2 == 0:
        return start, said
    if text[start - 1 : start] == "$" and said[-1:] == "$":
        return start - 1, f"${said}"
    return start, said.rstrip("$ ")


def _shown(text: str, start: int, end: int, currency: str) -> str:
    """A side as it was written, on one line, without calculator notes."""
    written = " ".join(_UNSEEN.sub("", text[start:end]).split()).rstrip(_TRAILING)
    written = written[1:-1] if written[:1] == "{" and written[-1:] == "}" else written
    return f"{currency}{written}" if currency and start and text[start - 1] in currency else written


def _spelled(text: str, start: int, end: int) -> str:
    """The left side in its own spelling, which may be put back into the text."""
    return " ".join(_NOTE.sub("", text[start:end]).split()).rstrip(_TRAILING)


def _with_first(said: str, case: Callable[[str], str]) -> str:
    """A told sum ("the sum of ...") with its first letter as its place in a sentence asks."""
    return case(said[:1]) + said[1:]


def _correction(text: str, said: str, wrong: Wrong) -> str:
    value, said = wrong.left.value, _with_first(said, str.upper)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_SHOWN_BITS:
        return ""
    number, exact = _number(wrong)
    # The last answer of a solution is looked for in its box.
    boxed = "\\boxed" in text[wrong.at : wrong.right.start]
    number = f"\\boxed{{{number}}}" if boxed else number
    if not exact:
        return f"{said} is about {number}." if wrong.relation == "is" else f"{said} ≈ {number}."
    return f"{said} {'is' if wrong.relation == 'is' else '='} {number}."


def _number(wrong: Wrong) -> tuple[str, bool]:
    """The left side's value written the way the right side was, and whether that is exact."""
    value, like = wrong.left.value, wrong.right
    percent = like.percent and abs(value) <= 1
    if percent:
        value *= 100
    digits, exact = _digits(abs(value), like)
    sign = "-" if value < 0 else ""
    return f"{sign}{like.currency}{digits}{'%' if percent else ''}", exact


def _digits(value: Fraction, like: Side) -> tuple[str, bool]:
    comma = "," if any("," in token.text for token in like.tokens if token.kind == "n") else ""
    if value.denominator == 1:
        return format(value.numerator, comma), True
    if _is_fraction(like):
        return f"{value.numerator}/{value.denominator}", True
    for decimals in range(1, _MAX_DECIMALS + 1):
        if (value * 10**decimals).denominator == 1:
            return _decimal(value, max(decimals, 2) if like.currency else decimals, comma), True
    return _decimal(value, max(2, _decimals(like)), comma), False


def _is_fraction(side: Side) -> bool:
    return any(token.text == "/" or token.kind == "f" for token in side.tokens)


def _decimals(side: Side) -> int:
    return max((len(token.text.partition(".")[2]) for token in side.tokens if token.kind == "n"), default=0)


def _decimal(value: Fraction, decimals: int, comma: str) -> str:
    whole, rest = divmod(round(value * 10**decimals), 10**decimals)
    return f"{format(whole, comma)}.{rest:0{decimals}d}"
