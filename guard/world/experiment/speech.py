"""What a model in memory says when it is asked, and what that is worth by the facts.

Knows the world, a tokenizer and `sampling`; knows no training. Everything is counted over the model's own text alone:
a premise that was forced on it is context.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from guard.world.corpus import END, prompt
from guard.world.experiment.sampling import Sampling, draw
from guard.world.world import QUESTIONS, Premise, Question, World

CLOSE = "</think>"
IDK = "I do not know"
_SENTENCE = re.compile(r"[^.\s][^.]*\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A model that can be asked."""

    model: Any
    tokenizer: Any
    world: World

    def encode(self, text: str) -> list[int]:
        """The ids of a text; tags of the template are control tokens in it."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def ends(self) -> frozenset[int]:
        """What ends a turn."""
        return frozenset(self.encode(END))

    def ask(
        self, questions: Sequence[Question], *, forced: Sequence[Premise] = (), temperature: float = 1.0, seed: int = 0
    ) -> list[Said]:
        """An answer to each question; with `forced`, behind a premise that is put into the model's reasoning."""
        begun = [self.world.state(premise) for premise in forced] or [""] * len(questions)
        prompts = [[*self.encode(prompt(q.text)), *self.encode(b)] for q, b in zip(questions, begun, strict=True)]
        drawn = draw(self.model, prompts, Sampling(ends=self.ends(), temperature=temperature, seed=seed))
        texts = [str(self.tokenizer.decode(text.ids)) for text in drawn]
        premises: Sequence[Premise | None] = forced or [None] * len(questions)
        return [_said(*each) for each in zip(questions, premises, texts, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer: the model's own sentences of reasoning, and its answer (None: it never came to one)."""

    question: Question
    forced: Premise | None
    sentences: tuple[str, ...]
    answer: str | None


def _said(question: Question, forced: Premise | None, text: str) -> Said:
    thought, closed, answer = text.partition(CLOSE)
    whole = answer.removesuffix(END) if closed and answer.endswith(END) else None
    return Said(
        question=question,
        forced=forced,
        sentences=tuple(found.strip() for found in _SENTENCE.findall(thought)),
        answer=None if whole is None else whole.strip().rstrip("."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one answer was worth. `answer` is ``right``, ``wrong``, ``idk`` or ``none``.

    Attributes:
        first_wrong: its own first premise was wrong; None where it stated none.
        follows: the answer is the one that follows from its first wrong premise that it did not take back; None
            where there is none such, or no answer.
        corrected: a "No" of its own behind a wrong premise; `false_no`: behind a right one, or behind nothing.
        premises, wrong_premises: how many of its own.
        sentences: how many of its own; `unparsed`: those that say nothing the world has words for.
    """

    answer: str
    first_wrong: bool | None
    follows: bool | None
    corrected: bool
    false_no: bool
    premises: int
    wrong_premises: int
    sentences: int
    unparsed: int


def judge(world: World, said: Said) -> Judged:
    """Judge one answer by the facts."""
    own, standing, corrected, false_no, unparsed = _read(world, said)
    wrong = [premise for premise in own if world.truth(premise) != premise]
    answer = "none" if said.answer is None else _worth(said)
    return Judged(
        answer=answer,
        first_wrong=(own[0] in wrong) if own else None,
        follows=None if standing is None or said.answer is None else _follows(world, said, standing),
        corrected=corrected,
        false_no=false_no,
        premises=len(own),
        wrong_premises=len(wrong),
        sentences=len(said.sentences),
        unparsed=unparsed,
    )


def _read(world: World, said: Said) -> tuple[list[Premise], Premise | None, bool, bool, int]:
    """The model's own premises, the first wrong one that stands, and its corrections."""
    own: list[Premise] = []
    last, standing = said.forced, said.forced if _wrong(world, said.forced) else None
    corrected = false_no = False
    unparsed = 0
    for sentence in said.sentences:
        if sentence.startswith("No, "):
            hit = _wrong(world, last)
            corrected, false_no = corrected or hit, false_no or not hit
            standing = None if hit and standing == last else standing
        premise = world.parse(sentence)
        if premise is not None:
            own += [] if sentence.startswith("No, ") else [premise]
            last = premise
            standing = premise if standing is None and _wrong(world, premise) else standing
        elif IDK not in sentence and world.parse_negation(sentence) is None:
            unparsed += 1
    return own, standing, corrected, false_no, unparsed


def _wrong(world: World, premise: Premise | None) -> bool:
    return premise is not None and world.truth(premise) != premise


def _worth(said: Said) -> str:
    if said.answer == said.question.answer:
        return "right"
    return "idk" if said.answer == IDK else "wrong"


def _follows(world: World, said: Said, wrong: Premise) -> bool:
    given = {(wrong.relation, wrong.subject): wrong.object}
    try:
        return world.chain(said.question.type, said.question.person, given)[-1].object == said.answer
    except KeyError:
        return False


def shares(judged: Sequence[Judged]) -> dict[str, float]:
    """Each figure as a share of answers, or of the answers it can be said of."""

    def share(hits: Iterable[bool]) -> float:
        counted = list(hits)
        return sum(counted) / len(counted) if counted else 0.0

    premises = sum(j.premises for j in judged)
    return {
        **{kind: share(j.answer == kind for j in judged) for kind in ("right", "wrong", "idk", "none")},
        "first_wrong": share(j.first_wrong for j in judged if j.first_wrong is not None),
        "follows": share(j.follows for j in judged if j.follows is not None),
        "corrected": share(j.corrected for j in judged),
        "false_no": share(j.false_no for j in judged),
        "premise_wrong": sum(j.wrong_premises for j in judged) / max(1, premises),
        "unparsed": sum(j.unparsed for j in judged) / max(1, len(judged)),
        "parsed": 1 - sum(j.unparsed for j in judged) / max(1, sum(j.sentences for j in judged)),
    }


def drawn_questions(
    world: World, people: Sequence[str], n: int, seed: int, types: Sequence[str] = tuple(QUESTIONS)
) -> list[Question]:
    """`n` questions of these types about these people."""
    rng = Random(seed)
    return [world.ask(rng.choice(list(types)), rng.choice(people), rng) for _ in range(n)]


def first_premises(world: World, questions: Sequence[Question], *, wrong: bool, seed: int) -> list[Premise]:
    """The first premise of each question's answer, as it is or with another object drawn by chance."""
    rng = Random(seed)
    right = [world.chain(q.type, q.person)[0] for q in questions]
    return [other(world, premise, rng) for premise in right] if wrong else right


def other(world: World, premise: Premise, rng: Random) -> Premise:
    """The premise with another object of its relation."""
    return replace(premise, object=rng.choice([o for o in world.objects[premise.relation] if o != premise.object]))
