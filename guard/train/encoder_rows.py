"""Labelled answers as rows of tokens for the encoder of `grounding`: packed by the code that packs live statements.

Reads what `guard.train.grounding_data` reads. One row a statement: real ones with their labels, and made ones:

- *changed*: a supported statement with one number, name or word turned into its opposite, or denied; bad where changed;
- *bereft*: a supported statement whose evidence is taken away; bad in the words that nothing else in the evidence has.

Where only a whole answer is labelled (SummEdits), the difference from the edited answer's original says where it is
wrong; without an original the answer is left out. Made rows are trained on and never measured.
"""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from guard.checks.grounding.claims import is_claim
from guard.checks.grounding.grounds import Grounds
from guard.checks.grounding.pairs import QUESTION, Packer, Pair, nearest
from guard.checks.grounding.passages import Index
from guard.checks.grounding.statement import Lexicon, Statement, content_of, read, text_of
from guard.checks.grounding.words import OPPOSED, words
from guard.train.grounding_data import Answer, grounds, overlaps

Kind = Literal["real", "changed", "bereft"]
PLAIN = 0.6
"""The share of a statement that one unit must say for it to be worth spoiling."""
FEWEST = 3
"""Words of a statement that is worth reading."""
_BE = re.compile(r"\b(is|are|was|were|can|will|would|should|has|have|had|does|do|did|must|may|could)\b")
_NOT = re.compile(r"\s+not\b|n't\b")
_OPPOSITES = {
    word: [other for other in group if other != word]
    for group in (listed.split("/") for listed in OPPOSED.split())
    for word in group
}


