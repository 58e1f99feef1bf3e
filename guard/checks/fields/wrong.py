"""What the parts of `guard.checks.fields` hand each other: a statement the record does not bear out, and its score.

The scores rank the kinds by how often people had marked the same statement in labelled descriptions of businesses; they
are no probabilities, and other records may rank them otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from guard.checks.fields.records import Field

Kind = Literal[
    "affirmed", "denied", "unknown", "hours", "some hours", "unclear day", "missing day", "number", "text", "place",
    "member", "count", "amount", "source", "item",
]  # fmt: skip

SCORES: dict[Kind, float] = {
    "affirmed": 0.95,
    "denied": 0.95,
    "hours": 0.95,
    "some hours": 0.9,
    "number": 0.9,
    "text": 0.9,
    "place": 0.9,
    "member": 0.85,
    "unknown": 0.75,
    "unclear day": 0.7,
    "count": 0.6,
    "amount": 0.6,
    "source": 0.6,
    "item": 0.45,
    "missing day": 0.4,
}
_NOWHERE = frozenset({"amount", "source", "item"})
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Wrong:
    """One statement against the record.

    Attributes:
        label: what the record calls the thing.
        told: what the record says of it.
        doubt: what the score is taken down by: 0 for none.
    """

    kind: Kind
    start: int
    end: int
    field: Field | None
    label: str
    said: str
    told: str
    doubt: float = 0.0

    @property
    def score(self) -> float:
        """How sure it is."""
        return round(max(0.05, SCORES[self.kind] - self.doubt), 2)

    @property
    def reason(self) -> str:
        """Why, to stand behind "No, "; in the model's words, so that it can tell what is meant."""
        said = _SPACE.sub(" ", self.said).strip(" .,;:")
        if self.kind in _NOWHERE:
            return f"{said!r} stands nowhere in what was given."
        if self.kind == "unknown":
            return f"the record does not tell about {said!r}."
        return f"the record does not say {said!r}."

    @property
    def correction(self) -> str:
        """What the record says; nothing where it leaves the thing open, or where only the user's own text says it."""
        if self.field is None or self.field.is_users or not self.told:
            return ""
        return f"The record says {self.label}: {self.told}."
