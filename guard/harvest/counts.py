"""How many records there were of each kind, and what became of them.

Counts of parts of a log add up to those of the whole, in any order; they go from process to process as JSON.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from guard.core.records import InterruptionRecord, SessionRecord

Kind = tuple[str, str]
"""What is told of a record, and how it is of this one: ("outcome", "corrected")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a maker counts.

    Attributes:
        seen: the records that were read, by each of their kinds.
        taken: those that were selected, likewise.
        left: by reason, what was selected and gave no row.
    """

    seen: Counter[Kind] = field(default_factory=Counter)
    taken: Counter[Kind] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        """Add another part's counts to these."""
        self.seen.update(other.seen)
        self.taken.update(other.taken)
        self.left.update(other.left)


def written(counts: Counts) -> bytes:
    """The counts as JSON."""
    seen, taken = ([[*kind, n] for kind, n in each.items()] for each in (counts.seen, counts.taken))
    return msgspec.json.encode([seen, taken, counts.left])


def read(text: bytes) -> Counts:
    """The counts that `written` wrote."""
    seen, taken, left = msgspec.json.decode(text)
    return Counts(seen=_kinds(seen), taken=_kinds(taken), left=Counter(left))


def of_interruption(record: InterruptionRecord) -> list[Kind]:
    """What is told of an interruption."""
    cut, closing, source = record.interruption, record.closing, record.provenance
    found = {
        "record": "interruption",
        "check": cut.check,
        "outcome": closing.outcome if closing else "open",
        "continuation": (closing.continuation if closing else None) or "none",
        "review": record.review,
        "late": "late" if cut.late else "in time",
        "model": source.policy_model,
        "policy": f"{source.policy} ({source.policy_hash})",
        "version": str(record.version),
        "day": _day(record.at),
    }
    if closing:
        found["end"] = f"{closing.outcome} by {closing.continuation}, {record.review}"
    return list(found.items())


def of_session(session: SessionRecord) -> list[Kind]:
    """What is told of a session."""
    source = session.provenance
    found = {
        "record": "session",
        "session": "flagged" if session.flagged else "clean",
        "model": source.policy_model,
        "policy": f"{source.policy} ({source.policy_hash})",
        "version": str(session.version),
        "day": _day(source.started),
    }
    return list(found.items())


def of(kinds: Counter[Kind], name: str) -> dict[str, int]:
    """One thing that is told, by how often it is how: the most frequent first, then by name."""
    found = [(value, n) for (each, value), n in kinds.items() if each == name and n]
    return dict(sorted(found, key=lambda pair: (-pair[1], pair[0])))


def _kinds(rows: Iterable[tuple[str, str, int]]) -> Counter[Kind]:
    return Counter({(name, value): n for name, value, n in rows})


def _day(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(at))
    except (OverflowError, OSError, ValueError):  # a clock of another planet
        return "unknown"
