"""What of a record may be written down: `full`, `redacted` or `none` (a policy's `record.prompts`).

Pure functions from record to record; knows neither tables nor files. Rules:

- In every mode media are type and hash.
- `redacted`: every text goes through the session's `Redactor`, offsets are moved with it, and what could
  spell the old text again is dropped: tokens with their log-probabilities, and the event list (a value cut
  across two deltas cannot be found in either), so such a session cannot be replayed.
- `none`: no text of a client, a model or a check remains; ids, names of models, policies and checks, offsets,
  counts, scores and verdict statuses do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from guard.core.records import InterruptionRecord, Provenance, SessionRecord
from guard.core.types import (
    Channel,
    Claim,
    Closing,
    Evidence,
    Finding,
    Interruption,
    Segment,
    Summary,
    Verdict,
)
from guard.store import media
from guard.store.redactor import Redacted, Redactor

Prompts: TypeAlias = Literal["full", "redacted", "none"]

SAMPLING = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "n", "seed", "max_tokens", "max_completion_tokens", "stream"}
    | {"presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs", "top_logprobs"}
)
"""Request parameters that are numbers or switches by definition: all that `none` keeps of them."""

_WORD = re.compile(r"[a-z_]{1,32}")


def interruption(record: InterruptionRecord, prompts: Prompts, redactor: Redactor) -> InterruptionRecord:
    """The interruption record as it may be stored."""
    closing = record.closing and close(record.closing, prompts, redactor)
    source = provenance(record.provenance, prompts, redactor)
    if prompts == "full":
        return replace(record, provenance=source)
    if prompts == "none":
        cut, other = _blank_interruption(record.interruption), None
    else:
        cut = _redact_interruption(record.interruption, redactor)
        other = None if record.counterfactual is None else redactor.text(record.counterfactual)
    return replace(record, provenance=source, closing=closing, interruption=cut, counterfactual=other)


def close(closing: Closing, prompts: Prompts, redactor: Redactor) -> Closing:
    """The end of an interruption as it may be stored."""
    if prompts == "full":
        return closing
    closing = replace(closing, followed_tokens=(), answer_tokens=())
    if prompts == "none":
        return replace(closing, followed="", answer="")
    return replace(closing, followed=redactor.text(closing.followed), answer=redactor.text(closing.answer))


def session(record: SessionRecord, prompts: Prompts, redactor: Redactor) -> SessionRecord:
    """The session record as it may be stored."""
    source = provenance(record.provenance, prompts, redactor)
    if prompts == "full":
        return replace(record, provenance=source)
    if prompts == "none":
        choices, usage = tuple(map(_blank_summary, record.choices)), _numbers(record.usage)
    else:
        choices = tuple(_redact_summary(choice, redactor) for choice in record.choices)
        usage = redactor.tree(record.usage)
    return replace(record, provenance=source, choices=choices, usage=usage, events=())


def provenance(source: Provenance, prompts: Prompts, redactor: Redactor) -> Provenance:
    """Where a session came from, as it may be stored."""
    if prompts == "none":
        return _blank_provenance(source)
    source = replace(
        source,
        messages=media.strip(source.messages),
        tools=media.strip(source.tools),
        parameters=media.strip(source.parameters),
    )
    return source if prompts == "full" else _redact_provenance(source, redactor)


# redacted ------------------------------------------------------------------------------------------


def _redact_provenance(source: Provenance, redactor: Redactor) -> Provenance:
    return replace(
        source,
        user=redactor.text(source.user),
        conversation=redactor.text(source.conversation),
        messages=redactor.tree(source.messages),
        tools=redactor.tree(source.tools),
        parameters=redactor.tree(source.parameters),
        evidence=_redact_evidence(source.evidence, redactor),
    )


def _redact_evidence(evidence: Evidence, redactor: Redactor) -> Evidence:
    return Evidence(
        passages=tuple(replace(p, text=redactor.text(p.text)) for p in evidence.passages),
        question=redactor.text(evidence.question),
        unreadable=tuple(map(redactor.text, evidence.unreadable)),
    )


def _redact_interruption(cut: Interruption, redactor: Redactor) -> Interruption:
    channel, old = cut.claim.channel, cut.kept.get(cut.claim.channel, "")
    kept = {name: redactor.text(text) for name, text in cut.kept.items()}
    gone = {name: redactor.text(text) for name, text in cut.discarded.items()}
    (before, text, after), whole = redactor.parts(old, cut.claim.text, cut.discarded.get(channel, ""))
    kept |= {channel: before} if channel in kept else {}
    gone |= {channel: after} if channel in gone else {}
    return replace(
        cut,
        claim=_redact_claim(cut.claim, text, len(before) - len(old), redactor),
        kept=kept,
        discarded=gone,
        put_in=redactor.text(cut.put_in),
        reason=redactor.text(cut.reason),
        correction=redactor.text(cut.correction),
        verdicts=tuple(_redact_verdict(v, whole, len(old), cut.claim.text, redactor) for v in cut.verdicts),
    )


def _redact_claim(claim: Claim, text: str, shift: int, redactor: Redactor) -> Claim:
    start = claim.start + shift
    tool = None if claim.tool is None else redactor.text(claim.tool)
    return replace(claim, start=start, end=start + len(text), text=text, tokens=(), tool=tool)


def _redact_verdict(verdict: Verdict, where: Redacted, base: int, text: str, redactor: Redactor) -> Verdict:
    findings = tuple(_redact_finding(f, where, base, len(text), redactor) for f in verdict.findings)
    return replace(verdict, why=redactor.text(verdict.why), findings=findings)


def _redact_finding(finding: Finding, where: Redacted, base: int, length: int, redactor: Redactor) -> Finding:
    def move(offset: int) -> int:
        return where.at(base + min(offset, length)) - where.at(base)

    return replace(
        finding,
        reason=redactor.text(finding.reason),
        correction=redactor.text(finding.correction),
        evidence=redactor.text(finding.evidence),
        subject=redactor.text(finding.subject),
        start=move(finding.start),
        end=None if finding.end is None else move(finding.end),
    )


def _redact_summary(summary: Summary, redactor: Redactor) -> Summary:
    channels = {name: redactor.read(text) for name, text in summary.text.items()}
    segments: list[Segment] = []
    places: dict[int, tuple[Redacted, int, str]] = {}
    for segment in summary.segments:
        new, where, base = _redact_segment(segment, summary.text, channels, redactor)
        segments.append(new)
        places[segment.id] = (where, base, segment.text)
    nowhere = (Redacted(""), 0, "")
    return replace(
        summary,
        segments=tuple(segments),
        verdicts=tuple(_redact_verdict(v, *places.get(v.segment, nowhere), redactor) for v in summary.verdicts),
        text={name: redacted.text for name, redacted in channels.items()},
        finish_reason=_one_word(summary.finish_reason),
        error=None if summary.error is None else redactor.text(summary.error),
    )


def _redact_segment(
    segment: Segment, old: Mapping[Channel, str], channels: Mapping[Channel, Redacted], redactor: Redactor
) -> tuple[Segment, Redacted, int]:
    """The segment, and how offsets into its text move. A discarded one is not in the channel's final text."""
    tool = None if segment.tool is None else redactor.text(segment.tool)
    stands = old.get(segment.channel, "")[segment.start : segment.end] == segment.text
    if stands and segment.channel in channels:
        where = channels[segment.channel]
        start, end = where.at(segment.start), where.at(segment.end)
        return (
            replace(segment, start=start, end=end, text=where.text[start:end], tool=tool),
            where,
            segment.start,
        )
    alone = redactor.read(segment.text)
    start = channels[segment.channel].at(segment.start) if segment.channel in channels else segment.start
    end = start + len(alone.text)
    return replace(segment, start=start, end=end, text=alone.text, tool=tool), alone, 0


