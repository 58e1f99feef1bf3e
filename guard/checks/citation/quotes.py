"""How a quoted string differs from the text it is taken from, for `guard.checks.citation`.

It knows words; not where quotes stand in a statement, who is quoted or what a difference is worth to a policy.

Rules: letter case, punctuation, hyphens, spacing, quotation marks, figures for words ("5", "five") and marks that an
editor puts in are no differences. A difference is slight where it changes no content: an article or another small
word, an ending, one letter of a long word. It is grave where a word of content, a number or a negation is another or is
put in; words left out without an ellipsis are neither, unless a negation is among them.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\W_]+")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([nrt\"'/]))")
_MARKUP = re.compile(r"\]\([^()\s]{0,300}\)|</?[a-zA-Z][^<>]{0,200}>|\[\d{1,3}\]|\u00ad")
_SPELT = "zero one two three four five six seven eight nine ten eleven twelve".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {word: str(n) for n, word in enumerate(_SPELT)} | {word: f"{n}0" for n, word in enumerate(_TENS, 2)}
_NEGATIONS = frozenset("not no never none nor neither without cannot nothing nobody".split())
_SMALL = frozenset(
    "a an the of to in on at by for and or that which who this these those it its is are was were be been as with from"
    " then also so but his her their our your my he she they we i you has have had will would can could do does"
    " did".split()
)
COMMON = 60
"""A word that stands more often in a source than this does not tell where a quote is from."""
SLACK = 3
"""Words that may be put in or left out before a place counts as another."""


def cleaned(text: str) -> str:
    """A source as it reads: JSON escapes and entities resolved, link targets, tags and note marks left out."""
    if "\\" in text:
        text = _ESCAPE.sub(
            lambda found: chr(int(found[1], 16)) if found[1] else " " if found[2] in "nrt" else found[2], text
        )
    if "&" in text:
        text = html.unescape(text)
    text = _MARKUP.sub(" ", text)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return [_plain(word) for word in _WORD.findall(text)]


def _plain(word: str) -> str:
    word = word.casefold().replace("’", "'")
    return _NUMBERS.get(word, word)


@dataclass(frozen=True, slots=True)
class Match:
    """A quote's best place in a source.

    `share` is how much of the quote stands there word for word; `grave`, `left_out` and `slight` count the words that
    differ so; `text` is what stands there.
    """

    share: float
    grave: int
    left_out: int
    slight: int
    text: str


class Source:
    """A source, cut into words when first asked."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _found(self) -> list[re.Match[str]]:
        return list(_WORD.finditer(self.text))

    @cached_property
    def _words(self) -> list[str]:
        return [_plain(found[0]) for found in self._found]

    @cached_property
    def _joined(self) -> str:
        return f" {' '.join(self._words)} "

    @cached_property
    def _positions(self) -> dict[str, list[int]]:
        positions: dict[str, list[int]] = {}
        for at, word in enumerate(self._words):
            positions.setdefault(word, []).append(at)
        return positions

    def holds(self, quote: Sequence[str]) -> bool:
        """Whether these words stand here one behind the other."""
        return f" {' '.join(quote)} " in self._joined

    def match(self, quote: Sequence[str]) -> Match | None:
        """The best place of a quote that is not here word for word, or None where next to nothing of it is."""
        found = [match for at in self._places(quote) if (match := self._compared(quote, at))]
        return max(found, key=lambda match: (match.share, -match.grave), default=None)

    def is_patched(self, quote: Sequence[str], run: int) -> bool:
        """Whether the quote is made of stretches of at least `run` words that stand here, in whatever order."""
        at = 0
        while at < len(quote):
            end = next((end for end in range(len(quote), at + run - 1, -1) if self.holds(quote[at:end])), at)
            if end == at:
                return False
            at = end
        return True

    def _places(self, quote: Sequence[str]) -> list[int]:
        votes: Counter[int] = Counter()
        for at, word in enumerate(quote):
            places = self._positions.get(word, ())
            if len(places) <= COMMON:
                votes.update(place - at for place in places)
        best = [place for place, _ in votes.most_common(12)]
        near = {place: sum(votes[place + by] for by in range(-SLACK, SLACK + 1)) for place in best}
        return sorted(near, key=lambda place: -near[place])[:3]

    def _compared(self, quote: Sequence[str], place: int) -> Match | None:
        start = max(0, place - SLACK)
        window = self._words[start : max(0, place + len(quote) + 2 * SLACK)]
        steps: list[Step] = [*SequenceMatcher(None, window, quote, autojunk=False).get_opcodes()]
        same = [step for step in steps if step[0] == "equal"]
        if not same:
            return None
        steps = _trimmed(steps, len(quote))
        grades: Counter[str] = Counter()
        for kind, a, b, c, d in steps:
            if kind != "equal":
                grades[_grade(window[a:b], quote[c:d])] += max(b - a, d - c)
        first, last = self._found[start + steps[0][1]], self._found[start + max(steps[0][1], steps[-1][2] - 1)]
        share = sum(d - c for *_, c, d in same) / len(quote)
        text = " ".join(self.text[first.start() : last.end()].split())
        return Match(share, grades["grave"], grades["left out"], grades["slight"], text)


Step = tuple[str, int, int, int, int]


def _trimmed(steps: list[Step], size: int) -> list[Step]:
    """Without what stands in the window before the quote and behind it."""
    kept = [step for step in steps if not (step[0] == "delete" and step[3] in (0, size))]
    # A first or last word that is another takes as many words of the window as it has itself.
    kind, a, b, c, d = kept[0]
    if kind == "replace" and b - a > d - c:
        kept[0] = (kind, b - (d - c), b, c, d)
    kind, a, b, c, d = kept[-1]
    if kind == "replace" and b - a > d - c:
        kept[-1] = (kind, a, a + (d - c), c, d)
    return kept


def _grade(source: Sequence[str], quote: Sequence[str]) -> str:
    if "".join(source).replace("'", "") == "".join(quote).replace("'", ""):
        return "none"
    if _negations(source) != _negations(quote):
        return "grave"
    content, said = [list(_content(words)) for words in (source, quote)]
    if not said:
        return "left out" if content else "slight"
    if len(content) == len(said) and all(map(_alike, content, said)):
        return "slight"
    return "grave"


def _negations(words: Sequence[str]) -> int:
    return sum(word in _NEGATIONS or word.endswith("n't") for word in words)


def _content(words: Sequence[str]) -> Iterator[str]:
    return (word for word in words if word not in _SMALL)


def _alike(one: str, other: str) -> bool:
    """Forms of one word, or a slip of the pen in a long one; never two numbers."""
    if one == other:
        return True
    if any(c.isdigit() for c in one + other):
        return one.replace(",", "") == other.replace(",", "")
    shared = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    longest = max(len(one), len(other))
    return shared >= 3 and longest - shared <= 3 and shared >= longest / 2
