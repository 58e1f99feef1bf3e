r"""What is said of one whole number, for `guard.checks.arithmetic`: "91 is prime", "221 is divisible by 7", "50 is a
perfect square", "7^{11} \equiv 7 \pmod{25}".

It does not know numbers that are part of an expression or of a list ("b + 6 is prime", "21, 33 and 39"), and nothing
that is asked, tried, conditional, denied or told of others ("no", "he claims", "suppose") counts, wherever in the
sentence those words stand before it. Up to 15 digits, so that everything is decided at once.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice

from guard.checks.arithmetic.doubt import differentiates, is_assumed
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
    rf"{_ALONE}(?<!cdot )(?<!times )(?P<left>[0-9]"
    r"[0-9{}^ +*()-]{0,60}?(?:\\(?:cdot|times) [0-9{}^ +*()-]{1,60}?)*)\s?(?:\\equiv|≡)\s?"
    r"(?P<right>-?[0-9]{1,15})\s?(?:\\pmod\s?\{?|\\[bp]?mod\s?\{?|\((?:\\text\{)?mod\s?\}?)\s?(?P<by>[1-9][0-9]{0,14})"
    r"(?![\w^.])"
)
_CONGRUENCE = re.compile(r"\\equiv|≡")
_LEFT, _RIGHT, MAX_CONGRUENCES = 200, 60, 64
"""Characters beside the sign of a congruence that are looked at, and how many congruences."""
_MARK = re.compile(
    r"(?P<stop>(?<!e\.g)(?<!i\.e)[.!?]\s)|\b(?:no|not|none|never|nor|nothing|cannot|hardly|without|false\w*|untrue|myths?"
    r"|misconceptions?|contrary|claim\w*|think\w*|thought|believ\w+|conjectur\w+|sa(?:y|ys|id)|argu\w+|guess\w*|wrong\w*"
    r"|mistak\w*|statements?|or|exactly|only|if|whether|check\w*|when|unless|suppos\w+|assum\w+|would|could|might|may|must|should|case|until|test\w*"
    r"|such that|where|either|neither)\b|n['’]t\b",
    re.IGNORECASE,
)
"""The end of a sentence, or a word after which nothing in it is said for certain."""
_PART = re.compile(
    r"(?:[0-9][$)\\]{0,3}\s?[,;](?: and| or)?|\b(?:in|with|as|like|and|or|of|by|plus|minus|times|over|mod"
    r"|modulo|below|above|under|between|from|after|before))"
    r"\s[$(\\\s]{0,3}\Z"
)
"""Before a number that is one of a list, or part of what is spoken of."""
_TAKEN_BACK = re.compile(
    r"[^.?]{0,60}\?|[^.]{0,60}?\b(?:only|if|when|unless|except|myth|misconception|untrue|nonsense|false\w*)\b",
    re.IGNORECASE,
)
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Bases that decide whether a number below 3 * 10^24 is prime (Sorenson and Webster, 2015)."""


def judged_claims(text: str) -> Iterator[Finding | None]:
    """What `text` says of whole numbers: a finding where it is not so, None where it is."""
    matches = (*_SAID.finditer(text), *_congruences(text))
    if not matches or differentiates(text):
        return
    marks = [(mark.start(), mark["stop"] is None) for mark in _MARK.finditer(text)]
    for match in matches:
        if not _is_open(text, match, marks):
            yield from _congruent(match) if "left" in match.groupdict() else _said(match)


def _congruences(text: str) -> Iterator[re.Match[str]]:
    """Each sign is looked at with little beside it, so that a long text is read once."""
    last = 0
    for sign in islice(_CONGRUENCE.finditer(text), MAX_CONGRUENCES):
        match = _CONGRUENT.search(text, max(last, sign.start() - _LEFT), sign.end() + _RIGHT)
        last = sign.end()
        if match:
            yield match


def _is_open(text: str, match: re.Match[str], marks: Sequence[tuple[int, bool]]) -> bool:
    """Whether what is said is part of more, or not said for certain."""
    start, end = match.span()
    place = bisect_left(marks, (start, False))
    if (place and marks[place - 1][1]) or is_assumed(text, start, end):
        return True
    return _PART.search(text[max(0, start - 24) : start]) is not None or _TAKEN_BACK.match(text, end) is not None


def _said(match: re.Match[str]) -> Iterator[Finding | None]:
    number, positive = int(match["n"]), match["is"] == "is"
    if number < 2:
        return
    if match["prime"]:
        yield _prime(match, number, (match["prime"] == "prime") == positive)
    elif match["power"]:
        root = _root(number, 2 if match["power"] == "square" else 3)
        yield None if bool(root) == positive else _finding(match, f"a perfect {match['power']}", positive)
    else:
        by = int(match["by"])
        rest = f"{number} = {by} * {number // by}" + (f" + {number % by}." if number % by else ".")
        yield None if (number % by == 0) == positive else _finding(match, f"divisible by {by}", positive, rest)


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


def _congruent(match: re.Match[str]) -> Iterator[Finding | None]:
    left, by = value_of(tokenise(match["left"])), int(match["by"])
    if left is None or left.denominator != 1:
        return
    if (left - Fraction(match["right"])) % by == 0:
        yield None
        return
    said, rest = match["left"].strip(), int(left) % by
    yield Finding(
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
