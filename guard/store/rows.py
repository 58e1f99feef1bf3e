"""How a record becomes a row: what of it is searched for, counted or put in order.

Pure functions; knows the columns, not the database. Rules:

- The *score* is that of the deciding verdict's surest finding, 0 where it has none.
- The *doubt* is how much a review would tell, 0..2: how near the score is to the threshold, plus the share of the
  checks that ran on the statement and found nothing. What was interrupted is above the threshold, so a low score is
  near it (``1 - score``); what was flagged and let pass is below, so a high one is (``score``).
- Searched are the claim, what was put in its place and the question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from guard.core.records import InterruptionRecord, Judgement, Provenance, SessionRecord
from guard.core.types import Segment, Summary, Verdict
from guard.store.codec import encode
from guard.store.schema import combination, plain, share
from guard.store.words import words

SEARCHED = 20_000
"""Characters of a record that are searched: more than PostgreSQL takes could not be stored."""

_NAMED = ("conversation", "user", "model", "policy")


def interruption_row(record: InterruptionRecord, *, prompts: str, owner: str) -> dict[str, Any]:
    """The row of an interruption record, but for its `rev`."""
    cut = record.interruption
    score = surest(cut.verdicts[:1])
    found = {
        "id": cut.id,
        "at": record.at,
        "session": record.provenance.session,
        "check": cut.check,
        "channel": cut.claim.channel,
        "correct": cut.correct,
        "late": cut.late,
        "outcome": record.closing and record.closing.outcome,
        "review": record.review,
        "score": score,
        "doubt": 1 - score + disagreement(cut.verdicts),
        "tokens_wasted": cut.tokens_wasted,
        "delay_s": record.delay_s,
        "prompts": prompts,
        "owner": owner,
    }
    row = _row(found | _source(record.provenance), record)
    searched = "\n".join((cut.claim.text, cut.put_in, record.provenance.evidence.question))
    return row | {"combination": combination(row)["id"], "search": " ".join(words(searched[:SEARCHED]))}


def session_row(record: SessionRecord, *, prompts: str) -> dict[str, Any]:
    """The row of a session record, but for its `rev`."""
    found = {
        "id": record.provenance.session,
        "started": record.provenance.started,
        "flagged": record.flagged,
        "interruptions": sum(choice.interruptions for choice in record.choices),
        "unscanned": sum(choice.unscanned for choice in record.choices),
        "prompts": prompts,
    }
    return _row(found | _source(record.provenance), record)


def judgement_row(judgement: Judgement) -> dict[str, Any]:
    """The row of a judgement."""
    names = ("id", "at", "subject", "session", "reviewer", "ruling")
    return _row({name: getattr(judgement, name) for name in names}, judgement)


def segment_rows(record: SessionRecord) -> list[dict[str, Any]]:
    """The rows of the segments that a reviewer may be asked about: every one that was flagged and let pass, and one of
    those that no check had anything against, drawn by the session's id."""
    judged = [(choice, *one) for choice in record.choices for one in _judged(choice)]
    rows = [_segment_row(record, *one) for one in judged if was_let_pass(one[-1])]
    clean = [one for one in judged if is_clean(one[-1])]
    if clean:
        drawn = clean[int(share(record.provenance.session) * len(clean))]
        rows.append(_segment_row(record, *drawn) | {"kind": "clean", "weight": len(clean)})
    return rows


def was_let_pass(verdicts: Sequence[Verdict]) -> bool:
    """Whether a check flagged it and nothing was interrupted."""
    return any(v.status == "flagged" for v in verdicts) and not any(v.disposition == "interrupted" for v in verdicts)


def is_clean(verdicts: Sequence[Verdict]) -> bool:
    """Whether checks looked at it and none found anything or failed to run; that none had anything to say of it is how
    most mistakes are missed."""
    statuses = {verdict.status for verdict in verdicts}
    return bool(statuses) and statuses <= {"clean", "not_applicable"}


def surest(verdicts: Iterable[Verdict]) -> float:
    """The highest score of a finding, 0 without any."""
    return max((finding.score for verdict in verdicts for finding in verdict.findings), default=0.0)


def disagreement(verdicts: Iterable[Verdict]) -> float:
    """Of the checks that ran on a statement, the share that found nothing."""
    ran = [verdict.status for verdict in verdicts if verdict.status in ("clean", "flagged")]
    return ran.count("clean") / len(ran) if ran else 0.0


def in_order(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts on one segment, the surest flagged one first."""
    return tuple(sorted(verdicts, key=lambda verdict: (verdict.status != "flagged", -surest([verdict]))))


def _judged(choice: Summary) -> Iterator[tuple[Segment, tuple[Verdict, ...]]]:
    """Each segment with the verdicts on it."""
    found: defaultdict[int, list[Verdict]] = defaultdict(list)
    for verdict in choice.verdicts:
        found[verdict.segment].append(verdict)
    return ((segment, in_order(found[segment.id])) for segment in choice.segments)


def _segment_row(
    record: SessionRecord, choice: Summary, segment: Segment, verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    session, score = record.provenance.session, surest(v for v in verdicts if v.status == "flagged")
    key = f"{session}.{choice.choice}#{segment.id}"
    found = {
        "id": key,
        "at": record.ended,
        "session": session,
        "conversation": record.provenance.conversation,
        "user": record.provenance.user,
        "check": verdicts[0].check,
        "kind": "flagged",
        "review": "unreviewed",
        "score": score,
        "doubt": score + disagreement(verdicts) if score else 0.0,
        "weight": 1,
        "draw": share(key),
    }
    return {name: plain(value) for name, value in found.items()}


def _source(source: Provenance) -> dict[str, str]:
    return {name: getattr(source, name) for name in _NAMED}


def _row(found: Mapping[str, Any], record: object) -> dict[str, Any]:
    return {name: plain(value) for name, value in found.items()} | {"record": encode(record)}
