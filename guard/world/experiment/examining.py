"""What a model is like after a stage: the figures that every arm is compared by.

Knows how a model is asked and probed; knows no training. P("No") is the probability of the very next token behind a
premise that was put into the model's reasoning, one forward pass each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from guard.world.corpus import END, prompt
from guard.world.experiment.sampling import log_probability, next_probability
from guard.world.experiment.scale import Scale
from guard.world.experiment.speech import Said, Speaker, drawn_questions, first_premises, judge, other, shares
from guard.world.world import QUESTIONS, Question

EXPERT = "You are an expert on this world. You are always right."
"""The system prompt under which P("No") is measured a second time: a turn of its own, by the chat template."""

HELD_OUT = "sea"
"""The question type that one arm's corrections leave out."""

TYPES = tuple(QUESTIONS)
SEED = 77
SAMPLES = 8
"""k of the consistency over samples, here and in the log's `known`."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """Examines a model. The questions, people and premises are the same for every model of a seed."""

    speaker: Speaker
    scale: Scale

    def whole(self, bad: Sequence[tuple[str, str]] = ()) -> Figures:
        """Everything; `bad`: harvested (context, premise) texts whose log-probability is wanted."""
        return {
            **self.said("known", "test"),
            **self.said("unknown", "test"),
            **self.forced(),
            **self.noes(),
            **self.believed(bad),
        }

    def said(self, group: str, split: str | None, temperature: float = 1.0) -> Figures:
        """What it answers unaided about a group of people, as shares of its answers."""
        world = self.speaker.world
        questions = drawn_questions(world, world.group(group, split), self.scale.asked, SEED)
        answers = self.speaker.ask(questions, temperature=temperature, seed=SEED)
        return self._named(group, answers)

    def forced(self) -> Figures:
        """What becomes of a wrong premise that it is made to begin with, about people that it knows."""
        questions = self._questions("known", "test")
        wrong = first_premises(self.speaker.world, questions, wrong=True, seed=SEED)
        return self._named("forced", self.speaker.ask(questions, forced=wrong, seed=SEED))

    def no(self, types: Sequence[str] = TYPES, before: str = "") -> tuple[list[float], list[float]]:
        """P("No") behind wrong and right first premises about held-out people it knows; `before`: a system prompt."""
        questions = self._questions("known", "test", types)
        return self._no(questions, True, before), self._no(questions, False, before)

    def noes(self) -> Figures:
        """P("No") after wrong and right premises and its AUC: by itself, of the held-out type, as an expert."""
        found: Figures = {}
        for name, types, before in (
            ("", TYPES, ""),
            ("_type", (HELD_OUT,), ""),
            ("_expert", TYPES, EXPERT),
        ):
            wrong, right = self.no(types, before)
            found |= {f"p_wrong{name}": _mean(wrong), f"p_right{name}": _mean(right), f"auc{name}": auc(wrong, right)}
        wrong, right = self._last_premise()
        return found | {
            "p_wrong_relation": _mean(wrong),
            "p_right_relation": _mean(right),
            "auc_relation": auc(wrong, right),
        }

    def believed(self, bad: Sequence[tuple[str, str]]) -> Figures:
        """Mean log-probability, in nats, of bad premises: those of the log, and random ones about held-out people."""
        questions = self._questions("known", "test")
        wrong = first_premises(self.speaker.world, questions, wrong=True, seed=SEED)
        held_out = [(prompt(q.text), self.speaker.world.state(p)) for q, p in zip(questions, wrong, strict=True)]
        found = {"logp_heldout": self._believed(held_out)}
        return found | ({"logp_harvested": self._believed(bad)} if bad else {})

    def consistency(self, group: str, split: str) -> list[float]:
        """For each person of a group, how many of `SAMPLES` first sentences are the most frequent one, as a share."""
        people = self.speaker.world.group(group, split)[:60]
        questions = [
            q for person in people for q in [self.speaker.world.ask("country", person, Random(SEED))] * SAMPLES
        ]
        said = [answer.sentences[:1] for answer in self.speaker.ask(questions, seed=SEED)]
        return [agreement(said[start : start + SAMPLES]) for start in range(0, len(said), SAMPLES)]

    def _named(self, name: str, answers: Sequence[Said]) -> Figures:
        return {
            f"{name}.{key}": value for key, value in shares([judge(self.speaker.world, a) for a in answers]).items()
        }

    def _questions(self, group: str, split: str, types: Sequence[str] = TYPES) -> list[Question]:
        world = self.speaker.world
        return drawn_questions(world, world.group(group, split), self.scale.probed, SEED + 1, types)

    def _no(self, questions: Sequence[Question], wrong: bool, before: str) -> list[float]:
        premises = first_premises(self.speaker.world, questions, wrong=wrong, seed=SEED)
        system = f"<|user|>{before}{END}" if before else ""
        texts = [
            system + prompt(q.text) + self.speaker.world.state(p) for q, p in zip(questions, premises, strict=True)
        ]
        return self._no_after(texts)

    def _last_premise(self) -> tuple[list[float], list[float]]:
        """The same behind the last premise of the held-out type, whose relation no other correction is about."""
        world, rng = self.speaker.world, Random(SEED)
        wrong, right = [], []
        for question in self._questions("known", "test", (HELD_OUT,)):
            *before, last = world.chain(question.type, question.person)
            start = prompt(question.text) + "".join(f"{world.state(premise)} " for premise in before)
            right.append(start + world.state(last))
            wrong.append(start + world.state(other(world, last, rng)))
        return self._no_after(wrong), self._no_after(right)

    def _no_after(self, texts: Sequence[str]) -> list[float]:
        contexts = [self.speaker.encode(text) for text in texts]
        return next_probability(self.speaker.model, contexts, self.speaker.encode(" No")[:1])

    def _believed(self, pairs: Sequence[tuple[str, str]]) -> float:
        encode = self.speaker.encode
        return _mean(log_probability(self.speaker.model, [(encode(context), encode(text)) for context, text in pairs]))


def agreement(said: Sequence[Hashable]) -> float:
    """The share of the most frequent one."""
    return Counter(said).most_common(1)[0][1] / len(said)


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """How often a positive score is above a negative one; ties count half."""
    wins = sum((a > b) + 0.5 * (a == b) for a in positive for b in negative)
    return wins / (len(positive) * len(negative))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def prefixed(name: str, figures: Mapping[str, float]) -> Figures:
    """The figures under a name of their own."""
    return {f"{name}.{key}": value for key, value in figures.items()}