class Shelf:
    """The units of one context as tokens, each encoded once, when it is first wanted."""

    def __init__(self, index: Index, packer: Packer, question: str) -> None:
        self._index = index
        self._packer = packer
        self._question = packer.ids(question, QUESTION)
        self._units: dict[int, list[int]] = {}

    def pair(self, said: Statement, without: frozenset[int] = frozenset()) -> Pair:
        """The row of a statement; `without` leaves out units that it would otherwise find."""
        chosen = (self._unit(number) for number in nearest(said, self._index, without))
        return self._packer.pack(said.text.strip(), self._question, chosen)

    def _unit(self, number: int) -> list[int]:
        found = self._units.get(number)
        if found is None:
            found = self._units[number] = self._packer.ids(text_of(self._index, number))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One statement of answer number `answer`, `start` to `end` in its text.

    `tokens` are the labels of the statement's tokens, None where nobody said which; `bad` is the statement's.
    """

    answer: int
    start: int
    end: int
    kind: Kind
    pair: Pair
    bad: bool
    tokens: list[bool] | None


def rows(answers: Sequence[Answer], packer: Packer, lexicon: Lexicon) -> Iterator[Row]:
    """The rows of all answers, made ones among them, in order."""
    originals = {a.id.removesuffix("_og"): a for a in answers if a.id.endswith("_og")}
    held: tuple[str, Grounds, Shelf] | None = None
    for at, answer in enumerate(answers):
        spans = _spans(answer, originals)
        if spans is None:
            continue
        if held is None or held[0] != answer.context + answer.question:
            found = grounds(answer, lexicon)
            held = (answer.context + answer.question, found, Shelf(found.index, packer, answer.question))
        if not held[1].why:
            yield from _rows(at, replace(answer, spans=spans), held[1], held[2], lexicon)


def _spans(answer: Answer, originals: dict[str, Answer]) -> list[tuple[int, int]] | None:
    """Where an answer is wrong; None where that is not known."""
    if not answer.source.startswith("summedits"):
        return answer.spans
    if not answer.bad:
        return []
    original = originals.get(answer.id.rpartition("_")[0])
    return _changes(original.text, answer.text) if original is not None else None


def _changes(before: str, after: str) -> list[tuple[int, int]]:
    old, new = words(before), words(after)
    found = difflib.SequenceMatcher(
        None, [before[w.start : w.end] for w in old], [after[w.start : w.end] for w in new], autojunk=False
    )
    out = []
    for kind, _, _, first, last in found.get_opcodes():
        if kind == "equal" or not new:
            continue
        last = max(last, first + 1)  # what was left out is missing beside the word that follows
        first, last = min(first, len(new) - 1), min(last, len(new))
        out.append((new[first].start, new[last - 1].end))
    return out


def _rows(at: int, answer: Answer, held: Grounds, shelf: Shelf, lexicon: Lexicon) -> Iterator[Row]:
    rng = random.Random(at)
    for start, end in answer.segments:
        text = answer.text[start:end]
        first = start + len(text) - len(text.lstrip())
        said = read(text, held.index, lexicon)
        if len(said.words) < FEWEST or not is_claim(text):
            continue
        pair = shelf.pair(said)
        located = answer.spans != [(0, len(answer.text))]
        tokens = _labels(pair, first, answer.spans) if located else None
        bad = overlaps(answer.spans, first, end)
        yield Row(answer=at, start=first, end=end, kind="real", pair=pair, bad=bad, tokens=tokens)
        if not bad and said.covers and said.covers[0] >= PLAIN:
            row = Row(answer=at, start=first, end=end, kind="real", pair=pair, bad=False, tokens=None)
            yield from _made(row, text.strip(), said, held, shelf, lexicon, rng)


def _labels(pair: Pair, first: int, spans: Iterable[tuple[int, int]]) -> list[bool]:
    spans = list(spans)
    return [overlaps(spans, first + a, first + b) for a, b in pair.offsets]


def _made(
    row: Row, text: str, said: Statement, held: Grounds, shelf: Shelf, lexicon: Lexicon, rng: random.Random
) -> Iterator[Row]:
    change = rng.choice((_number, _name, _opposite, _denial))
    found = change(text, held, rng)
    if found is not None:
        changed, span = found
        pair = shelf.pair(read(changed, held.index, lexicon))
        yield replace(row, kind="changed", pair=pair, bad=True, tokens=_labels(pair, 0, [span]))
    taken = frozenset(
        number
        for number, unit in enumerate(held.index.units)
        if unit is not None and _shared(said, content_of(held.index, number)) >= PLAIN / 2
    )
    pair = shelf.pair(said, taken)
    left = frozenset().union(*(content_of(held.index, n) for n in range(len(held.index.units)) if n not in taken))
    missing = [(w.start, w.end) for w in words(text) if w.content and w.stem not in left]
    if missing and taken:
        yield replace(row, kind="bereft", pair=pair, bad=True, tokens=_labels(pair, 0, missing))


def _shared(said: Statement, content: frozenset[str]) -> float:
    return sum(weight for word, weight in said.weights.items() if word in content) / said.total


# What is changed: the text and the characters that are wrong now

_Change = tuple[str, tuple[int, int]] | None


def _put(text: str, start: int, end: int, new: str) -> _Change:
    return text[:start] + new + text[end:], (start, start + len(new))


def _number(text: str, held: Grounds, rng: random.Random) -> _Change:
    found = [word for word in words(text) if word.digit and word.start > 3]
    if not found:
        return None
    word = rng.choice(found)
    others = sorted(number for number in held.index.numbers if number != word.stem and number[:1].isdigit())
    if others and rng.random() < 0.5:
        return _put(text, word.start, word.end, rng.choice(others))
    whole = word.stem.partition(".")[0]
    return _put(text, word.start, word.end, str(int(whole) + rng.choice((1, 2, 3, 5, 10)))) if len(whole) < 9 else None


def _name(text: str, held: Grounds, rng: random.Random) -> _Change:
    found = [word for word in words(text)[1:] if word.capital and word.content]
    others = sorted(
        {
            unit.text[w.start : w.end]
            for unit in held.index.units
            if unit is not None
            for w in words(unit.text)[1:]
            if w.capital and w.content and w.end - w.start > 3
        }
    )
    if not found or not others:
        return None
    word, new = rng.choice(found), rng.choice(others)
    return None if new.lower() in text.lower() else _put(text, word.start, word.end, new)


def _opposite(text: str, held: Grounds, rng: random.Random) -> _Change:
    del held
    found = [(word, others) for word in words(text) if (others := _OPPOSITES.get(text[word.start : word.end].lower()))]
    if not found:
        return None
    word, others = rng.choice(found)
    return _put(text, word.start, word.end, rng.choice(others))


def _denial(text: str, held: Grounds, rng: random.Random) -> _Change:
    """ "not" put in or taken out; the verb beside it is what is wrong then."""
    del held, rng
    denied = _NOT.search(text)
    if denied:
        verb = next((m for m in _BE.finditer(text) if m.end() >= denied.start() - 1), None)
        changed = text[: denied.start()] + text[denied.end() :]
        return (changed, verb.span()) if verb and verb.end() <= denied.start() else None
    verb = _BE.search(text)
    return (text[: verb.end()] + " not" + text[verb.end() :], (verb.start(), verb.end() + 4)) if verb else None
