"""What a reviewer in the terminal is shown of an interruption or of a statement that was let pass.

Every text is a model's, a client's or a check's: it goes through `printable`, so that none can steer the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from guard.cli.reading import printable
from guard.core.records import InterruptionRecord, Judgement
from guard.core.types import Verdict
from guard.store import SegmentRecord, Subject

BEFORE = 600
"""Characters of the text before a claim."""

LONG = 2000
"""Characters of any other text."""

_LABEL = 10


def of_interruption(record: InterruptionRecord, said: Sequence[Judgement]) -> Iterator[str]:
    """What was asked, what the finding rests on, the turn up to the claim, and what guard put in."""
    made, closing = record.interruption, record.closing
    yield from _field("asked", record.provenance.evidence.question)
    yield from _evidence(made.verdicts)
    yield from _field("before", made.kept.get(made.claim.channel, ""), tail=BEFORE)
    yield from _field("claim", made.claim.text)
    yield from _field("put in", made.put_in or f"No, {made.reason} {made.correction}")
    yield from _field("then", closing.followed if closing else "", head=BEFORE)
    yield from _verdicts(made.verdicts)
    yield from _said(said)


def of_segment(record: SegmentRecord, said: Sequence[Judgement]) -> Iterator[str]:
    """The same of a statement that guard let pass."""
    yield from _field("asked", record.provenance.evidence.question)
    yield from _evidence(record.verdicts)
    yield from _field("before", record.before, tail=BEFORE)
    yield from _field("claim", record.segment.text)
    yield from _field("guard", "let it pass")
    yield from _verdicts(record.verdicts)
    yield from _said(said)


def heading(subject: Subject, place: int, of: int) -> str:
    """One line: how far the review is, and why this is asked."""
    about = (subject.id, subject.kind, subject.check, f"{subject.score:.2f}", subject.why)
    return f"[{place}/{of}] " + "  ".join(line(part) for part in about if part)


def line(text: str) -> str:
    """Text on one line."""
    return " ".join(printable(text).split())


def _evidence(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """The quotes that findings rest on, each once."""
    quoted = dict.fromkeys(f.evidence.strip() for v in verdicts for f in v.findings if f.evidence.strip())
    for quote in quoted:
        yield from _field("evidence", quote)


def _verdicts(verdicts: Iterable[Verdict]) -> Iterator[str]:
    for verdict in verdicts:
        surest = max(verdict.findings, key=lambda f: f.score, default=None)
        told = f"{verdict.check} {verdict.status.replace('_', ' ')}"
        told += f" {surest.score:.2f}: {surest.reason} {surest.correction}" if surest else ""
        yield from _field("check", f"{told} ({verdict.why})" if verdict.why else told)


def _said(judgements: Iterable[Judgement]) -> Iterator[str]:
    for one in judgements:
        words = (one.reviewer, one.ruling, one.label, one.reason, one.correction, one.note)
        yield from _field("judged", "  ".join(word for word in words if word))


def _field(name: str, text: str, *, head: int = LONG, tail: int | None = None) -> Iterator[str]:
    whole = line(text)
    if not whole:
        return
    if tail is not None:
        short = whole if len(whole) <= tail else f"…{whole[1 - tail :]}"
    else:
        short = whole if len(whole) <= head else f"{whole[: head - 1]}…"
    yield f"  {name:<{_LABEL}}{short}"
