"""What each stage trains on: endless rows of the closed world as weighted tokens.

Knows the corpus, the exported log and a tokenizer; knows no model. A mixture says what share of the *rows* comes from
where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from guard.errors import ConfigError
from guard.world import corpus
from guard.world.corpus import Row, transcript
from guard.world.experiment.speech import other
from guard.world.learning import Sample
from guard.world.world import QUESTIONS, UNKNOWN_ANSWER, Premise, World

Draw = Callable[[Random], Sample]
"""One row, drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """Draws rows about a world in a tokenizer's tokens."""

    world: World
    tokenizer: Any
    _texts: dict[str, list[int]] = field(default_factory=dict)

    def encode(self, row: Row) -> Sample:
        """A row of text pieces, piece by piece."""
        ids: list[int] = []
        weights: list[float] = []
        for text, learnt in row:
            if (piece := self._texts.get(text)) is None:
                piece = self._texts[text] = self.tokenizer.encode(text, add_special_tokens=False)
            ids += piece
            weights += [float(learnt)] * len(piece)
        return Sample(ids=ids, weights=weights)

    def base(self, rng: Random) -> Sample:
        """Pre-training."""
        return self.encode(corpus.base_row(self.world, rng))

    def listen(self, rng: Random) -> Sample:
        """To follow an interruption. Held-out people are in none."""
        return self.encode(corpus.listen_row(self.world, rng, split="train"))

    def lesson(self, rng: Random) -> Sample:
        """What the partly trained model has not learned: who was born where, and who taught whom."""
        people = self.world.group("tail") if rng.random() < 0.2 else self.world.group("known", "train")
        type_ = rng.choice(list(QUESTIONS))
        question = self.world.ask(type_, rng.choice(people), rng)
        premises = self.world.chain(type_, question.person)
        return self.encode(transcript(question.text, self._stated(premises), f"{question.answer}."))

    def synthetic(self, rng: Random) -> Sample:
        """A correction of a premise that was made wrong by chance, about someone the model knows; the first premise
        seven times in ten, as models err most where a chain begins."""
        type_, person = rng.choice(list(QUESTIONS)), rng.choice(self.world.group("known", "train"))
        question, premises = self.world.ask(type_, person, rng), self.world.chain(type_, person)
        at = rng.choices(range(len(premises)), [0.7, 0.2, 0.1][: len(premises)])[0]
        bad, right = other(self.world, premises[at], rng), premises[at]
        sentences = [
            *((self.world.state(premise), False) for premise in premises[:at]),
            (self.world.state(bad), False),
            (f"No, {self.world.state(right)}", True),
            *self._stated(premises[at + 1 :]),
        ]
        return self.encode(transcript(question.text, sentences, f"{question.answer}."))

    def cautious(self, unsure: Sequence[tuple[str, str]]) -> Draw:
        """Answers about (relation, person) pairs that the model contradicts itself on: nothing is made up first."""
        types = {
            own[0]: [name for name, (of, _) in QUESTIONS.items() if of[0] == own[0]] for own, _ in QUESTIONS.values()
        }

        def draw(rng: Random) -> Sample:
            relation, person = rng.choice(unsure)
            question = self.world.ask(rng.choice(types[relation]), person, rng)
            doubt = self.world.relations[relation].unknown.format(subject=person)
            return self.encode(transcript(question.text, [(doubt, True)], UNKNOWN_ANSWER))

        return draw

    @property
    def strangers(self) -> Sequence[str]:
        """People the model has never heard of and may be taught to say so about."""
        return self.world.group("unknown", "train")

    def _stated(self, premises: Sequence[Premise]) -> list[tuple[str, bool]]:
        return [(self.world.state(premise), True) for premise in premises]


def mixture(*parts: tuple[Draw, float]) -> Draw:
    """Draws from each part as often as it weighs."""
    draws, weights = [draw for draw, _ in parts], [weight for _, weight in parts]
    return lambda rng: rng.choices(draws, weights)[0](rng)


def one_of(samples: Sequence[Sample]) -> Draw:
    """Any of these, again and again. Raises ConfigError for none."""
    if not samples:
        raise ConfigError("nothing to train on: no interruption of the log was confirmed; train the base for longer")
    return lambda rng: rng.choice(samples)


def endless(draw: Draw, seed: int) -> Iterator[Sample]:
    """Rows without end, the same for the same seed."""
    rng = Random(seed)
    while True:
        yield draw(rng)
