"""Sums of named results for `guard.checks.arithmetic`: "A = 3 * 4 = 12", "B = 2 - 10 = -8", then "A - B = 12 - 8".

A letter stands for the last number of a chain that works it out; one that was worked out to two numbers stands for
none, since it may have been taken again for another case. One that is also set to another number ("let A = 3"), or a
segment that speaks of another case, leaves a doubt. It does not know formulas in LaTeX, or numbers from the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from guard.checks.arithmetic.equation import PLAUSIBLE, Wrong, judged_relations

_SUM = r"[-+*/^()0-9. ]"
_WORKED_OUT = re.compile(rf"(?<![\w\\$^_*/+-])(?<![*/+-] )([A-Za-z]) = ({_SUM}{{3,200}}(?:= {_SUM}{{1,200}}){{1,12}})")
_CLAIM = re.compile(
    rf"(?<![\w\\$^_=<>*/+.-])((?:[-+*() ]{{0,8}}[A-Za-z]\b(?!')){{2,12}}[) ]{{0,8}})= ({_SUM}{{1,200}})"
)
_SET = re.compile(
    r"(?<![\w\\$^_*/+-])(?<![*/+-] )([A-Za-z]) ?:?= ?(-?[0-9]{1,15}(?:\.[0-9]{1,15})?)(?![\w%]|\.[0-9]| ?[-+*/^=(])"
)
_OTHERWISE = re.compile(
    r"\b(?:others?|another|second|cases?|instead|alternative(?:ly)?|otherwise|redefin\w+|reset\w*|new)\b", re.IGNORECASE
)
_NUMBER = re.compile(r"[( ]*(-?[0-9]{1,15}(?:\.[0-9]{1,15})?)[) .]*")
_OPERATED = re.compile(r"[0-9)] ?[-+*/^]")
_LETTER = re.compile(r"[A-Za-z]")


Named = tuple[str, Fraction, bool]
"""A letter, its number, and whether it was worked out rather than set."""


@dataclass(frozen=True, slots=True)
class Misused:
    """A sum of named results that comes to something else; `values`: how they are written out, as "A = 12"."""

    wrong: Wrong
    values: tuple[str, ...]


def worked_out(text: str) -> tuple[tuple[str, Fraction], ...]:
    """The letters that `text` works out, with their values, in order."""
    if " = " not in text:
        return ()
    found = ((match[1], _last(match[2])) for match in _WORKED_OUT.finditer(text))
    return tuple((name, value) for name, value in found if value is not None)


def named_in(text: str) -> tuple[Named, ...]:
    """The letters that `text` works out, then those that it sets, with their values."""
    out = tuple((name, value, True) for name, value in worked_out(text))
    return (*out, *((match[1], Fraction(match[2]), False) for match in _SET.finditer(text)))


def sums_letters(text: str) -> bool:
    """Whether a sum of letters is said to come to something."""
    return " = " in text and _CLAIM.search(text) is not None


def judged_letters(text: str, named: Sequence[Named]) -> Iterator[Misused | None]:
    """The sums of `text` in letters of `named`: None for one that comes to what it says."""
    values = _certain([(name, value) for name, value, worked in named if worked])
    reset = {name for name, value, worked in named if not worked and values.get(name, value) != value}
    otherwise = _OTHERWISE.search(text) is not None
    for match in _CLAIM.finditer(text) if len(values) > 1 else ():
        letters = sorted(set(_LETTER.findall(match[1])))
        if len(letters) > 1 and all(letter in values for letter in letters):
            told = tuple(f"{letter} = {values[letter]}" for letter in letters)
            doubt = otherwise or not reset.isdisjoint(letters)
            for each in _checked(match, values, told):
                yield _doubted(each) if doubt and each is not None else each


def _doubted(misused: Misused) -> Misused:
    return replace(misused, wrong=replace(misused.wrong, score=min(misused.wrong.score, PLAUSIBLE)))


def _checked(match: re.Match[str], values: Mapping[str, Fraction], told: tuple[str, ...]) -> Iterator[Misused | None]:
    left = _LETTER.sub(lambda letter: f"({values[letter[0]]})", match[1].strip())
    right = match[2].rstrip(" .")
    for wrong in judged_relations(f"{left} = {right}"):
        if wrong is None:
            yield None
        elif wrong.at == len(left) + 1 and wrong.left.start == 0:
            yield Misused(_placed(wrong, match, right), told)


def _placed(wrong: Wrong, match: re.Match[str], right: str) -> Wrong:
    """The relation with its places in the text instead of those in the sum that was made of it."""
    start = match.start(1) + len(match[1]) - len(match[1].lstrip())
    left = replace(wrong.left, start=start, end=match.end(1))
    begin = match.start(2) + len(match[2]) - len(match[2].lstrip())
    return replace(
        wrong, left=left, right=replace(wrong.right, start=begin, end=begin + len(right.strip())), at=match.end(1)
    )


def _certain(named: Sequence[tuple[str, Fraction]]) -> dict[str, Fraction]:
    values = dict(named)
    return {name: value for name, value in values.items() if all(v == value for n, v in named if n == name)}


def _last(chain: str) -> Fraction | None:
    """The value of the last member, if a sum comes before it."""
    first, last = chain.rsplit("=", 1)
    number = _NUMBER.fullmatch(last)
    return Fraction(number[1]) if number and _OPERATED.search(first) else None