# none ----------------------------------------------------------------------------------------------


def _blank_provenance(source: Provenance) -> Provenance:
    conversation = hashlib.sha256(source.conversation.encode(errors="surrogatepass")).hexdigest()
    scalars = {k: v for k, v in source.parameters.items() if k in SAMPLING and isinstance(v, (int, float, type(None)))}
    return replace(
        source,
        user="",
        conversation=conversation,
        messages=None,
        tools=None,
        evidence=Evidence(),
        parameters=scalars,
    )


def _blank_interruption(cut: Interruption) -> Interruption:
    return replace(
        cut,
        claim=replace(cut.claim, text="", tokens=(), tool=None),
        kept={},
        discarded={},
        put_in="",
        reason="",
        correction="",
        verdicts=tuple(map(_blank_verdict, cut.verdicts)),
    )


def _blank_verdict(verdict: Verdict) -> Verdict:
    # A why of one word is guard's own ("deadline"); a longer one may quote what a check choked on.
    return replace(verdict, why=_one_word(verdict.why) or "", findings=tuple(map(_blank_finding, verdict.findings)))


def _blank_finding(finding: Finding) -> Finding:
    return Finding(score=finding.score, start=finding.start, end=finding.end)


def _blank_summary(summary: Summary) -> Summary:
    return replace(
        summary,
        segments=tuple(replace(s, text="", tool=None) for s in summary.segments),
        verdicts=tuple(map(_blank_verdict, summary.verdicts)),
        text={},
        finish_reason=_one_word(summary.finish_reason),
        error=None if summary.error is None else "withheld",
    )


def _one_word(text: str | None) -> str | None:
    return text if text and _WORD.fullmatch(text) else None


def _numbers(value: Any) -> Any:
    """The numbers of a nested mapping; everything else in it might be text."""
    if not isinstance(value, Mapping):
        return value if isinstance(value, (int, float)) else None
    kept = ((key, _numbers(item)) for key, item in value.items())
    return {key: item for key, item in kept if item is not None}
