"""Where a statement cites, for `guard.checks.citation`: quoted strings, references by number, addresses, identifiers.

It knows how citations are written; not what the sources hold.

Rules: a quotation mark opens at the start of a word and closes at the end of one, so that inch marks and marks cut off
at a segment's edge do not pair up. Code is no citation: fenced blocks are passed over, and quotes inside backticks.
Placeholders (example.com, localhost, <id>, XXXX) name nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

Kind = Literal["label", "mark", "part", "url", "doi", "arxiv", "isbn", "pmid", "rfc", "cve", "record", "commit", "path"]
"""`label`: a source by its number ("passage 4"); `mark`: "[4]"; `part`: a part of a document ("Section 4.2");
`record`: an order, ticket or case by its number."""


@dataclass(frozen=True, slots=True)
class Cited:
    """One thing that is named: its kind, the word that says what it is, its value, its characters."""

    kind: Kind
    noun: str
    value: str
    start: int
    end: int


_QUOTE = re.compile(
    r"(?<![\w\d])(?:[\"](?=[\w\[(.…'$£€])(?P<straight>[^\"]{6,1200}?)(?<=[\w.,;:!?…)\]%'])[\"](?!\w)"
    r"|[“«„](?P<curly>[^“”«»„]{6,1200}?)[”»“])"
)
_OPENED = re.compile(r"(?:(?<![\w\d])\"(?=[\w\[(])|[“«„])([^\"“”«»„]{6,1200})$")
_JSON = re.compile(r"\s*[\[{]\s*[\"{\[]")
_KEY = re.compile(r"\w[\"']\s?:\s?$")
_INLINE_CODE = re.compile(r"`[^`\n]{1,300}`")
FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)

_SHORT = {"sec": "section", "§": "section", "art": "article", "fig": "figure"}
_LABEL_NOUNS = "passage document doc source excerpt snippet context result reference chunk".split()
_MORE = r"(?:\s?(?:,|and|or|&|to|through|–|-|, and)\s?\d{1,3}(?:\.\d{1,3}){0,3}(?![\w%]))*"
_PART = re.compile(
    rf"(?<![\w-])(sections?|sec|§§?|articles?|art|chapters?|clauses?|rules?|figures?|fig|tables?|pages?|paragraphs?)\.?\s?"
    rf"(\d{{1,3}}(?:\.\d{{1,3}}){{0,3}}{_MORE})(?![\w%])"
    r"|(?<![\w-])(appendix|annex|exhibit|table|figure)\s([A-Z](?:\.\d{1,2})?)(?!\w)",
    re.IGNORECASE,
)
_LABEL = re.compile(rf"\b({'|'.join(_LABEL_NOUNS)})s?\s?#?\(?(\d{{1,3}}{_MORE})(?![\w%.]\w)", re.IGNORECASE)
_LABELLED = re.compile(
    rf"\b({'|'.join(_LABEL_NOUNS)})s?[^\w\n]{{0,4}}(?:(?:index|id|number|no)[^\w\n]{{1,4}})?(\d{{1,3}}{_MORE})(?!\w)",
    re.IGNORECASE,
)
_MARK = re.compile(
    r"(?:(?<=[.,;:!?\"”\]])|(?<=[a-z]{4})|(?<=[\w.,;:!?)\"”\]])\s)\[(\d{1,3}(?:,\s?\d{1,3}){0,5})\](?![(\w\[=])"
)
_MATHS = re.compile(
    r"(?:\b(?:sets?|arrays?|lists?|intervals?|ranges?|vectors?|tuples?|index|matrix|in|is|are|of)|[=∈])$"
)
_MARKED = re.compile(r"(?m)(?:^|\s)\[(\d{1,3})\](?!\()")
_HEADING = re.compile(r"(?m)^[ \t#*>|]{0,12}(\d{1,3}(?:\.\d{1,3}){0,3})(?=[.):]?\s)")
_PLURAL = re.compile(r"[sS§]\.?[\s#(]*$")
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_RANGE = re.compile(r"(\d{1,3})\s?(?:–|-|to|through)\s?(\d{1,3})(?![.\d])")

_URL = re.compile(r"(?:https?://|(?<![\w./@])www\.)[^\s<>\"'`()\[\]{}|\\^“”]{3,400}", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"example\.|localhost|127\.0\.0\.1|0\.0\.0\.0|192\.168\.|\.(?:test|local|invalid|internal)(?![\w-])|your[-_.]|xxx|<|\{|\.\.\.|…"
    r"|placeholder|domain\.com|12345",
    re.IGNORECASE,
)
_IDENTIFIERS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("doi", re.compile(r"\b(10\.\d{4,9}/[^\s\"'<>,;\])}]{3,100})")),
    ("arxiv", re.compile(r"\barxiv(?:\.org/(?:abs|pdf)/|[:\s]{1,2})\s?(\d{4}\.\d{4,5})(?:v\d+)?", re.IGNORECASE)),
    ("isbn", re.compile(r"\bISBN(?:-1[03])?[:\s]{1,2}\s?((?:97[89][- ]?)?(?:\d[- ]?){9}[\dXx])\b", re.IGNORECASE)),
    ("pmid", re.compile(r"\bPMID[:\s]{1,2}\s?(\d{6,9})\b", re.IGNORECASE)),
    ("rfc", re.compile(r"\bRFC[ -]?(\d{3,5})\b")),
    ("cve", re.compile(r"\b(CVE-\d{4}-\d{4,7})\b", re.IGNORECASE)),
    ("commit", re.compile(r"\bcommit\s`?((?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40})\b", re.IGNORECASE)),
)
_RECORD = re.compile(
    r"\b(?<!\bin )(order|ticket|invoice|booking|reservation|tracking|confirmation|customer|transaction|shipment|case"
    r"|claim|account|contract|policy|member|patient|flight|docket)"
    r"(?P<said>[\s_]?(?:number|no\.?|nr\.?|id|reference|code|#))?(?![A-Za-z])(?:\s(?:is|was))?"
    r"[`*\"']{0,2}\s?[:=]?\s?[`*\"'#]{0,3}"
    r"(?P<value>(?=[A-Za-z-]{0,8}\d)[A-Za-z]{0,5}[-/]?\d[A-Za-z\d]*(?:[-/]\w+)*)\b",
    re.IGNORECASE,
)
_OFTEN_COUNTED = frozenset("case claim account contract policy member patient flight customer transaction".split())
_YEAR = re.compile(r"(?:19|20)\d\d")
_PATH = re.compile(r"(?<![\w/.:@-])((?:\.{0,2}/)?(?:[\w.-]{1,60}/){1,12}[\w-]{1,60}\.[A-Za-z]\w{0,4})(?::\d+)?\b")


@dataclass(frozen=True, slots=True)
class Quote:
    """A quoted string: its characters between the marks, and whether the segment holds its end."""

    text: str
    start: int
    end: int
    is_closed: bool = True


def quotes_in(text: str) -> Iterator[Quote]:
    """The quoted strings of a statement, in order; the last may be cut off. Strings of JSON are none."""
    if _JSON.match(text):
        return
    text = _INLINE_CODE.sub(lambda found: " " * len(found[0]), text)
    end = 0
    for found in _QUOTE.finditer(text):
        if _KEY.search(text, max(0, found.start() - 40), found.start()):
            continue
        group = "straight" if found["straight"] is not None else "curly"
        yield Quote(found[group], found.start(group), found.end(group))
        end = found.end()
    if opened := _OPENED.search(text, end):
        yield Quote(opened[1], opened.start(1), opened.end(1), False)


def cited_in(text: str) -> Iterator[Cited]:
    """What a statement names that a source must hold, but for quotes."""
    for kind in FINDERS:
        yield from named_in(text, kind)


def named_in(text: str, kind: Kind) -> Iterator[Cited]:
    """What a text names of a kind."""
    return FINDERS[kind](text)


def _labels(text: str) -> Iterator[Cited]:
    return _numbered(_LABEL, "label", text)


def _parts(text: str) -> Iterator[Cited]:
    return _numbered(_PART, "part", text)


def _marks(text: str) -> Iterator[Cited]:
    for found in _MARK.finditer(text):
        if _MATHS.search(text[max(0, found.start() - 12) : found.start()]):
            continue
        for number in _NUMBER.finditer(text, *found.span(1)):
            yield Cited("mark", "", number[0], number.start(), number.end())


def _identifiers(kind: Kind, pattern: re.Pattern[str], text: str) -> Iterator[Cited]:
    for found in pattern.finditer(text):
        value = found[1].rstrip(".,:;")
        yield Cited(kind, kind, value, found.start(1), found.start(1) + len(value))


def _paths(text: str) -> Iterator[Cited]:
    for found in _PATH.finditer(text):
        # The path of an address is none: what is before it up to a space says so.
        before = text[max(0, found.start() - 200) : found.start()].rsplit(None, 1)
        if not _PLACEHOLDER.search(found[0]) and not _URL.search(before[-1] + found[0] if before else ""):
            yield Cited("path", "file", found[1], found.start(), found.end())


def _numbered(pattern: re.Pattern[str], kind: Kind, text: str) -> Iterator[Cited]:
    for found in pattern.finditer(text):
        group = 2 if found[2] else 4
        noun = _noun(found[group - 1])
        if group == 4:
            yield Cited(kind, noun, found[4].upper(), found.start(), found.end())
            continue
        for number in _NUMBER.finditer(text, *found.span(2)):
            first = number.start() == found.start(2)
            if not first and not _PLURAL.search(text[found.start() : found.start(2)]):
                break  # "passage 1, 10 minutes"
            yield Cited(kind, noun, number[0], found.start() if first else number.start(), number.end())


def _noun(written: str) -> str:
    noun = written.lower()
    noun = noun[:-1] if noun[-1] in "s§" and len(noun) > 1 else noun
    return _SHORT.get(noun, noun)


def _urls(text: str) -> Iterator[Cited]:
    for found in _URL.finditer(text):
        url = found[0].rstrip(".,;:!?*_")
        if not _PLACEHOLDER.search(url):
            yield Cited("url", "address", url, found.start(), found.start() + len(url))


def _records(text: str) -> Iterator[Cited]:
    for found in _RECORD.finditer(text):
        value, noun = found["value"], found[1].lower()
        digits = sum(c.isdigit() for c in value)
        is_mixed = any(c.isalpha() for c in value)
        if not found["said"] and (_YEAR.fullmatch(value) or (noun in _OFTEN_COUNTED and not is_mixed)):
            continue
        if digits >= 3 and (digits >= 4 or is_mixed) and not _PLACEHOLDER.search(value):
            yield Cited("record", noun, value, found.start("value"), found.end("value"))


FINDERS: dict[Kind, Callable[[str], Iterator[Cited]]] = {
    "label": _labels,
    "mark": _marks,
    "part": _parts,
    "url": _urls,
    "record": _records,
    "path": _paths,
    **{kind: partial(_identifiers, kind, pattern) for kind, pattern in _IDENTIFIERS},
}


def labels(text: str) -> dict[str, set[str]]:
    """The numbers under which a source names its parts, by noun; "" holds those of headings, "[" those of marks."""
    known: dict[str, set[str]] = {"": set(_HEADING.findall(text)), "[": set(_MARKED.findall(text))}
    for pattern in (_LABELLED, _PART):
        for found in pattern.finditer(text):
            group = 2 if found[2] else 4
            known.setdefault(_noun(found[group - 1]), set()).update(_expanded(found[group]))
    return known


def _expanded(numbers: str) -> Iterator[str]:
    if not numbers[0].isdigit():
        yield numbers.upper()
    yield from _NUMBER.findall(numbers)
    for found in _RANGE.finditer(numbers):
        yield from map(str, range(int(found[1]), min(int(found[2]), int(found[1]) + 99) + 1))
