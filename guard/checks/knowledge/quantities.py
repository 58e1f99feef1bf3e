"""Numbers, years and amounts as objects of facts, for `guard.checks.knowledge`.

It does not know facts or sentences beyond the place of an object. Rules:

1. A fact's object is a quantity if it is one number, perhaps with a scale ("million") and a unit.
2. What is said is one where a number stands first in the object's place, with the same unit or none, and the
   statement about it ends there. "around 1985", "the 1980s", "more than 5 euros", "ten euros", "12 euros a month",
   "1980-85" and other units are none: they may be true.
3. "1.200" and "1,200" may each be 1200 or 1.2. A number that rounds to the one said is no error ("8.3 million").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from guard.checks.knowledge.facts import words_of
from guard.checks.knowledge.patterns import Anchor

_SCALES = {"thousand": 10**3, "k": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_UNITS = {"€": "euro", "eur": "euro", "$": "dollar", "usd": "dollar", "£": "pound", "gbp": "pound", "percent": "%"}
_UNIT = r"[^\W\d_]+(?:/[^\W\d_]+)?[²³]?|[€$£%]|°[^\W\d_]?"
_QUANTITY = (
    r"(?P<cur>[€$£]\s?)?(?P<number>[-−]?[0-9]{1,15}(?:[.,][0-9]{1,15}){0,5})(?![0-9])"
    rf"(?:\s?(?P<scale>thousand|million|billion|trillion|k)(?!\w))?(?:\s?(?P<unit>{_UNIT})(?!\w))?"
)
_WHOLE = re.compile(rf"\s*{_QUANTITY}(?P<more>(?:\s[^\W\d_]+){{0,3}})\s*", re.IGNORECASE)
_LEAD = r"(?:[\s*_]|(?:(?:the year|only|just|exactly|precisely)\s))*"
_FIRST = re.compile(rf"{_LEAD}(?P<all>{_QUANTITY})", re.IGNORECASE)
_LAST = re.compile(rf"(?:\A|[.,;:!?]\s|\n){_LEAD}(?P<all>{_QUANTITY})[\s*_,]*\Z", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,])[-−]?[0-9]{1,15}(?:[.,][0-9]{1,15}){0,5}(?![\w])")
_BARE_END = re.compile(
    r"[\s*_”\"’']*(?:\Z|[.,;:!?)\]](?!\d)|\n|\s(?:and|but|so|which|because|although|while)\b)", re.IGNORECASE
)
_PLACE_END = re.compile(r"\s(?:by|as|at|with|near|from|under|in)\s(?=(?:the\s)?[^\W\d_])")
_NO_UNITS = words_of("and but so which because although while by as at with near from under in")
_MANY = 10_000
"""From here on, zeros at a number's end may come from rounding."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit: what it may be, each with the step it may have been rounded to."""

    values: tuple[tuple[Fraction, Fraction], ...]
    unit: str
    start: int = 0
    end: int = 0


def quantity(name: str) -> Quantity | None:
    """The quantity that all of `name` is."""
    match = _WHOLE.fullmatch(name)
    return _read(match, 0, match.end(), match["more"]) if match else None


def said_quantity(text: str, start: int, end: int, anchor: Anchor, counted: bool) -> Quantity | None:
    """The quantity that is said in ``text[start:end]``, which stands at its `anchor`; `counted`: a unit is called for,
    so that what follows may be more about the amount ("12 in the first year")."""
    cut = text[start:end]
    match = _LAST.search(cut) if anchor == "end" else _FIRST.match(cut)
    if match is None:
        return None
    unit, stop = match["unit"] or "", match.end("all")
    if unit.lower() in _NO_UNITS:
        unit, stop = "", len(cut[: match.start("unit")].rstrip())
    if anchor != "end" and not _ends(cut, stop, anchor, counted or bool(unit or match["cur"])):
        return None
    return _read(match, start + match.start("all"), start + stop, "", unit)


def _ends(cut: str, stop: int, anchor: Anchor, counted: bool) -> bool:
    if anchor == "both":
        return not cut[stop:].strip(" *_,")
    return bool(_BARE_END.match(cut, stop)) or (not counted and bool(_PLACE_END.match(cut, stop)))


def contradicts(said: Quantity, right: Quantity, behind: str) -> bool:
    """Whether `said` differs from `right`; `behind` is the text behind it, which may put it right."""
    if said.unit and said.unit != right.unit:
        return False
    mentioned = [value for number in _NUMBER.findall(behind) for value, _ in _values(number, 1)]
    if any(value in mentioned for value, _ in right.values):
        return False
    return not agrees(said, right)


def agrees(said: Quantity, right: Quantity) -> bool:
    """Whether `said` is `right`, perhaps rounded, in the same unit or none."""
    if said.unit and said.unit != right.unit:
        return False
    return any(_agree(value, step, true) for value, step in said.values for true, _ in right.values)


def may_become_number(said: str, right: str) -> bool:
    """Whether a number at the end of an unfinished sentence may become the right one."""
    digits = _NUMBER.search(right)
    return digits is not None and digits[0].startswith(said)


def _read(match: re.Match[str], start: int, end: int, more: str, unit: str | None = None) -> Quantity | None:
    scale = _SCALES[match["scale"].lower()] if match["scale"] else 1
    values = _values(match["number"], scale)
    behind = f"{match['unit'] or ''}{more}" if unit is None else unit
    return Quantity(values, _unit(behind or (match["cur"] or "").strip()), start, end) if values else None


def _unit(written: str) -> str:
    words = [_UNITS.get(word, word) for word in written.casefold().split()]
    return " ".join(word[:-1] if len(word) > 2 and word.endswith("s") else word for word in words)


def _values(number: str, scale: int) -> tuple[tuple[Fraction, Fraction], ...]:
    """Every usual reading of a written number."""
    plain = number.replace("−", "-")
    parts = re.split("[.,]", plain)
    grouped = all(len(part) == 3 for part in parts[1:]) and parts[0] not in ("0", "-0")
    readings = [_reading("".join(parts), 0, scale)] if grouped else []
    if len(parts) > 1 and (not grouped or len(parts) == 2 or plain.count(".") == plain.count(",") == 1):
        readings.append(_reading("".join(parts), len(parts[-1]), scale))
    return tuple(readings)


def _reading(digits: str, decimals: int, scale: int) -> tuple[Fraction, Fraction]:
    value, step = Fraction(int(digits), 10**decimals) * scale, Fraction(scale, 10**decimals)
    while abs(value) >= _MANY and value % (step * 10) == 0:
        step *= 10
    return value, step


def _agree(said: Fraction, step: Fraction, true: Fraction) -> bool:
    away = abs(said - true)
    return away <= step / 2 or (away < step and abs(said) < abs(true))


def any_quantity(names: Sequence[str]) -> list[Quantity]:
    """The quantities among `names`."""
    return [found for name in names if (found := quantity(name)) is not None]
