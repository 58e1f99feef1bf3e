"""What replayed sessions amount to, with reviewers as the judges of it. Counts; replays nothing.

What a review says of a claim holds whatever policy decides about it. Of an interruption `confirmed` says that guard was
right; of a statement that guard let pass, `rejected` says that it was missed, and `confirmed` that it is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from guard.core.records import InterruptionRecord, Review
from guard.evaluation.replaying import Replayed
from guard.evaluation.replaying_change import Change, Kind
from guard.registry import LoadedPolicy

VERSION = 1
KINDS: tuple[Kind, ...] = get_args(Kind)

_VERDICTS = {
    ("less", "confirmed"): "confirmed_lost",
    ("less", "rejected"): "rejected_avoided",
    ("reworded", "confirmed"): "confirmed_reworded",
    ("reworded", "rejected"): "rejected_reworded",
    ("more", "rejected"): "missed_caught",
    ("more", "confirmed"): "right_interrupted",
    ("observed", "rejected"): "missed_lost",
}
"""What a reviewed change is called: of `less` and `reworded` an interruption was judged, of the others a statement that
was let pass. `missed_lost`: one that an observing policy flagged, and that is flagged no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A change with the session it is of and what reviewers said of its claim."""

    session: str
    review: Review
    change: Change

    @property
    def subject(self) -> str:
        """The id that shows it: the recorded interruption's, or the segment's."""
        where = "" if self.change.segment is None else f"#{self.change.segment}"
        return self.change.interruption or f"{self.session}.{self.change.choice}{where}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"session": self.session, "subject": self.subject, **asdict(self.change), "review": self.review}


class Totals:
    """Sums over sessions.

    Args:
        segments: what reviewers say of statements that were let pass, by session and then by subject.
    """

    def __init__(self, segments: Mapping[str, Mapping[str, Review]]) -> None:
        self._segments = segments
        self.sessions = self.same = self.assumed = self.behind = self.missed = 0
        self.skipped: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.checks: dict[str, Counter[str]] = {}
        self.reviewed: Counter[str] = Counter()
        self.missing: Counter[tuple[str, str]] = Counter()

    @property
    def replayed(self) -> int:
        """Sessions that could be replayed."""
        return self.sessions - self.skipped.total()

    def add(self, session: str, replayed: Replayed, interruptions: Sequence[InterruptionRecord]) -> list[Told]:
        """Count a session; returns its changes."""
        self.sessions += 1
        if replayed.skipped:
            self.skipped[replayed.skipped] += 1
            return []
        judged = self._segments.get(session, {})
        self.same += not replayed.changes
        self.assumed += replayed.assumed
        self.missed += sum(review == "rejected" for review in judged.values())
        self.missing.update(replayed.missing)
        for name, counted in (("run", replayed.live), ("flagged", replayed.gained), ("unflagged", replayed.lost)):
            for check, times in counted.items():
                self._of(check)[name] += times
        reviews = {record.interruption.id: record.review for record in interruptions} | dict(judged)
        told = [_told(session, change, reviews) for change in replayed.changes]
        for each in told:
            self._count(each)
        return told

    def _count(self, told: Told) -> None:
        change = told.change
        self.kinds[change.kind] += 1
        self.behind += change.behind
        if change.check:
            self._of(change.check)[change.kind] += 1
        name = _VERDICTS.get((change.kind, told.review))
        if name and not (change.kind == "observed" and change.now):
            self.reviewed[name] += 1

    def _of(self, check: str) -> Counter[str]:
        return self.checks.setdefault(check, Counter())

    def document(self, loaded: LoadedPolicy, examples: Sequence[Told]) -> dict[str, Any]:
        """All of it, as plain values."""
        missing: dict[str, dict[str, int]] = {}
        for (check, why), times in sorted(self.missing.items()):
            missing.setdefault(check, {})[why] = times
        return {
            "version": VERSION,
            "policy": loaded.policy.name,
            "policy_hash": loaded.hash,
            "sessions": self.sessions,
            "replayed": self.replayed,
            "skipped": dict(self.skipped.most_common()),
            "assumed": self.assumed,
            "same": self.same,
            "changes": {kind: self.kinds[kind] for kind in KINDS},
            "checks": {check: dict(counts) for check, counts in sorted(self.checks.items())},
            "reviewed": {name: self.reviewed[name] for name in _VERDICTS.values()} | {"missed": self.missed},
            "missing": missing,
            "behind": self.behind,
            "examples": [told.to_json() for told in examples],
        }


def _told(session: str, change: Change, reviews: Mapping[str, Review]) -> Told:
    told = Told(session=session, review="unreviewed", change=change)
    return Told(session=session, review=reviews.get(told.subject, "unreviewed"), change=change)
