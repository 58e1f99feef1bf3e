"""Where records come from: the store, or an archive of it. Both give the same records in the same order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.harvest import reviews
from guard.store import Database, Filter

if TYPE_CHECKING:
    from guard.archive import Archive


_AGES_S = 1e11


class Source(Protocol):
    """A log."""

    def interruptions(self) -> Iterator[InterruptionRecord]:
        """Those that are wanted, oldest first."""
        ...

    def sessions(self) -> Iterator[SessionRecord]:
        """Those that are wanted, oldest first."""
        ...

    def reviews(self) -> Mapping[str, Review]:
        """What reviewers made together of each subject they judged."""
        ...

    def missed(self) -> Mapping[str, Sequence[str]]:
        """What guard let pass though it should not have, as reviewers say or dispute; by turn, see `reviews.missed`."""
        ...

    def reviewed(self) -> Mapping[str, tuple[int, int]]:
        """Per check, in all of the log: interruptions that reviewers confirmed and rejected."""
        ...

    def rates(self) -> Mapping[str, int]:
        """How much there was to supervise, by what is counted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FromStore:
    """The store, open."""

    database: Database
    wanted: Filter

    def interruptions(self) -> Iterator[InterruptionRecord]:
        """See Source."""
        return self.database.iter_interruptions(self.wanted)

    def sessions(self) -> Iterator[SessionRecord]:
        """See Source."""
        return self.database.iter_sessions(self.wanted)

    def reviews(self) -> Mapping[str, Review]:
        """See Source."""
        return _reviews(self.database.iter_interruptions, self.database)

    def missed(self) -> Mapping[str, Sequence[str]]:
        """See Source."""
        return reviews.missed(self.database)

    def reviewed(self) -> Mapping[str, tuple[int, int]]:
        """See Source."""
        return self.database.reviewed()

    def rates(self) -> Mapping[str, int]:
        """See Source."""
        (whole,) = self.database.trends(0.0, _AGES_S, _AGES_S)
        return {"responses": whole.responses, "interruptions": whole.interruptions}


@dataclass(frozen=True, slots=True, kw_only=True)
class FromArchive:
    """An archive, and the store that it is of where there is one: judgements are in no archive."""

    archive: Archive
    wanted: Filter
    judged: Database | None = None

    def interruptions(self) -> Iterator[InterruptionRecord]:
        """See Source."""
        return self.archive.iter_interruptions(self.wanted)

    def sessions(self) -> Iterator[SessionRecord]:
        """See Source."""
        from guard.harvest.archived import sessions

        return sessions(self.archive, self.wanted)

    def reviews(self) -> Mapping[str, Review]:
        """See Source. Without a store: of interruptions alone."""
        return _reviews(self.archive.iter_interruptions, self.judged)

    def missed(self) -> Mapping[str, Sequence[str]]:
        """See Source. Without a store nothing is known."""
        return reviews.missed(self.judged) if self.judged else {}

    def reviewed(self) -> Mapping[str, tuple[int, int]]:
        """See Source."""
        good, bad = (
            Counter(one.interruption.check for one in self.archive.iter_interruptions(Filter(review=review)))
            for review in ("confirmed", "rejected")
        )
        return {check: (good[check], bad[check]) for check in good.keys() | bad.keys()}

    def rates(self) -> Mapping[str, int]:
        """See Source."""
        sessions, cut = self.archive.files("session"), self.archive.files("interruption")
        return {"sessions on record": sum(f.rows for f in sessions), "interruptions": sum(f.rows for f in cut)}


def _reviews(
    interruptions: Callable[[Filter], Iterable[InterruptionRecord]], judged: Database | None
) -> dict[str, Review]:
    found: dict[str, Review] = {}
    for review in ("confirmed", "rejected", "disputed"):
        found |= reviews.of_records(interruptions(Filter(review=review)))
    return (reviews.of_judgements(judged.iter_judgements()) if judged else {}) | found
