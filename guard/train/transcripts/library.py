"""What can be looked up: facts files, as the check `knowledge` reads them.

Knows facts, names and the relations' wordings; does not know models. A statement is read by the relations' own
patterns, a whole sentence at a time, and is right only where the facts have it: what they do not say is not known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from guard.checks.knowledge.facts import Fact, Relation, key_of, load, name_key, name_words
from guard.checks.knowledge.mentions import MAX_NAME

MOST = 40
"""Facts that one look-up tells."""

LONGEST = 400
"""Characters of a sentence that is read; a longer one states no single fact."""

Reading = Literal["right", "wrong", "admits", ""]
"""What a sentence is: a fact that the facts hold, one that they do not, "I do not know ...", or something else."""

_PLAIN = re.compile(
    r"I (?:do not|don['’]t|cannot|can['’]t|could not|couldn['’]t) "
    r"(?:know|tell|say|confirm|find)(?: (?:that|this|it))?\.?"
)
_NO = re.compile(r"\A(?:No|Wait|Actually)[,.:]?\s+")


class Library:
    """The facts of some files. Raises ConfigError where one cannot be used."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._stores, self._relations = load(paths)

    @cached_property
    def digest(self) -> str:
        """What tells these facts from others."""
        content = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in self.paths)
        return hashlib.sha256(content).hexdigest()[:16]

    def about(self, name: str) -> list[str]:
        """What is known of a thing of that name, as sentences, at most `MOST`."""
        key = name_key(name)
        told = (_said(r.patterns[0], f.subject, f.object) for r in self._relations for f in self._facts(key, r))
        return list(dict.fromkeys(told))[:MOST]

    def named_in(self, text: str) -> list[str]:
        """The names in a text of which something is known: the longest at each place, in order."""
        words = name_words(text)
        found: dict[str, str] = {}
        at = 0
        while at < len(words):
            size = next((n for n in range(MAX_NAME, 0, -1) if self._knows([w[0] for w in words[at : at + n]])), 0)
            if size:
                last = words[min(at + size, len(words)) - 1]
                name = text[words[at].start() : last.end()]
                found.setdefault(name_key(name), name)
            at += size or 1
        return list(found.values())

    def read(self, sentence: str, withheld: Sequence[str] = ()) -> Reading:
        """How a sentence stands to the facts; those about the names in `withheld` count as not known."""
        bare = _NO.sub("", sentence.strip())
        if len(bare) > LONGEST:
            return ""
        keys = {name_key(name) for name in withheld}
        # Statements last: in "A was not taught by B" and "I do not know who taught B" they would find odd names.
        if any(_match(relation.unknown, bare) for relation in self._relations):
            return "admits"
        if denied := [not self._held(*said) for said in self._denied(bare)]:
            return "right" if all(denied) else "wrong"
        if stated := [self._held(*said) and name_key(said[1]) not in keys for said in self._stated(bare)]:
            return "right" if any(stated) else "wrong"
        return "admits" if _PLAIN.fullmatch(bare) else ""

    def _stated(self, sentence: str) -> Iterator[tuple[Relation, str, str]]:
        for relation in self._relations:
            for pattern in relation.patterns:
                if found := _match(pattern, sentence):
                    yield relation, found["subject"], found["object"]

    def _denied(self, sentence: str) -> Iterator[tuple[Relation, str, str]]:
        for relation in self._relations:
            if found := _match(relation.negation, sentence):
                yield relation, found["subject"], found["object"]

    def _held(self, relation: Relation, subject: str, object_: str) -> bool:
        names = (name for fact in self._facts(name_key(subject), relation) for name in _objects(fact))
        return name_key(object_) in {name_key(name) for name in names}

    def _facts(self, key: str, relation: Relation) -> Iterator[Fact]:
        for store in self._stores:
            yield from store.about(key, relation.relation)

    def _knows(self, words: Sequence[str]) -> bool:
        key = key_of(words)
        return any(store.has(key, relation.relation, "s") for store in self._stores for relation in self._relations)


def _objects(fact: Fact) -> tuple[str, ...]:
    return (fact.object, *fact.object_aliases)


def _said(pattern: str, subject: str, object_: str) -> str:
    # Not str.format: a name may hold braces.
    said = object_.join(subject.join(part.split("{subject}")) for part in pattern.split("{object}"))
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _match(pattern: str, sentence: str) -> re.Match[str] | None:
    if not pattern:
        return None
    escaped = re.escape(pattern.rstrip(".")).replace(r"\{subject\}", "(?P<subject>.+?)", 1)
    return re.fullmatch(escaped.replace(r"\{object\}", "(?P<object>.+?)", 1) + r"\.?", sentence)
