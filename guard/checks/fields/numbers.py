"""Numbers of a sentence against the record's, for `guard.checks.fields`: of a field, of a list's things, from nowhere.

"a rating of 4.5", "a 4.5-star rating", "its price is $40". Rules: a number agrees with any field of the name, at the
precision it is said with, or converted to the unit it is said in; "about" and "over" are no contradiction; nothing is
said against a sentence that calculates, a number that counts something else ("a total of 60 balloons"), or the price of
what is not the record's. What is in another unit than the field scores below a flag; what a sentence says to be worked
out ("with tax", "remaining") is worth a flag and no interruption, and nothing if it follows from two numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from guard.checks.fields.derived import follows, is_qualified
from guard.checks.fields.index import Index
from guard.checks.fields.naming import stem
from guard.checks.fields.records import Field
from guard.checks.fields.statement import Mention, Statement
from guard.checks.fields.units import currencies, field_unit, is_conversion, is_same, said_unit
from guard.checks.fields.wrong import Wrong

_WORDED = {w: n for n, w in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())}
_NUM = r"(?P<n>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|(?:" + "|".join(_WORDED) + r")(?P<half> and a half)?)"
_AFTER = re.compile(
    rf"\s*(?:\b(?:is|are|was|were|of|at|as|a|an|has been|stands?|currently|average|overall)\b\s*){{0,4}}"
    rf"[:=(]?\s*[$€£]?{_NUM}(?![\w:]|[./,-]\d)",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    rf"(?<![\w.,:/$€£-])[$€£]?{_NUM}(?:\s+out of\s+(?:\d(?:\.0)?|five|ten))?[\s-]{{0,2}}$", re.IGNORECASE
)
_OUT_OF = re.compile(r"\b(?:out\s+of|of|/)\s*\S+[\s-]{0,2}$", re.IGNORECASE)
_ABOUT = re.compile(
    r"\b(?:about|around|approximately|roughly|over|under|nearly|almost|more than|less than|up to|at least|at most"
    r"|between|from|to|or|if|would|below|above)\s*[$€£]?$",
    re.IGNORECASE,
)
CALCULATED = re.compile(r"[=≈×]|<<|\\\\|\d\s*[-+*/x]\s*[$€£]?\d+\s*[-+*/x=]|\d\s[-+*/x]\s[$€£]?\d|\d[*+]\d")
_COUNTED = re.compile(
    r"[\s-](?!(?:stars?|out|percent|degrees?|dollars?|euros?|cents?|points?|years?|usd|eur|gbp|and|or|with|for|in|at|on|is|are"
    r"|as|but|by|per|each|from|to|kg|km|miles?|meters?|metres?|pounds?|grams?|hours?|minutes?|seconds?|days?|mg|mah|g|cm"
    r"|of|celsius|fahrenheit|which|while|when|the|according|based)\b)[a-z]+",
    re.IGNORECASE,
)
_OF_ANOTHER = re.compile(
    r"\b(?:minimum|maximum|min|max|original|starting|initial|new|old|previous|half|other|average|typical|usual|total)\s+$",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"\b(?:not|n['’]t|no)\b", re.IGNORECASE)
_PRICED = re.compile(r"\b(?:price[sd]?|pricing|fees?|charges?)\b", re.IGNORECASE)
_ITS = re.compile(r"\b(?:it|this|that|which|they|and)\s+$", re.IGNORECASE)
_SOURCE = re.compile(
    r"\b(?:stars?|rat(?:ed|ings?)|reviews?|score)(?: \w+)? on (?!(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
    r"|Mon|Tue|Wed|Thu|Fri|Sat|Sun))(?P<source>[A-Z][a-zA-Z]+)\b"
)
_MONEY = re.compile(r"[$€£]\s?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w$])")
_ABOUT_SUM = re.compile(
    r"\b(?:total|sum|together|saves?|difference|more than|less than|over|under)\b|[=+×*]", re.IGNORECASE
)
_MANY = 60
"""With more numbers than these, any amount may follow from some."""
_ALL = re.compile(r"\b(?:average|mean|overall|total|combined)\b", re.IGNORECASE)
FLAGGED, UNFLAGGED = 0.2, 0.45
"""What takes a wrong number's score down to a flag, and below."""
_RATINGS = frozenset(map(stem, ("star", "stars", "rating", "ratings", "rated", "score")))


def unknown_source(said: Statement, index: Index) -> Iterator[Wrong]:
    """Ratings that are said to come from somewhere that nothing names."""
    found = _SOURCE.search(said.text)
    ratings = [field for name in _RATINGS for field in index.values.get(name, ())]
    if found and ratings and stem(found["source"]) not in index.known:
        start, end = found.span("source")
        yield Wrong("source", start, end, ratings[0], ratings[0].path[-1], found["source"], "")


def unknown_amounts(said: Statement, index: Index) -> Iterator[Wrong]:
    """Amounts of money that stand nowhere."""
    for found in _MONEY.finditer(said.text):
        whole = found["whole"].replace(",", "")
        if whole in index.known or _ABOUT_SUM.search(said.text) or CALCULATED.search(said.text):
            continue
        written = found[0].lstrip("$€£ ")
        value = float(written.replace(",", ""))
        qualified = is_qualified(said.text, 0)
        if not _is_sum(float(whole), index) and not follows(value, written, said.text, index, qualified):
            yield _unknown_amount(said.text, found, index)


def _unknown_amount(text: str, found: re.Match[str], index: Index) -> Wrong:
    doubt = 0.0 if _PRICED.search(text) else 0.15
    unit = said_unit(text, found.start() + 1, found.end())
    own = [("money", code) for code in currencies(index.fields)]
    doubt = 0.15 if unit and own and not any(is_same(unit, one) for one in own) else doubt
    return Wrong("amount", found.start(), found.end(), None, "amount", found[0], "", doubt)


