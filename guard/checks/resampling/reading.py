"""What one sentence says, as far as words show: its names, numbers and dates, what stands near them, what it denies.

Pure; knows one sentence at a time and compares nothing. A word is told by its stem, and a few words that say the same
in such sentences by one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

Kind = Literal["plain", "word", "name", "number", "ordinal", "year", "month"]
"""`plain`: a word that says nothing by itself."""

HARD: frozenset[Kind] = frozenset({"name", "number", "ordinal", "year", "month"})
"""Kinds of which two cannot both be right in one place."""

_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*|\d[\d,.]*\d|\d")
_YEAR = re.compile(r"1\d{3}|20\d\d")
_PLAIN = frozenset(
    "a an the of in on at to for and or but with by from as is are was were be been being it its he she they his her "
    "their him them this that these those which who whom whose what when where while than then there here has have "
    "had having do does did will would can could may might must shall should not no nor so such also into over under "
    "between during through about after before until since against among per up out off if because however therefore "
    "thus more most very just only own same other another some any each all both few many much several various "
    "including include includes included one one's s".split()
)
_PLACING = frozenset("in by at on from to for of as with".split())
_MONTHS = frozenset("january february march april may june july august september october november december".split())
_COUNTS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
    if word != "one"
}
_ORDINALS = frozenset("first second third fourth fifth sixth seventh eighth ninth tenth".split())
_ENDINGS = ("ational", "ing", "edly", "ied", "ies", "ed", "es", "ly", "'s", "s", "e", "y", "i")
_SAME = {
    word: group[0]
    for group in (
        ["earn", "receiv", "obtain", "hold", "graduat", "complet"],
        ["locat", "situat"],
        ["film", "mov"],
        ["televis", "tv", "show", "program"],
        ["primar", "main"],
        ["begin", "began", "start"],
        ["defeat", "beat"],
        ["form", "found", "establish", "creat"],
        ["build", "built", "construct", "erect"],
        ["win", "won"],
        ["lead", "led"],
        ["soldier", "troop"],
    )
    for word in group
}
_DENIAL = re.compile(
    r"\b(?:not|no|never|none|neither|nor|without|cannot|unable|fail(?:s|ed)?|yet to)\b|n['’]t\b", re.IGNORECASE
)
_LIST = re.compile(
    r"\b(?:includ\w*|such as|several|various|some|many|numerous|others?|among|also|notable|variety|known for|"
    r"works?|films?|series|episodes?|roles?)\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    r"\b(?:includ\w*|such as|several|various|many|numerous|among|notable|one of|some of|others?|variety|like)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[,;:()]|\s-\s|\b(?:and|but|who|which|that|while|where|when|after|before|as)\b", re.IGNORECASE)
_ADDS = re.compile(r"\b(?:also|addition)\b", re.IGNORECASE)
_TITLE = re.compile(r'["“]([^"”]+)["”]')


class Item(NamedTuple):
    """A word: what kind it is, and what it is told by."""

    kind: Kind
    key: str


class Clause(NamedTuple):
    """The keys of a clause, and whether it says that there are more of what it names."""

    keys: frozenset[str]
    several: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A sentence.

    Attributes:
        items: its words in order.
        keys: those that say something.
        near: (a word, a kind) -> what of that kind follows it, or the one after it.
        behind: (a word, the preposition after it) -> the words that follow.
        clauses: each clause.
        denied: for each denial the words around it.
        lists: it names some of several things, so that another sentence may name others.
        titles: what stands in quotation marks.
        several: it says that there are more of what it names ("such as"), more surely than `lists`.
        adds: it adds to what was said before ("also").
    """

    items: Sequence[Item]
    keys: frozenset[str]
    near: Mapping[tuple[str, Kind], frozenset[str]]
    behind: Mapping[tuple[str, str], frozenset[str]]
    clauses: Sequence[Clause]
    denied: Sequence[frozenset[str]]
    lists: bool
    titles: frozenset[str]
    several: bool
    adds: bool

    @property
    def content(self) -> tuple[Sequence[str], int]:
        """Its words that say something, in order, and how often it denies."""
        return [item.key for item in self.items if item.kind != "plain"], len(self.denied)

    def of(self, *kinds: Kind) -> frozenset[str]:
        """The keys of these kinds."""
        return frozenset(item.key for item in self.items if item.kind in kinds)

    @property
    def hard(self) -> frozenset[str]:
        """Names, numbers and dates."""
        return self.of(*HARD)


