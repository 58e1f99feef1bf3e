"""What a reviewer is shown of an interruption and of a segment: records in, plain values for JSON out.

Pure. A text is the model's, the client's or a check's and goes out as it is: whoever shows it shows it as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from guard.core.records import InterruptionRecord, Judgement, Provenance
from guard.core.types import Finding, Interruption, Passage, Verdict
from guard.store import SegmentRecord

SHORT = 300
"""Characters of a question in a list."""

_BEFORE = 200
_WORD = re.compile(r"\S+")


def summary(record: InterruptionRecord) -> dict[str, Any]:
    """An interruption in a few fields, as the API and the command line list it."""
    made, source, closing = record.interruption, record.provenance, record.closing
    return {
        "id": made.id,
        "at": record.at,
        "model": source.model,
        "policy": source.policy,
        "check": made.check,
        "score": score(made),
        "review": record.review,
        "session": source.session,
        "conversation": source.conversation,
        "user": source.user,
        "question": source.evidence.question[:SHORT],
        "correct": made.correct,
        "late": made.late,
        "channel": made.claim.channel,
        "before": made.kept.get(made.claim.channel, "")[-_BEFORE:],
        "claim": made.claim.text,
        "put_in": made.put_in,
        "followed": closing.followed if closing else "",
        "answer": closing.answer if closing else "",
        "outcome": closing.outcome if closing else "open",
        "continuation": closing.continuation if closing else None,
        "delay": {"characters": made.delay, "seconds": record.delay_s},
        "tokens_wasted": made.tokens_wasted,
    }


def whole(record: InterruptionRecord, judgements: Sequence[Judgement], siblings: Sequence[str]) -> dict[str, Any]:
    """An interruption with all that led to it. `siblings`: ids of the session's others, oldest first."""
    made, source = record.interruption, record.provenance
    return summary(record) | {
        **_asked(source, made.verdicts),
        "tools": source.tools,
        "kept": dict(made.kept),
        "discarded": dict(made.discarded),
        "claim_span": [made.claim.start, made.claim.end],
        "verdicts": [_verdict(verdict) for verdict in made.verdicts],
        "reason": made.reason,
        "correction": made.correction,
        "revised": record.revised,
        "counterfactual": record.counterfactual,
        "known": record.known,
        "supervisor_tokens": record.supervisor_tokens,
        "judgements": judgements,
        "siblings": siblings,
        "policy_hash": source.policy_hash,
        "policy_model": source.policy_model,
        "backend": source.backend,
        "started": source.started,
    }


def segment(record: SegmentRecord, judgements: Sequence[Judgement]) -> dict[str, Any]:
    """A statement that was not interrupted, with what the checks said of it."""
    source, said = record.provenance, record.segment
    return {
        "id": record.id,
        "at": record.at,
        "kind": record.kind,
        "session": source.session,
        "conversation": source.conversation,
        "model": source.model,
        "policy": source.policy,
        "question": source.evidence.question,
        **_asked(source, record.verdicts),
        "channel": said.channel,
        "before": record.before,
        "claim": said.text,
        "after": "",
        "verdicts": [_verdict(verdict) for verdict in record.verdicts],
        "score": surest(finding for verdict in record.verdicts for finding in verdict.findings),
        "review": record.review,
        "judgements": judgements,
    }


def score(made: Interruption) -> float:
    """How sure the deciding check was: 0..1, of its surest finding."""
    return surest(made.verdicts[0].findings) if made.verdicts else 0.0


def surest(findings: Iterable[Finding]) -> float:
    """The highest score, 0 where there is no finding."""
    return max((finding.score for finding in findings), default=0.0)


def quotes(verdicts: Iterable[Verdict], passages: Sequence[Passage]) -> list[dict[str, int]]:
    """Where the quotes that findings rest on stand in the passages: each once, exactly or with other white space."""
    quoted = dict.fromkeys(f.evidence.strip() for v in verdicts for f in v.findings if f.evidence.strip())
    found = (_quote(text, passages) for text in quoted)
    return [place for place in found if place is not None]


def _quote(quote: str, passages: Sequence[Passage]) -> dict[str, int] | None:
    for find in (_exactly, _spaced):
        for number, passage in enumerate(passages):
            if (place := find(quote, passage.text)) is not None:
                return {"passage": number, "start": place[0], "end": place[1]}
    return None


def _exactly(quote: str, text: str) -> tuple[int, int] | None:
    start = text.find(quote)
    return None if start < 0 else (start, start + len(quote))


def _spaced(quote: str, text: str) -> tuple[int, int] | None:
    """Where it stands when any white space counts as one space.

    Found in a time that grows with the passage alone; a pattern would stop the server for minutes, for who asks for it.
    """
    quoted = " ".join(quote.split())
    first = " ".join(text.split()).find(quoted)
    if first < 0:
        return None
    last, at, start = first + len(quoted) - 1, 0, 0
    for word in _WORD.finditer(text):  # `at`: where the word stands in the text with single spaces
        after = at + len(word[0])
        if at <= first < after:
            start = word.start() + first - at
        if last < after:
            return start, word.start() + last - at + 1
        at = after + 1
    return None


def _asked(source: Provenance, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    evidence = source.evidence
    return {
        "messages": source.messages,
        "evidence": {
            "passages": [{"source": passage.source, "text": passage.text} for passage in evidence.passages],
            "question": evidence.question,
        },
        "quotes": quotes(verdicts, evidence.passages),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    names = ("check", "version", "status", "why", "disposition", "fused")
    return {name: getattr(verdict, name) for name in names} | {"findings": [_finding(f) for f in verdict.findings]}


def _finding(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in ("score", "reason", "correction", "evidence", "start", "end")}
