"""What an exporter is: one training format a file, named as TRL names it.

An exporter module defines ``plugin``, an object of this shape. It reads records as the store returns them and knows
nothing about databases or files. Interruption records are enough for most formats; `OfSessions` reads whole sessions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from guard.core.records import InterruptionRecord, Review, SessionRecord

Row = Mapping[str, Any]
"""One training row, ready for JSON."""


class Exporter(Protocol):
    """One training format."""

    def select(
        self, records: Iterable[InterruptionRecord], *, unreviewed: bool = False, trusted: Collection[str] = ()
    ) -> Iterator[InterruptionRecord]:
        """The records worth training on. `unreviewed` admits what nobody has looked at, `trusted` what these checks
        found; what reviewers rejected, or disagree about, is never admitted."""
        ...

    def rows(
        self,
        records: Iterable[InterruptionRecord],
        *,
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """Turn interruption records into rows, in order. `tokenizer` is a Hugging Face tokenizer with the target
        model's chat template; without one, rows are in the canonical span form. What cannot become a row is counted
        in `skipped`, by reason."""
        ...


@runtime_checkable
class Placed(Exporter, Protocol):
    """A format whose rows can begin at more than one place of the turn."""

    def at(self, place: str) -> Exporter:
        """The exporter for this place. Raises ConfigError: the format has no such place."""
        ...


@runtime_checkable
class OfSessions(Exporter, Protocol):
    """A training format whose rows are made of whole sessions, of what guard let pass too. Its `rows` raises
    ConfigError: interruptions alone do not say what was right."""

    def session_rows(
        self,
        sessions: Iterable[SessionRecord],
        reviews: Mapping[str, Review],
        *,
        unreviewed: bool = False,
        trusted: Collection[str] = (),
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """Turn session records into rows, in order. `reviews` has what reviewers made together of a subject: of an
        interruption by its id, of any other segment by ``{session}.{choice}#{segment}``; what is not in it nobody has
        reviewed. `unreviewed`, `trusted` and `tokenizer` as for an `Exporter`: without the first two, what is flagged
        is a label only where reviewers judged it. What cannot become a row is counted in `skipped`, by reason."""
        ...
