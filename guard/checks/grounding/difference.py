"""A statement that says what one sentence of the evidence says, but for one number or one name.

It does not know scores. Two ways are certain enough:

1. Word for word in the same order, nothing that matters left over, and a number stands where the sentence has another
   number, or a name (not at either's start) where it has another name.
2. The sentence says `MUCH` of the statement's weight beside its one number, and of its own numbers exactly one stands
   before (or, at the end, behind) the same word as the statement's ("20 minutes").

In both the evidence has nowhere what the statement says there: not the name, nor the number with the word beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from guard.checks.grounding.passages import Index, Unit
from guard.checks.grounding.statement import Statement
from guard.checks.grounding.words import NUMBER_WORDS, Word, words

LEAST = 3
"""Content words that must agree."""
SOME = 0.4
"""The share of a statement below which no sentence is like it."""
_SPELT = {value: (value, spelt) for spelt, value in NUMBER_WORDS.items()}
LONGEST = 80
"""Words of a statement that is held against a sentence."""
SHORTEST = 3
"""Letters of a name; fewer are an initial or a unit ("450 F")."""
MUCH = 0.8
"""The share of a statement that a sentence must say for a number in it to be the statement's."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the statement says (characters `start` to `end` of its text) and what the evidence's unit says there."""

    start: int
    end: int
    said: str
    right: str
    unit: Unit


def difference(said: Statement, index: Index) -> Difference | None:
    """The one difference from one of the best units, or None where that is not certain."""
    if not said.covers or said.covers[0] < SOME or len(said.words) > LONGEST:
        return None
    if not any(_is_new(word, index) or _is_loose(word, said.words, index) for word in said.words):
        return None
    for number in said.best:
        unit = index.units[number]
        if unit is not None and unit.trusted:
            theirs = words(unit.text)
            found = _against(said, unit, theirs, index) or _counted(said, unit, theirs, index)
            if found:
                return found
    return None


def _is_new(word: Word, index: Index) -> bool:
    """Whether a number or name stands nowhere in the evidence."""
    kind = _kind(word)
    return bool(kind) and (_value(word) not in index.numbers if kind == "number" else word.stem not in index.masks)


def _against(said: Statement, unit: Unit, theirs: Sequence[Word], index: Index) -> Difference | None:
    ours = said.words
    matcher = SequenceMatcher(None, [w.stem for w in ours], [w.stem for w in theirs], autojunk=False)
    steps = _without_ends(matcher.get_opcodes())
    swaps = [step for step in steps if step[0] == "replace"]
    if len(swaps) != 1 or not all(_idle(step, ours, theirs) for step in steps if step is not swaps[0]):
        return None
    agreed = sum(ours[at].content for kind, a, b, _, _ in steps if kind == "equal" for at in range(a, b))
    _, a, b, c, d = swaps[0]
    if b - a != 1 or d - c != 1 or agreed < LEAST or _flanks(steps, swaps[0]) < 2:
        return None
    if _kind(ours[a]) == "name" and not (a and c and min(len(ours[a].stem), len(theirs[c].stem)) >= SHORTEST):
        return None
    if not (_is_new(ours[a], index) or _is_loose(ours[a], ours, index)):
        return None
    return _told(said.text, ours[a], theirs[c], unit, index)


def _counted(said: Statement, unit: Unit, theirs: Sequence[Word], index: Index) -> Difference | None:
    new = [word for word in said.words if _kind(word) == "number"]
    if len(new) != 1 or not _is_loose(new[0], said.words, index):
        return None
    weights = {w.stem: said.weights[w.stem] for w in said.words if w.content and _kind(w) != "number"}
    there = sum(weight for word, weight in weights.items() if word in unit.content)
    if len(weights) < LEAST or there < MUCH * sum(weights.values()):
        return None
    like = [word for word in theirs if _kind(word) == "number" and _beside(word, theirs) == _beside(new[0], said.words)]
    if len(like) != 1 or not _beside(new[0], said.words) or _in_range(like[0], theirs):
        return None
    return _told(said.text, new[0], like[0], unit, index)


def _is_loose(word: Word, row: Sequence[Word], index: Index) -> bool:
    """Whether a number stands in no sentence of the evidence with the word beside it."""
    if _kind(word) != "number":
        return False
    mask = index.masks.get(word.stem, 0)
    for same in _SPELT.get(_value(word), ()):
        mask |= index.masks.get(same, 0)
    return not mask & index.masks.get(_beside(word, row), 0)


def _in_range(word: Word, row: Sequence[Word]) -> bool:
    """Whether another number stands within two words: "10 to 15"."""
    at = row.index(word)
    return any(_kind(other) == "number" for other in (*row[max(0, at - 2) : at], *row[at + 1 : at + 3]))


def _beside(word: Word, row: Sequence[Word]) -> str:
    """The stem of the content word next to a number: behind it, or before it where it is the last."""
    at = row.index(word)
    near = row[at + 1] if at + 1 < len(row) else row[at - 1]
    return near.stem if near.content and near is not word and not near.digit else ""


def _without_ends(steps: Sequence[tuple[str, int, int, int, int]]) -> list[tuple[str, int, int, int, int]]:
    """Without what the unit says before and behind."""
    out = list(steps)
    if out and out[0][0] == "insert":
        out.pop(0)
    if out and out[-1][0] == "insert":
        out.pop()
    return out


def _idle(step: tuple[str, int, int, int, int], ours: Sequence[Word], theirs: Sequence[Word]) -> bool:
    """Whether a step changes nothing that matters: articles and the like, but no negation."""
    kind, a, b, c, d = step
    if kind == "equal":
        return True
    return not any(word.content or word.stem in ("not", "no", "nor", "neither") for word in (*ours[a:b], *theirs[c:d]))


def _flanks(steps: Sequence[tuple[str, int, int, int, int]], swap: tuple[str, int, int, int, int]) -> int:
    """On how many sides of the swap the texts agree; the end of the statement counts as one."""
    at = steps.index(swap)
    left = at == 0 or steps[at - 1][0] == "equal"
    right = at == len(steps) - 1 or steps[at + 1][0] == "equal"
    return left + right if len(steps) > 1 else 0


def _told(text: str, ours: Word, theirs: Word, unit: Unit, index: Index) -> Difference | None:
    said, right = text[ours.start : ours.end], unit.text[theirs.start : theirs.end]
    if _kind(ours) != _kind(theirs) or not _kind(ours) or _value(ours) == _value(theirs):
        return None
    if _kind(ours) == "name" and (not _is_new(ours, index) or said[:3].lower() == right[:3].lower() or ours.start < 2):
        return None
    if _glued(text, ours) or _glued(unit.text, theirs):
        return None
    return Difference(ours.start, ours.end, said, right, unit)


def _kind(word: Word) -> str:
    if word.digit or word.stem in NUMBER_WORDS:
        return "number"
    return "name" if word.capital and word.content else ""


def _value(word: Word) -> str:
    return NUMBER_WORDS.get(word.stem, word.stem)


def _glued(text: str, word: Word) -> bool:
    """Whether a word is only a part of what is written: "3-4", "1/2", "4.5.6"."""
    before, behind = text[max(0, word.start - 1) : word.start], text[word.end : word.end + 2]
    return (
        before in tuple("-–/.:'’")
        or behind[:1] in tuple("-–/:_")
        or (behind[:1] in (".", ",") and behind[1:].isdigit())
    )
