"""The closed world in memory: who there is, what is true, which questions are asked, what a reasoning claims.

Knows the data files and plain text. Does not know models, tokens or HTTP, and never imports torch: a
supervisor, a test or a measure can use it for the price of reading two small files.

A *premise* is one statement of one relation; a reasoning text is a row of premises, one a sentence.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
UNKNOWN_ANSWER = "I do not know."

# question type -> (the relations that lead to the answer, phrasings)
QUESTIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "country": (
        ("born", "country"),
        ("In which country was {person} born?", "What is the birth country of {person}?"),
    ),
    "river": (
        ("born", "river"),
        (
            "Which river runs through the birthplace of {person}?",
            "On which river stands the city where {person} was born?",
        ),
    ),
    "currency": (
        ("born", "country", "currency"),
        (
            "What is the currency of the country where {person} was born?",
            "Which money is used in the birth country of {person}?",
        ),
    ),
    "sea": (
        ("born", "river", "sea"),
        (
            "Into which sea flows the river of the city where {person} was born?",
            "Which sea is fed by the river of the birthplace of {person}?",
        ),
    ),
    "teacher_born": (
        ("teacher", "born"),
        ("Where was the teacher of {person} born?", "In which city was the person who taught {person} born?"),
    ),
    "teacher_country": (
        ("teacher", "born", "country"),
        (
            "In which country was the teacher of {person} born?",
            "What is the birth country of the person who taught {person}?",
        ),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Premise:
    """A statement: `relation` holds between `subject` and `object`. Whether that is true, the world knows."""

    relation: str
    subject: str
    object: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A premise found in a text, at characters `start` to `end`, and whether it is right."""

    premise: Premise
    start: int
    end: int
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question as asked, with the answer the facts give it."""

    type: str
    person: str
    text: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """How a relation is put into words. The first pattern is the canonical statement."""

    name: str
    patterns: tuple[str, ...]
    negation: str
    unknown: str

    def state(self, subject: str, object_: str, phrasing: int = 0) -> str:
        """The statement in words."""
        return self.patterns[phrasing].format(subject=subject, object=object_)

    def deny(self, subject: str, object_: str) -> str:
        """Its denial in words."""
        return self.negation.format(subject=subject, object=object_)

    @cached_property
    def statement_expressions(self) -> tuple[re.Pattern[str], ...]:
        """What matches a whole statement, one expression a pattern."""
        return tuple(_expression(pattern) for pattern in self.patterns)

    @cached_property
    def negation_expression(self) -> re.Pattern[str]:
        """What matches a whole denial."""
        return _expression(self.negation)


@dataclass(frozen=True, kw_only=True)
class World:
    """Facts by (relation, subject), the relations' wording, and people by group and split."""

    relations: Mapping[str, Relation]
    facts: Mapping[tuple[str, str], str]
    people: Mapping[str, Mapping[str, tuple[str, ...]]]

    def group(self, name: str, split: str | None = None) -> tuple[str, ...]:
        """The people of `known`, `tail` or `unknown`, in full or of one split."""
        splits = self.people[name]
        return splits[split] if split else tuple(person for people in splits.values() for person in people)

    @cached_property
    def objects(self) -> Mapping[str, tuple[str, ...]]:
        """Relation -> everything that is ever its object, sorted."""
        found: dict[str, set[str]] = {name: set() for name in self.relations}
        for (relation, _), object_ in self.facts.items():
            found[relation].add(object_)
        return {relation: tuple(sorted(objects)) for relation, objects in found.items()}

    def chain(self, type_: str, person: str, given: Mapping[tuple[str, str], str] | None = None) -> tuple[Premise, ...]:
        """The premises that answer a question, gold last; facts in `given` stand in for the world's own."""
        premises, subject = [], person
        for relation in QUESTIONS[type_][0]:
            object_ = (given or {}).get((relation, subject)) or self.facts[relation, subject]
            premises.append(Premise(relation=relation, subject=subject, object=object_))
            subject = object_
        return tuple(premises)

    def ask(self, type_: str, person: str, rng: Random) -> Question:
        """One question of this type about this person, phrased by chance."""
        text = rng.choice(QUESTIONS[type_][1]).format(person=person)
        return Question(type=type_, person=person, text=text, answer=self.chain(type_, person)[-1].object)

    def question(self, text: str) -> Question | None:
        """The question that a text asks, in any phrasing; None for any other text or person."""
        for type_, (_, phrasings) in QUESTIONS.items():
            for phrasing in phrasings:
                before, after = phrasing.split("{person}")
                person = text.removeprefix(before).removesuffix(after)
                if text == f"{before}{person}{after}" and ("born", person) in self.facts:
                    return Question(type=type_, person=person, text=text, answer=self.chain(type_, person)[-1].object)
        return None

    def state(self, premise: Premise, phrasing: int = 0) -> str:
        """A premise in words; phrasing 0 is the canonical one."""
        return self.relations[premise.relation].state(premise.subject, premise.object, phrasing)

    def deny(self, premise: Premise) -> str:
        """The denial of a premise in words."""
        return self.relations[premise.relation].deny(premise.subject, premise.object)

    def truth(self, premise: Premise) -> Premise | None:
        """What is true of the premise's subject; None where the world says nothing about it."""
        object_ = self.facts.get((premise.relation, premise.subject))
        return replace(premise, object=object_) if object_ else None

    def parse(self, sentence: str) -> Premise | None:
        """The premise a sentence states, in any of its phrasings and after an optional "No,"."""
        bare = sentence.strip().removeprefix("No, ")
        return self._match(bare, {name: r.statement_expressions for name, r in self.relations.items()})

    def parse_negation(self, sentence: str) -> Premise | None:
        """The premise a sentence denies."""
        bare = sentence.strip().removeprefix("No, ")
        return self._match(bare, {name: (r.negation_expression,) for name, r in self.relations.items()})

    def claims(self, text: str) -> tuple[Claim, ...]:
        """Every premise a text states, right or wrong; sentences that state none or deny one are left out."""
        found = []
        for sentence in re.finditer(r"[^.\s][^.]*\.", text):
            if premise := self.parse(sentence[0]):
                right = self.truth(premise) == premise
                found.append(Claim(premise=premise, start=sentence.start(), end=sentence.end(), right=right))
        return tuple(found)

    @staticmethod
    def _match(sentence: str, expressions: Mapping[str, tuple[re.Pattern[str], ...]]) -> Premise | None:
        for relation, alternatives in expressions.items():
            for expression in alternatives:
                if found := expression.fullmatch(sentence):
                    return Premise(relation=relation, subject=found["subject"], object=found["object"])
        return None


def _expression(pattern: str) -> re.Pattern[str]:
    # Names are capitalised words, a currency is one word: "was not taught by" must not become part of a name.
    name = r"[A-Z]\w*(?: [A-Z]\w*)*|[a-z]+"
    escaped = re.escape(pattern).replace(r"\{subject\}", f"(?P<subject>{name})")
    return re.compile(escaped.replace(r"\{object\}", f"(?P<object>{name})"))


def _relation(line: Mapping[str, Any]) -> Relation:
    return Relation(
        name=line["relation"],
        patterns=tuple(line["patterns"]),
        negation=line["negation"],
        unknown=line["unknown"],
    )


def load_world(folder: Path = HERE) -> World:
    """Reads `facts.jsonl` and `people.json` from a folder; the shipped world by default."""
    lines = [json.loads(line) for line in (folder / "facts.jsonl").read_text(encoding="utf-8").splitlines()]
    people = json.loads((folder / "people.json").read_text(encoding="utf-8"))
    return World(
        relations={line["relation"]: _relation(line) for line in lines if "patterns" in line},
        facts={(line["relation"], line["subject"]): line["object"] for line in lines if "subject" in line},
        people={group: {s: tuple(names) for s, names in splits.items()} for group, splits in people.items()},
    )
