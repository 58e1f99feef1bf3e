"""What reviewers agree on, with the scores that checks gave and how many claims each stands for. Reads the log."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from guard.core.records import Judgement, Review, SessionRecord
from guard.core.types import Verdict
from guard.store import Database, Filter
from guard.store.judging import consensus
from guard.store.rows import in_order, is_clean, surest, was_let_pass

Kind: TypeAlias = Literal["interruptions", "flagged", "clean"]
Group: TypeAlias = tuple[Kind, str]
"""A kind, and the check that it is counted with."""

Stratum: TypeAlias = tuple[Kind, str, int]
"""A group's part by score, the lowest first."""

PARTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A claim that reviewers agree on.

    Attributes:
        source: its conversation: claims of one stay together wherever data is split.
        group: the check that it is counted with; "" for a clean one.
        score: of the verdict it is counted by, as the policy had it; 0 for a clean one.
        stands_for: clean segments of its response.
        scores: by check, the surest finding before any calibration, 0 without one; only of checks that ran.
        versions: of those checks.
    """

    kind: Kind
    source: str
    group: str
    text: str
    wrong: bool
    score: float = 0.0
    stands_for: int
    scores: Mapping[str, float]
    versions: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Reviews:
    """All of them, and what they stand for."""

    judged: list[Judged] = field(default_factory=list)
    bounds: dict[Group, tuple[float, ...]] = field(default_factory=dict)
    population: Counter[Stratum] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def weights(self) -> list[float]:
        """How many claims each stands for."""
        mass: Counter[Stratum] = Counter()
        strata = [self.stratum((each.kind, each.group), each.score) for each in self.judged]
        for each, stratum in zip(self.judged, strata, strict=True):
            mass[stratum] += each.stands_for
        return [
            each.stands_for * max(1.0, self.population[stratum] / mass[stratum])
            for each, stratum in zip(self.judged, strata, strict=True)
        ]

    def stratum(self, group: Group, score: float) -> Stratum:
        """The part of a group that a score is in."""
        return *group, bisect_left(self.bounds.get(group, ()), score)

    def divide(self) -> None:
        """Divide each group by the quarters of the scores that are judged of it, each score once: however many of the
        judged ones have low scores, each part has something that is judged."""
        scores: dict[Group, set[float]] = {}
        for each in self.judged:
            scores.setdefault((each.kind, each.group), set()).add(each.score)
        for group, of_group in scores.items():
            *lower, highest = sorted(of_group)
            quarters = {[*lower, highest][(len(of_group) * part - 1) // PARTS] for part in range(1, PARTS)}
            self.bounds[group] = tuple(sorted(quarters - {highest}))


def reviews(log: Database) -> Reviews:
    """What reviewers agree on, with the scores that checks gave."""
    found = Reviews()
    for subject, (session, review) in _agreed(log).items():
        record = log.session(session)
        if record is None or not record.events:
            found.skipped["no recorded scores (its session is not on record, or without events)"] += 1
        elif (judged := _judged(log, record, subject, review)) is not None:
            found.judged.append(judged)
    found.divide()
    _count(log, found)
    return found


def _agreed(log: Database) -> dict[str, tuple[str, Review]]:
    """Session and consensus of every subject that reviewers agree on."""
    newest: dict[str, dict[str, Judgement]] = {}
    for said in log.iter_judgements():  # oldest first
        newest.setdefault(said.subject, {})[said.reviewer] = said
    all_ = {subject: (next(iter(by.values())).session, consensus([*by.values()])) for subject, by in newest.items()}
    return {subject: pair for subject, pair in all_.items() if pair[1] in ("confirmed", "rejected")}


def _judged(log: Database, record: SessionRecord, subject: str, review: Review) -> Judged | None:
    kind: Kind = "interruptions"
    if "#" in subject:
        segment = log.segment(subject)
        if segment is None:
            return None
        choice, number = (int(part) for part in subject.rpartition(".")[2].split("#"))
        kind, group = ("flagged", segment.verdicts[0].check) if segment.kind == "flagged" else ("clean", "")
        text, wrong = segment.segment.text, review == "rejected"
        score = surest(segment.verdicts[:1]) if kind == "flagged" else 0.0
    else:
        cut = log.interruption(subject)
        if cut is None:
            return None
        made = cut.interruption
        choice, number, group = made.choice, made.verdicts[0].segment, made.check
        text, wrong, score = made.claim.text, review == "confirmed", surest(made.verdicts[:1])
    return Judged(
        kind=kind,
        source=record.provenance.conversation,
        group=group,
        text=text,
        wrong=wrong,
        score=score,
        stands_for=_clean(record) if kind == "clean" else 1,
        scores=_scores(record, choice, number),
        versions={v.check: v.version for each in record.choices for v in each.verdicts if each.choice == choice},
    )


def _scores(record: SessionRecord, choice: int, segment: int) -> dict[str, float]:
    """What the checks said of a segment, as they said it; 0 where they had nothing to say."""
    mine = (e for e in record.events if e.get("choice") == choice and e.get("segment") == segment)
    said = (e for e in mine if e["event"] == "checked" or e.get("status") == "not_applicable")
    return {e["check"]: max((finding["score"] for finding in e.get("findings", ())), default=0.0) for e in said}


def _clean(record: SessionRecord) -> int:
    return sum(is_clean(verdicts) for _, verdicts in _segments(record))


def _segments(record: SessionRecord) -> Iterator[tuple[int, list[Verdict]]]:
    for choice in record.choices:
        for segment in choice.segments:
            yield segment.id, [verdict for verdict in choice.verdicts if verdict.segment == segment.id]


def _count(log: Database, found: Reviews) -> None:
    """How many there are of each kind."""
    for check in {each.group for each in found.judged if each.kind == "interruptions"}:
        below = 0
        for part, bound in enumerate((*found.bounds["interruptions", check], None)):
            upto = log.count(Filter(check=check, score_max=bound))
            found.population["interruptions", check, part] = upto - below
            below = upto
    if any(each.kind == "flagged" for each in found.judged):
        for record in log.iter_sessions(Filter(flagged=True)):
            for _, verdicts in _segments(record):
                if was_let_pass(verdicts):
                    first, *_ = in_order(verdicts)
                    found.population[found.stratum(("flagged", first.check), surest([first]))] += 1
    recall = log.recall()
    found.population["clean", "", 0] = 0 if recall is None else recall.segments
