"""Records that the tests store."""

from __future__ import annotations

import dataclasses
from typing import Any

from guard.core.records import InterruptionRecord, Judgement, Provenance, Ruling, SessionRecord
from guard.core.types import Claim, Closing, Finding, Interruption, Segment, Summary, Verdict


def provenance(session: str = "s1", **changes: Any) -> Provenance:
    source = Provenance(
        session=session,
        started=1.0,
        conversation="c",
        user="u",
        model="m",
        policy_model="pm",
        backend="scripted",
        policy="default",
        policy_hash="h",
        messages=[{"role": "user", "content": "hello"}],
    )
    return dataclasses.replace(source, **changes)


def interruption(number: int, session: str = "s1", **changes: Any) -> InterruptionRecord:
    cut = Interruption(
        id=f"{session}.0.{number}",
        choice=0,
        number=number,
        attempt=0,
        correct="interrupt",
        late=False,
        claim=Claim(channel="reasoning", start=5, end=11, text="claim."),
        kept={"reasoning": "kept "},
        discarded={},
        put_in=" No.",
        reason="r",
        correction="c",
        check=changes.pop("check", "phrase"),
        verdicts=(),
        delay=0,
        tokens_wasted=0,
    )
    source = provenance(session, policy=changes.pop("policy", "default"))
    record = InterruptionRecord(interruption=cut, provenance=source, at=float(number), delay_s=0.1)
    return dataclasses.replace(record, **changes)


def session(name: str, *, flagged: bool, **changes: Any) -> SessionRecord:
    verdict = Verdict(segment=0, check="x", version="1", status="flagged" if flagged else "clean")
    summary = Summary(
        choice=0,
        finish_reason="stop",
        segments=(),
        verdicts=(verdict,),
        text={"content": "hi"},
        interruptions=int(flagged),
        discarded_tokens=0,
        unscanned=0,
    )
    return SessionRecord(provenance=provenance(name, **changes), ended=2.0, choices=(summary,))


def closed(key: str) -> Closing:
    return Closing(id=key, outcome="corrected", continuation="token_exact", followed=" Right.", complete=True)


def scored(number: int, score: float, *others: str, session: str = "s1", **changes: Any) -> InterruptionRecord:
    """An interruption whose deciding verdict has this score; `others` are what other checks said."""
    record = interruption(number, session, **changes)
    deciding = Verdict(
        segment=0,
        check="phrase",
        version="1",
        status="flagged",
        findings=(Finding(score=score), Finding(score=score / 2)),
        disposition="interrupted",
    )
    verdicts = [Verdict(segment=0, check=f"c{i}", version="1", status=s) for i, s in enumerate(others)]  # type: ignore[arg-type]
    cut = dataclasses.replace(record.interruption, verdicts=(deciding, *verdicts))
    return dataclasses.replace(record, interruption=cut)


def said(subject: str, reviewer: str, ruling: Ruling, at: float = 1.0, *, key: str = "", **changes: Any) -> Judgement:
    """A judgement."""
    name = key or f"{subject}/{reviewer}/{at}"
    given = {"session": "s1", **changes}
    return Judgement(id=name, subject=subject, reviewer=reviewer, at=at, ruling=ruling, **given)


def spoken(name: str, *statuses: str, at: float = 2.0, **changes: Any) -> SessionRecord:
    """A session of one choice with a segment for each status: `clean`, `flagged`, `interrupted`, `unscanned`."""
    segments, verdicts, text = [], [], ""
    for number, status in enumerate(statuses):
        words = f"Statement {number} of {name}. "
        start, text = len(text), text + words
        segments.append(Segment(id=number, channel="content", start=start, end=len(text), text=words, attempt=0))
        found = status in ("flagged", "interrupted")
        verdicts.append(
            Verdict(
                segment=number,
                check="grounding",
                version="1",
                status="flagged" if found else status,  # type: ignore[arg-type]
                findings=(Finding(score=0.7, reason="r"),) if found else (),
                disposition="interrupted" if status == "interrupted" else "none",
            )
        )
    summary = Summary(
        choice=0,
        finish_reason="stop",
        segments=tuple(segments),
        verdicts=tuple(verdicts),
        text={"content": text},
        interruptions=statuses.count("interrupted"),
        discarded_tokens=0,
        unscanned=statuses.count("unscanned"),
    )
    return SessionRecord(provenance=provenance(name, **changes), ended=at, choices=(summary,))
