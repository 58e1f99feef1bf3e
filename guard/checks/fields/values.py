"""Values of a record against a sentence, for `guard.checks.fields`: short texts, times and places.

"The status is shipped", "located in Oakland", "the departure is at 14:35". Rules: the field must be named beside the
value; a text contradicts only where it shares no word with any value or prose of the evidence; times are compared as
times, other texts with digits in them not at all. Numbers are in `numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from guard.checks.fields.clock import TIME, minutes
from guard.checks.fields.index import Index
from guard.checks.fields.listed import judged_lists
from guard.checks.fields.naming import stem
from guard.checks.fields.numbers import judged_count, judged_number, number, unknown_amounts, unknown_source
from guard.checks.fields.records import Field
from guard.checks.fields.statement import WORD, Mention, Statement
from guard.checks.fields.wrong import Wrong

_IS = re.compile(
    r"\s*(?:\bis\b|\bare\b|\bwas\b|[:=])\s*(?:an?\b|the\b|currently\b)?\s*[\"'“]?"
    r"(?P<value>[\w'’](?:[\w'’ -]|\.(?=\s?[A-Z])){0,40})",
    re.IGNORECASE,
)
_AT = re.compile(rf"\s*(?:is|are|was|:)\s*(?:at\s+)?(?P<time>{TIME})", re.IGNORECASE)
_LOCATED = re.compile(
    r"\b(?:located|situated|based|found|nestled) (?:right )?(?:in|at)\s+(?:the (?:heart|center|middle) of\s+)?"
    r"(?:downtown\s+)?(?P<place>[A-Z\d][\w'’.]*(?:[ ,]+[A-Z\d][\w'’.]*){0,7})"
)
_PLACES = frozenset(map(stem, "city town location address place state country region area venue street".split()))
_STREETS = frozenset(map(stem, "street st avenue ave road rd lane ln drive dr boulevard blvd square way suite".split()))
_NOTHING = re.compile(r"\b(?:not|n['’]t|no|unknown|unclear|specified)\b", re.IGNORECASE)


def judged_values(said: Statement, mentions: Sequence[Mention], index: Index) -> Iterator[Wrong | None]:
    """Every number, text and place that the record contradicts, and None for one that it bears out."""
    seen: set[int] = set()
    names = {mention.name for mention in mentions}
    for mention in mentions:
        yield from judged_count(said, mention, index)
        if mention.name not in index.values:
            continue
        fields = index.about(index.values[mention.name], names)
        if found := number(said.text, mention, fields is not index.values[mention.name]):
            for wrong in judged_number(said, found, fields, mention, index) if found.start("n") not in seen else ():
                seen.update([] if wrong is None else [found.start("n")])
                yield wrong
        else:
            yield from _judged_text(said, mention, fields, index)
    yield from _judged_place(said, index)
    yield from unknown_source(said, index)
    yield from unknown_amounts(said, index)
    yield from judged_lists(said, mentions, index)


def _judged_text(said: Statement, mention: Mention, fields: Sequence[Field], index: Index) -> Iterator[Wrong | None]:
    found = _IS.match(said.text, mention.end)
    texts = [field for field in fields if isinstance(field.value, str) and 0 < len(field.value) <= 40]
    if found is None or len(texts) != 1 or len(texts) != len(fields) or _NOTHING.search(said.text):
        return
    if any(c.isdigit() for c in f"{found['value']}{texts[0].value}"):
        if said.text.startswith(str(texts[0].value), found.start("value")):
            yield None
        else:
            yield from _judged_time(said, mention, texts[0])
        return
    words = [stem(word) for word in WORD.findall(found["value"])]
    true = [stem(word) for word in WORD.findall(str(texts[0].value))]
    if not words or not true:
        return
    if any(w in index.valued for w in words if len(w) > 2) or _may_be_short(words, true):
        if not set(words).isdisjoint(true):
            yield None
        return
    field = texts[0]
    doubt = 0.0 if said.text[mention.end :].lstrip()[:1] in ":=" or _is_short(found) else 0.35
    yield Wrong(
        "text", mention.start, found.end(), field, field.path[-1], found["value"].strip(), str(field.value), doubt
    )


def _judged_time(said: Statement, mention: Mention, field: Field) -> Iterator[Wrong | None]:
    found = _AT.match(said.text, mention.end)
    told, true = minutes(found["time"]) if found else frozenset(), minutes(str(field.value))
    if found is None or not told or not true:
        return
    if told.isdisjoint(true):
        yield Wrong("number", mention.start, found.end(), field, field.path[-1], found["time"], str(field.value))
    else:
        yield None


def _is_short(found: re.Match[str]) -> bool:
    return len(found["value"].split()) <= 3 and found["value"].strip()[:1].isupper()


def _may_be_short(words: Sequence[str], true: Sequence[str]) -> bool:
    return any(_abbreviates(a, b) or _abbreviates(b, a) for a in words for b in true)


def _abbreviates(short: str, long: str) -> bool:
    """Whether one word may be short for another: "CA", "California"."""
    if not short or len(short) > 4 or short[0] != long[:1]:
        return False
    letters = iter(long)
    return all(letter in letters for letter in short)


def _judged_place(said: Statement, index: Index) -> Iterator[Wrong | None]:
    found = _LOCATED.search(said.text)
    if found is None:
        return
    fields = [f for f in index.fields if f.path and stem(f.path[-1]) in _PLACES and isinstance(f.value, str)]
    if not fields or _NOTHING.search(said.text, 0, found.start()):
        return
    words = [stem(word) for word in WORD.findall(found["place"]) if word[0].isupper() or word.isdigit()]
    true = [stem(word) for field in fields for word in WORD.findall(str(field.value))]
    words = [word for word in words if word not in _STREETS]
    if not set(words).isdisjoint(true):
        yield None
    elif words and not any(word in index.known for word in words) and not _may_be_short(words, true):
        has_digits = any(word.isdigit() for word in words)
        like = (f for f in fields if any(c.isdigit() for c in str(f.value)) is has_digits)
        field = next(like, fields[0])
        yield Wrong(
            "place", found.start(), found.end(), field, field.path[-1], found["place"].strip(), str(field.value)
        )
