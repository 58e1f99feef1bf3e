"""The evidence of a request, indexed once: units of about a sentence, which words each has, and how rare they are.

It does not know statements, features or scores. A JSON object or list is flattened to "key path: value" units. Units
are numbered with a gap between passages, so that a neighbour is always of the same passage. Nothing depends on the
order of the passages.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from guard.checks.grounding.words import DENIALS, NUMBER_WORDS, STOP_STEMS, stem, stems
from guard.core.types import Passage

MAX_WORDS = 45
"""A unit of more words is split."""
MAX_DEPTH = 24
"""JSON nested deeper is read as plain text."""
_BREAK = re.compile(r"(?<=[.!?])[\"')\]”’]*\s+(?=[A-Z0-9\"'(\[“*-])|\n\s*")
_HEADING = re.compile(r"^\s*(?:passage|document|doc|source|context)\s*\[?\d+\]?\s*:\s*", re.I)
_HOURS = re.compile(r"(\d{1,2}):(\d{1,2})\s*-\s*(\d{1,2}):(\d{1,2})")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\-]+")
_TRIVIAL_KEYS = frozenset(stem(word) for word in "restaurant business ambience attribute good for is has item".split())
_SAID = {True: "yes", False: "no", None: "unknown"}


@dataclass(slots=True, eq=False)
class Unit:
    """About a sentence of evidence.

    `text` is as it stands in the passage, or the flattened "key path: value"; `raw` is how the passage may have it.
    `trusted` is False for the user's own words. `key` holds the last words of a JSON value's key.
    """

    text: str
    passage: int
    trusted: bool
    raw: str = ""
    key: frozenset[str] = frozenset()
    value: str = ""
    stems: list[str] = field(default_factory=list)
    content: frozenset[str] = frozenset()
    denied: bool = False


class Index:
    """All evidence of a request.

    Attributes:
        units: by number; None in the gaps between passages.
        masks: for every stem, the units that have it, as the bits of a whole number.
        postings: the same as lists, for content stems.
        bigrams, trigrams: of stems that stand next to each other within a unit.
        prefixes: the first five letters of the longer stems.
        numbers: the numbers, in one notation, number words included.
    """

    def __init__(self, passages: Iterable[Passage]) -> None:
        self.units: list[Unit | None] = []
        self.masks: dict[str, int] = {}
        self.postings: dict[str, list[int]] = {}
        self.bigrams: set[tuple[str, str]] = set()
        self.trigrams: set[tuple[str, str, str]] = set()
        self.numbers: set[str] = set()
        self.is_record = False
        self.spans: list[int] = []
        seen: set[str] = set()
        for at, passage in enumerate(passages):
            if passage.text not in seen:
                seen.add(passage.text)
                self._add(at, passage)
        self.prefixes = {word[:5] for word in self.masks if len(word) >= 5}
        self.count = sum(unit is not None for unit in self.units)

    def _add(self, at: int, passage: Passage) -> None:
        first = len(self.units)
        for unit in _units(at, passage):
            self._add_unit(unit)
        self.spans.append(((1 << len(self.units)) - 1) ^ ((1 << first) - 1))
        self.units.append(None)

    def _add_unit(self, unit: Unit) -> None:
        unit.stems = found = stems(unit.text)
        if not found:
            return
        number = len(self.units)
        self.units.append(unit)
        bit = 1 << number
        present = set(found)
        unit.content = frozenset(present - STOP_STEMS)
        unit.denied = not DENIALS.isdisjoint(present) or "n't" in unit.text or "n’t" in unit.text
        self.is_record = self.is_record or bool(unit.key)
        masks, postings = self.masks, self.postings
        for word in present:
            masks[word] = masks.get(word, 0) | bit
            if "0" <= word[0] <= "9":
                self.numbers.add(word)
            elif word in NUMBER_WORDS:
                self.numbers.add(NUMBER_WORDS[word])
        for word in unit.content:
            postings.setdefault(word, []).append(number)
        self.bigrams.update(pairwise(found))
        self.trigrams.update(zip(found, found[1:], found[2:], strict=False))

    @cached_property
    def rarities(self) -> dict[str, float]:
        """How rare a stem is among the units: at least 0.1, more the rarer."""
        base = math.log(1.3 + self.count)
        by_count = [base] + [max(0.1, base - math.log(n)) for n in range(1, self.count + 1)]
        return {word: by_count[len(found)] for word, found in self.postings.items()}

    @cached_property
    def unseen(self) -> float:
        """The rarity of a stem that no unit has."""
        return math.log(1.3 + self.count) + 0.7

    @cached_property
    def keyed(self) -> list[Unit]:
        """The units of a JSON record that say yes, no or unknown."""
        return [unit for unit in self.units if unit is not None and unit.key and unit.value in ("yes", "no", "unknown")]


def _units(at: int, passage: Passage) -> Iterator[Unit]:
    trusted = passage.source != "user"
    record = _record(passage.text)
    if record is not None:
        yield from _flat(record, (), at, trusted, MAX_DEPTH)
        return
    for line in _pieces(passage.text):
        yield Unit(line, at, trusted, raw=line)


def _record(text: str) -> Any:
    """The JSON object or list that a text is, else None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict | list) and _depth(document, MAX_DEPTH) else None


def _depth(value: Any, left: int) -> bool:
    if not left:
        return False
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_depth(one, left - 1) for one in inner)


def _pieces(text: str) -> Iterator[str]:
    for piece in _BREAK.split(text):
        bare = _HEADING.sub("", piece.strip())
        if bare:
            yield from _short(bare)


def _short(text: str) -> Iterator[str]:
    parts = [found.span() for found in re.finditer(r"\S+", text)]
    if len(parts) <= MAX_WORDS + 12:
        yield text
        return
    for at in range(0, len(parts), MAX_WORDS):
        some = parts[at : at + MAX_WORDS]
        yield text[some[0][0] : some[-1][1]]


def _flat(value: Any, path: tuple[str, ...], at: int, trusted: bool, left: int) -> Iterator[Unit]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, (*path, _CAMEL.sub(" ", str(key))), at, trusted, left - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, path, at, trusted, left - 1)
    else:
        yield from _leaf(value, path, at, trusted)


def _leaf(value: Any, path: tuple[str, ...], at: int, trusted: bool) -> Iterator[Unit]:
    if isinstance(value, str) and len(value) > 120:
        for piece in _pieces(value):
            yield Unit(piece, at, trusted, raw=piece)
        return
    said = _SAID[value] if value is None or isinstance(value, bool) else str(value)
    said = {"True": "yes", "False": "no", "None": "unknown"}.get(said, said)
    key = [word for word in stems(path[-1] if path else "") if word not in _TRIVIAL_KEYS][-2:]
    text = f"{' '.join(path)}: {said}{_clock(said)}"
    raw = json.dumps(value, ensure_ascii=False)
    yield Unit(text, at, trusted, raw=raw, key=frozenset(key), value=said.strip("u'\"").lower())


def _clock(said: str) -> str:
    """Opening hours said the other way: "11:0-21:0" is "11:00 am - 9:00 pm"."""
    found = _HOURS.fullmatch(said)
    return f" ({_hour(found[1], found[2])} - {_hour(found[3], found[4])})" if found else ""


def _hour(hour: str, minute: str) -> str:
    value = int(hour)
    return f"{value % 12 or 12} {minute.zfill(2)} {'pm' if 12 <= value < 24 else 'am'}"
