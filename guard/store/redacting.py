"""Records whose texts have gone through a session's `Redactor`, with the offsets into them moved along.

Pure functions; which record may be stored how is `privacy`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from guard.core.records import Judgement, Provenance, Revision
from guard.core.types import Channel, Claim, Evidence, Finding, Interruption, Segment, Summary, Verdict
from guard.store.blanking import one_word
from guard.store.redactor import Redacted, Redactor


def provenance(source: Provenance, redactor: Redactor) -> Provenance:
    """Where a session came from."""
    return replace(
        source,
        user=redactor.text(source.user),
        conversation=redactor.text(source.conversation),
        messages=redactor.tree(source.messages),
        tools=redactor.tree(source.tools),
        parameters=redactor.tree(source.parameters),
        evidence=_evidence(source.evidence, redactor),
    )


def _evidence(evidence: Evidence, redactor: Redactor) -> Evidence:
    return Evidence(
        passages=tuple(replace(p, text=redactor.text(p.text)) for p in evidence.passages),
        question=redactor.text(evidence.question),
        unreadable=tuple(map(redactor.text, evidence.unreadable)),
    )


def interruption(cut: Interruption, redactor: Redactor) -> Interruption:
    """What was cut; a value across the border of the claim goes to the left of it."""
    channel, old = cut.claim.channel, cut.kept.get(cut.claim.channel, "")
    kept = {name: redactor.text(text) for name, text in cut.kept.items()}
    gone = {name: redactor.text(text) for name, text in cut.discarded.items()}
    (before, text, after), whole = redactor.parts(old, cut.claim.text, cut.discarded.get(channel, ""))
    kept |= {channel: before} if channel in kept else {}
    gone |= {channel: after} if channel in gone else {}
    return replace(
        cut,
        claim=_claim(cut.claim, text, len(before) - len(old), redactor),
        kept=kept,
        discarded=gone,
        put_in=redactor.text(cut.put_in),
        reason=redactor.text(cut.reason),
        correction=redactor.text(cut.correction),
        verdicts=tuple(_verdict(v, whole, len(old), cut.claim.text, redactor) for v in cut.verdicts),
    )


def _claim(claim: Claim, text: str, shift: int, redactor: Redactor) -> Claim:
    start = claim.start + shift
    tool = None if claim.tool is None else redactor.text(claim.tool)
    return replace(claim, start=start, end=start + len(text), text=text, tokens=(), tool=tool)


def _verdict(verdict: Verdict, where: Redacted, base: int, text: str, redactor: Redactor) -> Verdict:
    findings = tuple(_finding(f, where, base, len(text), redactor) for f in verdict.findings)
    return replace(verdict, why=redactor.text(verdict.why), findings=findings)


def _finding(finding: Finding, where: Redacted, base: int, length: int, redactor: Redactor) -> Finding:
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


def summary(summary: Summary, redactor: Redactor) -> Summary:
    """A choice: its text, and its segments and findings where they stand in the new text."""
    channels = {name: redactor.read(text) for name, text in summary.text.items()}
    segments: list[Segment] = []
    places: dict[int, tuple[Redacted, int, str]] = {}
    for segment in summary.segments:
        new, where, base = _segment(segment, summary.text, channels, redactor)
        segments.append(new)
        places[segment.id] = (where, base, segment.text)
    nowhere = (Redacted(""), 0, "")
    return replace(
        summary,
        segments=tuple(segments),
        verdicts=tuple(_verdict(v, *places.get(v.segment, nowhere), redactor) for v in summary.verdicts),
        text={name: redacted.text for name, redacted in channels.items()},
        finish_reason=one_word(summary.finish_reason),
        error=None if summary.error is None else redactor.text(summary.error),
    )


def _segment(
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


def judgement(said: Judgement, redactor: Redactor) -> Judgement:
    """What a reviewer said; it may quote what is judged. The reviewer's own name stays."""
    return replace(
        said,
        label=redactor.text(said.label),
        reason=_maybe(said.reason, redactor),
        correction=_maybe(said.correction, redactor),
        note=redactor.text(said.note),
    )


def revision(revised: Revision, redactor: Redactor) -> Revision:
    """A reviewer's edit."""
    return Revision(
        label=redactor.text(revised.label),
        reason=_maybe(revised.reason, redactor),
        correction=_maybe(revised.correction, redactor),
    )


def _maybe(text: str | None, redactor: Redactor) -> str | None:
    return None if text is None else redactor.text(text)
