"""Knowledge: statements that contradict the user's facts.

Catches: a sentence that says one of the relations of a facts file, in one of its patterns, about a known subject and
with another object than the facts have. The correction is the relation's first pattern with the true object.

Cannot catch: subjects that the facts do not name (a pronoun is none), wordings that no pattern has, relations that
are not `functional` (several objects can be true there, so absence proves nothing). Costs microseconds a sentence;
a database adds a few point queries where a pattern's words occur. Needs `facts` files, as JSONL or SQLite; see
`guard.checks.knowledge.facts` for both. Without any it answers `not_applicable`, and so it does where no functional
fact is about what the segment says; `clean` is a segment in which a statement agrees with a fact.

Rules: a pattern is found anywhere in a segment. Any of several objects of a subject is right; so is one that contains
a right one or is contained in it ("the city of Brengate", "Brengate, Ostria"), may be the same name ("Ms. J. Doe";
`names`) or is a right one cut off at the segment's end. An object that is a number is only contradicted by another
number (`quantities`).
Questions, conditions ("if", "suppose"), denials ("not", "never", "it is false that"), what people at large think ("many
believe"), quotations and answers to a request to invent something are no claims; "I think", "maybe" and "she says" are.
"The former CEO of" is another thing than "the CEO of". A finding spans the statement from its first word (an article of
the pattern included) to its object, without what ends the sentence.
A known thing of another kind is no error where a fact links a right object to it (who was born in a city was born in
its country too). Scores: 1.0 for a known thing; 0.9 for an unknown name; 0.5 for unknown words that do not look like a
name or are many. A subject behind "of" or a possessive is not the subject ("the father of Ada Velm was born").

The files: `facts` (files and look-ups), `patterns` (where a sentence says a relation), `mentions` (which thing it
names), `names` and `quantities` (whether that may be the right one).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.knowledge.facts import Fact, Relation, load, name_key
from guard.checks.knowledge.mentions import (
    Mention,
    is_claimed,
    is_proper,
    known_mention,
    phrase_end,
    titled_start,
    unknown_mention,
)
from guard.checks.knowledge.names import may_be_same, may_become
from guard.checks.knowledge.patterns import CutOut, Pattern, Place
from guard.checks.knowledge.quantities import agrees, any_quantity, contradicts, may_become_number, said_quantity
from guard.core.claims import asks_for_invention
from guard.core.types import Channel, Finding, Segment

KNOWN, UNKNOWN, VAGUE = 1.0, 0.9, 0.5
_RELATIVE = re.compile(r",\s*(?:who|which|that|whose)\b", re.IGNORECASE)
_STARS, _QUOTES = re.compile(r"\*+"), re.compile('["`“”]')
_NO_FACT, _INVENTION = NotApplicable("no fact"), NotApplicable("the question asks for invention")
MAX_NAME_WORDS = 4
"""A longer unknown object is a description rather than a name."""


class Knowledge:
    """The check. Raises `ConfigError` where a facts file cannot be used."""

    version: ClassVar[str] = "2"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """Facts files beside those of the server's configuration."""

        facts: tuple[Path, ...] = ()

    def __init__(self, params: Any, resources: Resources) -> None:
        paths = (*resources.facts, *params.facts)
        self._stores, relations = load(paths)
        self._some = bool(paths)
        self._relations = {relation.relation: relation for relation in relations}
        self._patterns = [
            (relation, Pattern(pattern, relation.relation)) for relation in relations for pattern in relation.patterns
        ]

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding for each statement that the facts contradict."""
        if not self._some:
            return NotApplicable("no facts file")
        text = segment.text
        lowered = text.lower()
        judged: list[Finding | None] = []
        for relation, pattern in self._patterns:
            if not relation.functional:
                continue
            for place in pattern.places(text, lowered):
                judged += self._judged(text, relation, place)
        if not judged:
            return _NO_FACT
        findings: dict[tuple[str, str], Finding] = {}
        for found in judged:
            if found is not None:
                findings.setdefault((found.subject, found.reason), found)
        if findings and asks_for_invention(context.evidence):
            return _INVENTION
        return tuple(sorted(findings.values(), key=lambda finding: finding.start))

    def _judged(self, text: str, relation: Relation, place: Place) -> Iterator[Finding | None]:
        """What the facts say of a statement: nothing where they say nothing, None where they bear it out."""
        cut_outs = {cut.slot: cut for cut in (place.first, place.second)}
        subject = self._subject(text, relation, cut_outs["subject"])
        facts = self._about(subject, relation) if subject is not None else ()
        object_ = self._said_object(text, relation, cut_outs["object"], facts) if facts else None
        if subject is None or object_ is None:
            return
        said, is_right = object_
        start = min(place.start, subject.start, said.start)
        end = max(place.end, subject.end, said.end)
        if not is_claimed(text, start, end):
            return
        if is_right:
            yield None
        elif not self._holds_right(relation, facts, said):
            yield _wording(relation, facts[0], said, _score(said), text, titled_start(text, start), end)

    def _said_object(
        self, text: str, relation: Relation, cut: CutOut, facts: Sequence[Fact]
    ) -> tuple[Mention, bool] | None:
        """The object that is said, and whether it is right; None where neither can be told."""
        objects = [name for fact in facts for name in (fact.object, *fact.object_aliases)]
        if any_quantity(objects):
            return _said_number(text, cut, objects)
        said = self._object(text, relation, cut)
        return None if said is None else (said, _is_right(text, said, cut, objects))

    def _subject(self, text: str, relation: Relation, cut: CutOut) -> Mention | None:
        return known_mention(text, cut.start, cut.end, cut.anchor, lambda key: self._has(key, relation.relation, "s"))

    def _object(self, text: str, relation: Relation, cut: CutOut) -> Mention | None:
        same = known_mention(text, cut.start, cut.end, cut.anchor, lambda key: self._has(key, relation.relation, "o"))
        other = same or known_mention(text, cut.start, cut.end, cut.anchor, self._is_known)
        return other or unknown_mention(text, cut.start, cut.end, cut.anchor)

    def _holds_right(self, relation: Relation, facts: Sequence[Fact], said: Mention) -> bool:
        """Whether a thing of another kind may hold the right object: who was born in a city was born in its country."""
        key = name_key(said.text)
        kinds = {kind for store in self._stores for kind in store.kinds(relation.relation)}
        return said.known and not any(self._has(key, *kind) for kind in kinds) and self._is_linked(facts, key)

    def _is_linked(self, facts: Sequence[Fact], key: str) -> bool:
        """Whether some fact is about a right object and the thing of that name."""
        return any(
            (key, "o") in linked.names()
            for right in _right_keys(facts)
            for store in self._stores
            for relation in self._relations
            for linked in store.about(right, relation)
        )

    def _has(self, key: str, relation: str, role: str) -> bool:
        return any(store.has(key, relation, role) for store in self._stores)

    def _is_known(self, key: str) -> bool:
        return any(self._has(key, relation, role) for relation in self._relations for role in "so")

    def _about(self, subject: Mention, relation: Relation) -> Sequence[Fact]:
        key = name_key(subject.text)
        return [fact for store in self._stores for fact in store.about(key, relation.relation)]


def _score(said: Mention) -> float:
    if said.known:
        return KNOWN
    return UNKNOWN if said.words <= MAX_NAME_WORDS and is_proper(said) else VAGUE


def _said_number(text: str, cut: CutOut, objects: Sequence[str]) -> tuple[Mention, bool] | None:
    """The number that is said in an object's place, and whether it is right; any other words there may be true."""
    right = any_quantity(objects)
    said = said_quantity(text, cut.start, cut.end, cut.anchor, any(number.unit for number in right))
    if said is None:
        return None
    written = text[said.start : said.end]
    mention = Mention(written, said.start, said.end, True)
    if any(agrees(said, number) for number in right):
        return mention, True
    if not all(contradicts(said, number, text[said.end :]) for number in right):
        return None
    is_begun = _is_cut_off(text, said.end) and any(may_become_number(written, name) for name in objects)
    return None if is_begun else (mention, False)


