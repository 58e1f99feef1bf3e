r"""What is said of one whole number, for `guard.checks.arithmetic`: "91 is prime", "221 is divisible by 7", "50 is a
perfect square", "7^{11} \equiv 7 \pmod{25}".

It does not know numbers that are part of an expression ("b + 6 is prime"), and nothing that is asked, tried or
conditional counts. Up to 15 digits, so that everything is decided at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction

from guard.checks.arithmetic.expression import value_of
from guard.checks.arithmetic.meaning import tokenise
from guard.core.types import Finding

_ALONE = r"(?<![\w.,^_*/+=−×·{}!)\\-])(?<![^\\]\()(?<![-+*/^=<>−×·] )"
"""Not a part of what stands before it; \\( opens a formula."""
_NUMBER = rf"{_ALONE}(?<! to )(?<!than )(?<! or )(?<! of )(?<! and )(?<! by )(?P<n>[0-9]{{1,15}})(?:\$|\s?\\\))?"
_IS = r"\s(?P<is>is|is not|isn['’]t) (?:also |itself |evenly )?"
_SAID = re.compile(
    rf"{_NUMBER}{_IS}(?:(?:a )?(?P<prime>prime|composite)\b(?! (?:to|factor|power|divisor|ideal|or|and)\b)"
    r"|a perfect (?P<power>square|cube)\b"
    r"|(?:divisible by|a multiple of) (?:\$|\\\(\s?)?(?P<by>[1-9][0-9]{0,14})"
    r"(?![\w^.,]*[0-9^]|\s?[-+*/^×·\\](?!\))| and| or| plus| minus))"
)
_CONGRUENT = re.compile(
    rf"{_ALONE}(?P<left>[0-9]"
    r"[0-9{}^ +*()-]{0,60}?(?:\\(?:cdot|times) [0-9{}^ +*()-]{1,60}?)*)\s?(?:\\equiv|≡)\s?"
    r"(?P<right>-?[0-9]{1,15})\s?(?:\\pmod\s?\{?|\\[bp]?mod\s?\{?|\((?:\\text\{)?mod\s?\}?)\s?(?P<by>[1-9][0-9]{0,14})"
    r"(?![\w^.])"
)
_OPEN = re.compile(
    r"\b(?:if|whether|check\w*|when|unless|suppos\w+|assum\w+|would|could|might|may|must|should|case|until|test\w*"
    r"|such that|where|either|neither)\b",
    re.IGNORECASE,
)
_BEFORE = 60
"""Characters before a statement in which a condition counts."""
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Bases that decide whether a number below 3 * 10^24 is prime (Sorenson and Webster, 2015)."""


def false_claims(text: str) -> Iterator[Finding]:
    """What `text` says of a whole number and is not so."""
    for match in (*_SAID.finditer(text), *_CONGRUENT.finditer(text)):
        if not _OPEN.search(text, max(0, match.start() - _BEFORE), match.start()):
            found = _congruent(match) if "left" in match.groupdict() else _said(match)
            if found:
                yield found


def _said(match: re.Match[str]) -> Finding | None:
    number, positive = int(match["n"]), match["is"] == "is"
    if number < 2:
        return None
    if match["prime"]:
        return _prime(match, number, (match["prime"] == "prime") == positive)
    if match["power"]:
        root = _root(number, 2 if match["power"] == "square" else 3)
        return None if bool(root) == positive else _finding(match, f"a perfect {match['power']}", positive)
    by = int(match["by"])
    rest = f"{number} = {by} * {number // by}" + (f" + {number % by}." if number % by else ".")
    return None if (number % by == 0) == positive else _finding(match, f"divisible by {by}", positive, rest)


def _prime(match: re.Match[str], number: int, said: bool) -> Finding | None:
    if is_prime(number) == said:
        return None
    factor = next((f for f in range(2, min(1000, number)) if number % f == 0), 0) if said else 0
    return _finding(match, "prime", said, f"{number} = {factor} * {number // factor}." if factor else "")


def _finding(match: re.Match[str], what: str, said: bool, correction: str = "") -> Finding:
    return Finding(
        score=1.0,
        reason=f"{match['n']} is {'not ' if said else ''}{what}.",
        correction=correction,
        subject=match["n"],
        start=match.start("n"),
        end=match.end(),
    )


def _congruent(match: re.Match[str]) -> Finding | None:
    left, by = value_of(tokenise(match["left"])), int(match["by"])
    if left is None or left.denominator != 1 or (left - Fraction(match["right"])) % by == 0:
        return None
    said, rest = match["left"].strip(), int(left) % by
    return Finding(
        score=1.0,
        reason=f"{said} is not {match['right']} modulo {by}.",
        correction=f"{said} is {rest} modulo {by}.",
        subject=re.sub(r"\s", "", said),
        start=match.start("left"),
        end=match.end(),
    )


def is_prime(number: int) -> bool:
    """Miller and Rabin's test, exact below 3 * 10^24."""
    if number < 2 or any(number % small == 0 for small in _WITNESSES):
        return number in _WITNESSES
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(pow(base, odd, number), twos, number) for base in _WITNESSES)


def _passes(power: int, twos: int, number: int) -> bool:
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False


def _root(number: int, degree: int) -> int:
    """Its whole root, or 0."""
    near = math.isqrt(number) if degree == 2 else round(number ** (1 / 3))
    return next((root for root in (near - 1, near, near + 1) if root**degree == number), 0)
