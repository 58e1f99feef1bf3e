"""What a request supplies, made ready to look citations up in, for `guard.checks.citation`.

It knows presence and absence; not statements or scores. Built once a request; each kind of index when first asked.

Rules: anything a passage of any kind holds is supplied, the user's own words too; what is given back for a correction
never comes from those. Nothing is looked up by what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import cached_property

from guard.checks.citation.attribution import INVENTS, REWRITES
from guard.checks.citation.cited import Cited, Kind, labels, named_in
from guard.checks.citation.quotes import Source, cleaned
from guard.core.claims import asks_for_invention
from guard.core.types import Evidence

LEAST = 200
"""Characters beyond the last question below which there is nothing to check against."""
ALIKE = 0.75
_SOLID = re.compile(r"[\W_]+")
_SCHEME = re.compile(r"^(?:[a-z]+://)?(?:www\.)?")


class Sources:
    """The passages of a request.

    `why_not` says why they cannot be checked against, or ""; `is_rewriting`: the question asks for a text to be put
    otherwise.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.given = Source(self._text("evidence", "tool", "system"))
        self.own = Source(self._text("user"))
        self._named: dict[Kind, tuple[Cited, ...]] = {}

        asked = evidence.question
        self.is_rewriting = REWRITES.search(asked) is not None
        self.why_not = "" if self._is_enough() else "no evidence"
        if INVENTS.search(asked) or asks_for_invention(evidence):
            self.why_not = "the question asks for invention"

    def _is_enough(self) -> bool:
        """Whether there is anything to check against beyond the last question."""
        passages = self._evidence.passages
        beyond = (p for p in passages if p.source != "user" or p.text != self._evidence.question)
        return sum(len(p.text) for p in beyond) >= LEAST

    def _text(self, *kinds: str) -> str:
        return cleaned("\n".join(p.text for p in self._evidence.passages if p.source in kinds))

    @cached_property
    def are_retrieved(self) -> bool:
        """Whether there are sources in the narrow sense: evidence or tool messages, not instructions alone."""
        return sum(len(p.text) for p in self._evidence.passages if p.source in ("evidence", "tool")) >= LEAST

    @cached_property
    def count(self) -> int:
        """How many passages of evidence there are."""
        return sum(p.source == "evidence" for p in self._evidence.passages)

    @cached_property
    def _folded(self) -> str:
        return f"{self.given.text}\n{self.own.text}".casefold()

    @cached_property
    def _solid(self) -> str:
        return _SOLID.sub("", self._folded)

    def names(self, name: str) -> bool:
        """Whether a word stands in the sources."""
        return name.casefold() in self._folded

    # Numbers under which parts are known

    @cached_property
    def labels(self) -> dict[str, set[str]]:
        """The numbers of parts, by noun, in everything that is supplied."""
        # As it was sent: note marks are left out of what is quoted from.
        return labels("\n".join(passage.text for passage in self._evidence.passages))

    def has_number(self, noun: str, value: str) -> bool:
        """Whether a part of this number is known, as such or as a heading; "4" also where there is a "4.2"."""
        known = self.labels.get(noun, set()) | self.labels[""]
        if value in known or any(number.startswith(f"{value}.") for number in known):
            return True
        return "." in value and re.search(rf"(?<![\d.]){re.escape(value)}(?!\d)", self._folded) is not None

    # Addresses and identifiers

    def of(self, kind: Kind) -> Sequence[Cited]:
        """What the sources themselves name of a kind, but for the user's own words."""
        if kind not in self._named:
            self._named[kind] = tuple(named_in(self.given.text, kind))
        return self._named[kind]

    def holds(self, one: Cited) -> bool:
        """Whether what is named stands in what is supplied, however it is written."""
        if one.kind == "url":
            return bare(one.value) in self._folded
        if one.kind == "commit":
            return one.value.casefold() in self._folded
        if one.kind == "path":
            return self._holds_path(one.value)
        key = _SOLID.sub("", one.value.casefold())
        if key not in self._solid:
            return False
        marks = r"[\W_]*".join(map(re.escape, key))
        return re.search(rf"(?<!\d){marks}(?!\d)" if key.isdigit() else marks, self._folded) is not None

    def _holds_path(self, path: str) -> bool:
        """A listing names a file without its folder."""
        name = re.escape(path.rpartition("/")[2].casefold())
        return re.search(rf"(?<![\w-]){name}(?!\w)", self._folded) is not None

    def has_host(self, url: str) -> bool:
        """Whether the sources name an address of the same host."""
        return bare(url).partition("/")[0] in self._folded

    def slip_for(self, one: Cited) -> str:
        """The only thing of the same kind in the sources that is nearly this one, or ""."""
        alike = {bare(other.value): other.value for other in self._alike(one)}
        return next(iter(alike.values())) if len(alike) == 1 else ""

    def _alike(self, one: Cited) -> Iterator[Cited]:
        for other in self.of(one.kind):
            if one.kind == "record" and other.noun == one.noun:
                if _shape(other.value) == _shape(one.value):
                    yield other
            elif SequenceMatcher(None, bare(other.value), bare(one.value)).ratio() >= ALIKE:
                yield other


def bare(address: str) -> str:
    """An address without scheme, "www." and what may be left out at its end."""
    return _SCHEME.sub("", address.casefold()).rstrip("/.")


def _shape(value: str) -> str:
    return "".join("9" if c.isdigit() else "A" if c.isalpha() else c for c in value)