def _is_cut_off(text: str, end: int) -> bool:
    return end == len(text.rstrip())


def _is_right(text: str, said: Mention, cut: CutOut, objects: Sequence[str]) -> bool:
    """Whether what is said, or the noun phrase around it, holds a right object or is part of one."""
    start = cut.start if cut.anchor == "end" else said.start
    end = phrase_end(text, said.start, cut.end) if cut.anchor == "start" else cut.end
    phrase = text[start : max(end, said.end)]
    if any(may_be_same(spoken, name) for spoken in (phrase, said.text) for name in objects):
        return True
    return _is_cut_off(text, said.end) and any(may_become(said.text, name) for name in objects)


def _right_keys(facts: Sequence[Fact]) -> Iterator[str]:
    for fact in facts:
        yield from (key for key, role in fact.names() if role == "o")


def _wording(relation: Relation, fact: Fact, said: Mention, score: float, text: str, start: int, end: int) -> Finding:
    true = _fill(relation.patterns[0], fact.subject, fact.object)
    return Finding(
        score=score,
        reason=_fill(relation.negation, fact.subject, said.text),
        correction=true,
        evidence=true,
        subject=f"{fact.subject} {relation.relation}",
        start=start,
        end=end,
        fits=_is_whole(text[start:end]),
    )


def _is_whole(span: str) -> bool:
    """Whether a statement can stand in the place of `span`: markup and brackets in pairs, no relative clause."""
    paired = all(len(found) % 2 == 0 for found in (_STARS.findall(span), _QUOTES.findall(span)))
    paired = paired and span.count("(") == span.count(")")
    return paired and _RELATIVE.search(span) is None


def _fill(pattern: str, subject: str, object_: str) -> str:
    # Not str.format: a name may hold braces.
    filled = object_.join(subject.join(part.split("{subject}")) for part in pattern.split("{object}"))
    # A name may end in a full stop of its own.
    return filled[:-1] if filled.endswith("..") and not pattern.endswith("..") else filled


plugin = Knowledge