def number(text: str, mention: Mention, is_named: bool) -> re.Match[str] | None:
    """The number that is said of the thing named, with the words between; `is_named`: so is its record."""
    if CALCULATED.search(text):
        return None
    before = _BEFORE.search(text, max(0, mention.start - 40), mention.start)
    if before and not _OUT_OF.search(text, 0, before.start("n") + len(before["n"])):
        return None if _ABOUT.search(text, 0, before.start("n")) else before
    after = _AFTER.match(text, mention.end)
    if after is None or _ABOUT.search(text, 0, after.start("n")) or _COUNTED.match(text, after.end()):
        return None
    is_verb = mention.name == "cost" and not _ITS.search(text, 0, mention.start) and not is_named
    return None if is_verb or _OF_ANOTHER.search(text, 0, mention.start) else after


def value_of(found: re.Match[str]) -> float:
    """The number that was written."""
    word = found["n"].lower()
    half = 0.5 if found["half"] else 0.0
    word = word.partition(" ")[0] if half else word
    return _WORDED[word] + half if word in _WORDED else float(word.replace(",", ""))


def _is_sum(amount: float, index: Index) -> bool:
    """Whether it may be worked out from the record's numbers: "$20 each, so $40"."""
    rated = {id(field) for name in _RATINGS for field in index.values.get(name, ())}
    numbers = {f.value for f in index.fields if isinstance(f.value, float) and id(f) not in rated}
    if len(numbers) > _MANY:
        return True
    near = {n * times for n in numbers for times in range(2, 13)} | {a + b for a in numbers for b in numbers}
    near |= {a - b for a in numbers for b in numbers} | {a * b for a in numbers for b in numbers}
    return any(int(n) == amount for n in near)


def judged_count(said: Statement, mention: Mention, index: Index) -> Iterator[Wrong | None]:
    """More of a list's things than it holds, None for as many as one holds; fewer may be a part of them."""
    lists = index.counts.get(mention.name, ())
    before = _BEFORE.search(said.text, max(0, mention.start - 40), mention.start) if lists else None
    if before is None or _ABOUT.search(said.text, 0, before.start("n")):
        return
    most, value = max(lists, key=lambda field: float(field.value or 0)), value_of(before)
    if any(field.value == value for field in lists):
        yield None
    elif value > sum(float(field.value or 0) for field in lists):
        start = before.start("n")
        text = said.text[start : mention.end]
        yield Wrong("count", start, mention.end, most, most.path[-1], text, f"{most.value:g} listed")


def judged_number(
    said: Statement, found: re.Match[str], fields: Sequence[Field], mention: Mention, index: Index
) -> Iterator[Wrong | None]:
    """The number against every field of the name; None where it is a field's, and nothing where it may be right."""
    numbers = [field for field in fields if isinstance(field.value, float)]
    value = value_of(found)
    if not numbers or _NOTHING.search(said.text[max(0, mention.start - 20) : mention.end]):
        return
    if any(_agrees(value, found["n"], float(field.value or 0)) for field in numbers):
        yield None
        return
    if _follows(value, [float(field.value or 0) for field in numbers], said.text):
        return
    doubts = [_doubt_of_unit(said.text, found, numbers, index), _doubt_of_sums(said.text, found, mention, index)]
    if None in doubts:
        return
    start, end = sorted((found.start("n"), mention.start))[0], max(found.end("n"), mention.end)
    field = numbers[0]
    doubts.append(0.0 if len(numbers) == 1 or mention.name in _RATINGS else 0.3)
    doubts.append(0.3 if said.is_reported(mention.start) else 0.0)
    doubt = max(doubt or 0.0 for doubt in doubts)
    yield Wrong("number", start, end, field, field.path[-1], found["n"], f"{field.value:g}", doubt)


def _doubt_of_unit(text: str, found: re.Match[str], fields: Sequence[Field], index: Index) -> float | None:
    """The doubt that the number is in another unit than the field; None where it is the field's, converted."""
    unit, value = said_unit(text, *found.span("n")), value_of(found)
    if unit is None:
        return 0.0
    own = [(field, field_unit(field, index.fields, unit)) for field in fields]
    if any(one is None or is_same(one, unit) for _, one in own):
        return 0.0
    written = found["n"] if found["n"][0].isdigit() else ""
    is_right = any(u and is_conversion(value, written, float(field.value or 0), u, unit) for field, u in own)
    return None if is_right else UNFLAGGED


def _doubt_of_sums(text: str, found: re.Match[str], mention: Mention, index: Index) -> float | None:
    """The doubt that the number is worked out from others; None where it is. A rating never is."""
    if mention.name in _RATINGS:
        return 0.0
    qualified = is_qualified(text, mention.start)
    follow = follows(value_of(found), found["n"], text, index, qualified)
    if follow:
        return None
    return FLAGGED if qualified or follow is None else 0.0


def _follows(value: float, true: Sequence[float], text: str) -> bool:
    """Whether it may be the mean or the sum of several."""
    if len(true) < 2 or not _ALL.search(text):
        return False
    return abs(value - sum(true) / len(true)) <= 0.5 or value == sum(true)


def _agrees(said: float, written: str, true: float) -> bool:
    decimals = len(written.partition(".")[2]) if written[-1].isdigit() else 1
    is_rounded = true != round(true) and (decimals > 0 or abs(true) >= 10)
    return said == true or (is_rounded and said == round(true, decimals))