@lru_cache(maxsize=512)
def read(text: str) -> Reading:
    """Read one sentence."""
    items = items_of(text)
    return Reading(
        items=items,
        keys=_said(items),
        near=_near(items),
        behind=_behind(items),
        clauses=[
            Clause(keys, _SEVERAL.search(part) is not None)
            for part in _CLAUSE.split(text)
            if (keys := _said(items_of(part)))
        ],
        denied=[_around(text, found) for found in _DENIAL.finditer(text)],
        lists=_LIST.search(text) is not None,
        titles=frozenset(title.lower().strip("., ") for title in _TITLE.findall(text)),
        several=_SEVERAL.search(text) is not None,
        adds=_ADDS.search(text) is not None,
    )


def items_of(text: str) -> list[Item]:
    """The words of any text."""
    items: list[Item] = []
    end, before = 0, ""
    for found in _WORD.finditer(text):
        before = text[end : found.start()].rstrip()[-1:] or before
        items.append(_item(found[0], before))
        end, before = found.end(), "w"
    return items


@lru_cache(maxsize=64)
def keys_of(text: str) -> frozenset[str]:
    """What the words of any text are told by."""
    return _said(items_of(text))


def _item(word: str, before: str) -> Item:
    """`before` is the last character in front of it: behind a full stop a capital shows no name."""
    low = word.lower()
    if word[0].isdigit():
        number = word.replace(",", "")
        return Item("year" if _YEAR.fullmatch(word) else "number", number)
    if low in _MONTHS and word[0].isupper():
        return Item("month", low)
    if low in _COUNTS:
        return Item("number", _COUNTS[low])
    if low in _ORDINALS:
        return Item("ordinal", low)
    if low in _PLAIN:
        return Item("plain", low)
    named = word[0].isupper() and before not in ("", ".", "!", "?", ":", "-")
    return Item("name" if named else "word", stem(low))


def stem(word: str) -> str:
    """A lower-case word without its ending."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return _SAME.get(word, word)


def _said(items: Sequence[Item]) -> frozenset[str]:
    return frozenset(item.key for item in items if item.kind != "plain")


def _near(items: Sequence[Item]) -> dict[tuple[str, Kind], frozenset[str]]:
    near: dict[tuple[str, Kind], frozenset[str]] = {}
    anchors: list[str] = []
    for kind, key in items:
        if kind == "word":
            anchors = [*anchors[-1:], key]
        elif kind != "plain":
            for anchor in anchors:
                near[anchor, kind] = near.get((anchor, kind), frozenset()) | {key}
    return near


def _behind(items: Sequence[Item]) -> dict[tuple[str, str], frozenset[str]]:
    behind: dict[tuple[str, str], frozenset[str]] = {}
    last = ""
    for place, (kind, key) in enumerate(items):
        if kind == "plain" and key in _PLACING:
            run = _run(items[place + 1 : place + 7])
            if run:
                behind[last, key] = behind.get((last, key), frozenset()) | run
        last = last if kind == "plain" else key
    return behind


def _run(items: Sequence[Item]) -> frozenset[str]:
    """The first words that say something, up to the next that does not."""
    run: list[str] = []
    for kind, key in items:
        if kind != "plain":
            run.append(key)
        elif run:
            break
    return frozenset(run[:4])


def _around(text: str, denial: re.Match[str]) -> frozenset[str]:
    """The word before a denial and the four behind it."""
    before = [item.key for item in items_of(text[: denial.start()]) if item.kind != "plain"]
    behind = [item.key for item in items_of(text[denial.end() :]) if item.kind != "plain"]
    return frozenset(before[-1:] + behind[:4])
