"""Texts with what is wrong in them marked: what the next supervisor is trained and measured on.

Knows session records and, where one is given, an encoder's tokenizer; knows neither store nor files. The rows are read
by `guard eval grounded` and `guard train grounding`, and name things as RAGTruth does; in LettuceDetect's words
`context` and `question` make the prompt, `response` is the answer and `spans` its labels. Rules:

- A response is what the model wrote in one channel, retracted claims in their places, without what guard put in: "No,"
  behind a claim would give it away. Of which segments are right, `guard.targets.labels` decides; those that nobody can
  speak for are left out.
- A wrong segment is marked where its findings say, else, or where the rest would still say it, as a whole.
- `context` is what the session could be checked against, the last question apart; "" where it was checked against facts
  or by itself alone. A detector that reads evidence learns nothing from such a row.
- How the turn went on does not matter to a label, so turns that were asked again or broke off count too.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.core.resume import lead
from guard.core.types import Evidence, Summary
from guard.errors import ConfigError
from guard.exporters import Row
from guard.targets.example import Open, conversation
from guard.targets.labels import Labelled, claims, labelled
from guard.targets.repeats import repeats
from guard.targets.rows import served
from guard.targets.selection import counted, select
from guard.targets.tokens import IGNORED


class Span(NamedTuple):
    """Characters that are wrong, and the check that says so; "" where a reviewer does."""

    start: int
    end: int
    check: str


class Spans:
    """The exporter."""

    def select(
        self, records: Iterable[InterruptionRecord], *, unreviewed: bool = False, trusted: Collection[str] = ()
    ) -> Iterator[InterruptionRecord]:
        """`guard.targets.selection.select`."""
        return select(records, unreviewed=unreviewed, trusted=trusted)

    def rows(
        self,
        records: Iterable[InterruptionRecord],
        *,
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """Raises ConfigError: an interruption alone does not say what was right."""
        raise ConfigError("spans rows are made of whole sessions, not of interruptions: use session_rows")

    def session_rows(
        self,
        sessions: Iterable[SessionRecord],
        reviews: Mapping[str, Review],
        *,
        unreviewed: bool = False,
        trusted: Collection[str] = (),
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """One row a channel of a choice, in order: `question`, `context`, `response`, `hallucinated` and `spans`
        ({start, end, label, check}; characters of the response). With a tokenizer, which needs no chat template and
        must be a fast one, also `input_ids` and `labels` (1: wrong, 0: right, -100: context)."""
        for session in sessions:
            for choice in session.choices:
                name = session.provenance.session
                segments = labelled(name, choice, reviews, unreviewed=unreviewed, trusted=trusted)
                yield from counted(_rows(session, choice, segments, tokenizer), skipped)


plugin = Spans()


def _rows(
    session: SessionRecord, choice: Summary, segments: Sequence[Labelled], tokenizer: Any | None
) -> Iterator[dict[str, Any] | str]:
    messages = session.provenance.messages
    if not isinstance(messages, (list, tuple)):
        yield "no text"
        return
    for channel, at in _begun(messages):
        of_channel = [each for each in segments if each.segment.channel == channel]
        if of_channel:
            row = _row(session, choice, of_channel, at, claims(segments))
            told = row if isinstance(row, str) or tokenizer is None else _with_tokens(row, tokenizer)
            yield told if isinstance(told, str) else {"id": f"{_name(session, choice)}.{channel}"} | told


def _begun(messages: Sequence[Any]) -> tuple[tuple[Open, int], tuple[Open, int]]:
    """How much of each channel the client sent as the beginning of the turn."""
    given = conversation(messages)
    # What cannot be read as a chat has no such beginning either.
    _, thought, said = ((), "", "") if isinstance(given, str) else given
    return ("reasoning", len(thought)), ("content", len(said))


def _name(session: SessionRecord, choice: Summary) -> str:
    return f"{session.provenance.session}.{choice.choice}"


def _row(
    session: SessionRecord, choice: Summary, segments: Sequence[Labelled], at: int, wrong: Sequence[str]
) -> dict[str, Any] | str:
    text, spans = "", []
    for each in segments:
        if each.wrong is None:
            continue
        said = each.segment.text[max(0, at - each.segment.start) :]
        spans += [Span(len(text) + start, len(text) + end, check) for start, end, check in _marks(each, said)]
        text += said
    if not text.strip():
        return "no segment judged"
    if any(repeats(claim, clean) for clean in _unmarked(text, spans) for claim in wrong):
        return "claim cannot be marked"
    source = session.provenance
    about = {"version": session.version, "channel": segments[0].segment.channel} | served(source)
    return about | {
        "dataset": "guard",
        "question": source.evidence.question,
        "context": _context(source.evidence),
        "response": text,
        "hallucinated": bool(spans),
        "spans": [{"start": s.start, "end": s.end, "label": "confabulated", "check": s.check} for s in spans],
    }


def _context(evidence: Evidence) -> str:
    """All that there was to check against, but for the question."""
    passages = (p.text for p in evidence.passages if not (p.source == "user" and p.text == evidence.question))
    return "\n\n".join(text for text in passages if text.strip())


def _marks(each: Labelled, said: str) -> list[Span]:
    """Where a segment is wrong, in the characters of what is said of it."""
    if not each.wrong:
        return []
    gone = len(each.segment.text) - len(said)
    found = [
        Span(max(0, finding.start - gone), min(finding.end - gone, len(said)), verdict.check)
        for verdict in each.verdicts
        if verdict.status == "flagged"
        for finding in verdict.findings
        if finding.end is not None
    ]
    marks = _merged(span for span in found if span.start < span.end)
    if marks and not any(repeats(said, clean) for clean in _unmarked(said, marks)):
        return marks
    check = next((verdict.check for verdict in each.verdicts if verdict.status == "flagged"), "")
    start = len(lead(said))
    start = start if said[start:].strip() else 0
    return [Span(start, len(said), check)] if said.strip() else []


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            first = merged.pop()
            span = Span(first.start, max(first.end, span.end), first.check)
        merged.append(span)
    return merged


def _unmarked(text: str, spans: Sequence[Span]) -> Iterator[str]:
    at = 0
    for span in spans:
        yield text[at : span.start]
        at = span.end
    yield text[at:]


def _with_tokens(row: dict[str, Any], tokenizer: Any) -> dict[str, Any] | str:
    """The row with the tokens of context, question and response, each of the response's with its label."""
    asked = "\n\n".join(text for text in (row["context"], row["question"]) if text)
    try:
        found = tokenizer(asked, row["response"], return_offsets_mapping=True)
        sides = found.sequence_ids()
    except (UnicodeError, TypeError, NotImplementedError, ValueError):
        return "not text-exact"  # a lone surrogate; or offsets, which a slow tokenizer does not know
    labels = [
        IGNORED if side != 1 else int(any(start < span["end"] and end > span["start"] for span in row["spans"]))
        for side, (start, end) in zip(sides, found["offset_mapping"], strict=True)
    ]
    return row | {"input_ids": list(found["input_ids"]), "labels": labels}
