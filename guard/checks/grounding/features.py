"""What the lexical model sees of one statement: some ninety numbers, made of the evidence and the text before it.

It does not know scores, thresholds or labels. Causal: nothing behind the statement is looked at. How large the evidence
is, and where in the turn the statement stands, are no features: they tell one data set from another better than true
from false. Numbers are counts, shares (0..1), flags (0 or 1) or log rarities; `NAMES` gives their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from guard.checks.grounding import alignment, wording
from guard.checks.grounding.passages import Index
from guard.checks.grounding.statement import Lexicon, Statement
from guard.checks.grounding.words import NUMBER_WORDS

NAMES: tuple[str, ...] = (
    *"novel novel_n soft soft_n novel_rare novel_rare_max novel_rare_sum soft_rare soft_rare_max rarity".split(),
    *"bigrams bigrams_n trigrams run runs bigram_run copied window hint_sum hint_max".split(),
    *"numbers_n numbers_new number_words_new capitals_n capitals_new".split(),
    *alignment.NAMES,
    *wording.NAMES,
    *"length content question question_content said_before novel_said novel_fresh".split(),
    *"before_last before_mean before_most before_best before_pairs before_untold before_flat".split(),
)
WINDOW = 5
"""Content words of the window that is searched for the densest new material."""


@dataclass(slots=True)
class Past:
    """What the turn has said before the statement, as far as features need it."""

    stems: set[str] = field(default_factory=set)
    novelty: list[float] = field(default_factory=list)
    best: float = 1.0
    pairs: float = 0.0
    untold: bool = False

    def add(self, values: Sequence[float], content: frozenset[str]) -> None:
        """One more statement stands."""
        self.stems |= content
        self.novelty.append(values[_NOVEL_RARE])
        self.best, self.pairs = values[_BEST], values[_PAIRS]
        self.untold = self.untold or bool(values[_UNTOLD])


RISING = frozenset(
    "novel novel_n soft soft_n novel_rare novel_rare_sum soft_rare bigrams trigrams run window hint_sum hint_max "
    "numbers_new number_words_new capitals_new pairs pairs_near triples away_best uncovered_3 opposed no_alone "
    "unknown_told".split()
)
FALLING = frozenset("best all passage number_pair capital_pair copied third".split())
"""Features that a score may only rise with, or only fall with, whatever the data say."""
_NOVEL_RARE, _BEST = NAMES.index("novel_rare"), NAMES.index("best")
_PAIRS, _UNTOLD = NAMES.index("pairs"), NAMES.index("untold")


def features(said: Statement, index: Index, lexicon: Lexicon, past: Past, question: frozenset[str]) -> list[float]:
    """The numbers named in `NAMES`; `question` holds the stems of the last question."""
    return [
        *_novelty(said),
        *_copied(said, index, lexicon),
        *_new_names(said, index),
        *alignment.features(said, index),
        *wording.features(said, index),
        *_repeated(said, past, question),
        *_before(past),
    ]


def _novelty(said: Statement) -> list[float]:
    known, soft, rare = said.known, said.soft, said.rare
    count = len(said.content) or 1
    weight = sum(rare[at] for at in said.content)
    new = [rare[at] for at in said.content if not known[at]]
    newer = [rare[at] for at in said.content if not soft[at]]
    total = weight or 1.0
    return [
        len(new) / count,
        len(new),
        len(newer) / count,
        len(newer),
        sum(new) / total,
        max(new, default=0.0),
        sum(new),
        sum(newer) / total,
        max(newer, default=0.0),
        weight / count,
    ]


def _copied(said: Statement, index: Index, lexicon: Lexicon) -> list[float]:
    row = [word.stem for word in said.words]
    pairs = [pair not in index.bigrams for pair in pairwise(row)]
    threes = sum(three not in index.trigrams for three in zip(row, row[1:], row[2:], strict=False))
    new = [not said.known[at] for at in said.content]
    hints = [hint for word in said.novel if (hint := lexicon.hint.get(word.stem, 0.0))]
    return [
        sum(pairs) / max(1, len(pairs)),
        sum(pairs),
        threes / max(1, len(row) - 2),
        longest(new),
        sum(one and not before for one, before in zip(new, [False, *new], strict=False)),
        longest(pairs),
        longest([not one for one in pairs]) / (len(row) or 1),
        _densest([said.rare[at] if not said.known[at] else 0.0 for at in said.content]),
        sum(hints),
        max(hints, default=0.0),
    ]


def longest(flags: Sequence[bool]) -> int:
    """The longest run of true ones."""
    best = run = 0
    for one in flags:
        run = run + 1 if one else 0
        best = max(best, run)
    return best


def _densest(values: Sequence[float]) -> float:
    """The largest sum of `WINDOW` neighbours."""
    current = best = sum(values[:WINDOW])
    for gone, come in zip(values, values[WINDOW:], strict=False):
        current += come - gone
        best = max(best, current)
    return best


def _new_names(said: Statement, index: Index) -> list[float]:
    digits = [known for word, known in zip(said.words, said.known, strict=True) if word.digit]
    capitals = [
        known for at, (word, known) in enumerate(zip(said.words, said.known, strict=True)) if at and word.capital
    ]
    spelt = [word.stem for word in said.words if word.stem in NUMBER_WORDS]
    return [
        len(digits),
        len(digits) - sum(digits),
        sum(word not in index.masks and NUMBER_WORDS[word] not in index.numbers for word in spelt),
        len(capitals),
        len(capitals) - sum(capitals),
    ]


def _repeated(said: Statement, past: Past, question: frozenset[str]) -> list[float]:
    count = len(said.content) or 1
    row = [said.words[at].stem for at in said.content]
    new = [word.stem for word in said.novel]
    said_again = sum(word in past.stems for word in new)
    return [
        len(said.words),
        len(said.content) / (len(said.words) or 1),
        sum(word.stem in question for word in said.words) / (len(said.words) or 1),
        sum(word in question for word in row) / count,
        sum(word in past.stems for word in row) / count,
        said_again,
        (len(new) - said_again) / count,
    ]


def _before(past: Past) -> list[float]:
    novelty = past.novelty
    flat = 0
    for value in reversed(novelty):
        if value > 0.15:
            break
        flat += 1
    return [
        novelty[-1] if novelty else 0.0,
        sum(novelty) / len(novelty) if novelty else 0.0,
        max(novelty, default=0.0),
        past.best,
        past.pairs,
        past.untold,
        min(flat, 10),
    ]
