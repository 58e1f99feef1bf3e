"""What of a record may be written down: `full`, `redacted` or `none` (a policy's `record.prompts`).

Pure functions from record to record; knows neither tables nor files. What the store derives from a record (a
segment of its own, the text that is searched) it derives from what these return. Rules:

- In every mode media are type and hash.
- `redacted`: every text goes through the session's `Redactor`, offsets are moved with it, and what could
  spell the old text again is dropped: tokens with their log-probabilities, and the event list (a value cut
  across two deltas cannot be found in either), so such a session cannot be replayed.
- `none`: no text of a client, a model, a check or a reviewer remains; ids, names of models, policies, checks and
  reviewers, offsets, counts, scores, verdict statuses and rulings do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from guard.core.records import InterruptionRecord, Judgement, Provenance, Revision, SessionRecord
from guard.core.types import Closing
from guard.store import blanking, media, redacting
from guard.store.redactor import Redactor

Prompts: TypeAlias = Literal["full", "redacted", "none"]


def interruption(record: InterruptionRecord, prompts: Prompts, redactor: Redactor) -> InterruptionRecord:
    """The interruption record as it may be stored."""
    closing = record.closing and close(record.closing, prompts, redactor)
    source = provenance(record.provenance, prompts, redactor)
    revised = record.revised and revision(record.revised, prompts, redactor)
    if prompts == "full":
        return replace(record, provenance=source)
    if prompts == "none":
        cut, other = blanking.interruption(record.interruption), None
    else:
        cut = redacting.interruption(record.interruption, redactor)
        other = None if record.counterfactual is None else redactor.text(record.counterfactual)
    return replace(record, provenance=source, closing=closing, interruption=cut, counterfactual=other, revised=revised)


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
        choices, usage = tuple(map(blanking.summary, record.choices)), blanking.numbers(record.usage)
    else:
        choices = tuple(redacting.summary(choice, redactor) for choice in record.choices)
        usage = redactor.tree(record.usage)
    return replace(record, provenance=source, choices=choices, usage=usage, events=())


def judgement(said: Judgement, prompts: Prompts, redactor: Redactor) -> Judgement:
    """What a reviewer said, as it may be stored beside a record of these `prompts`."""
    if prompts == "full":
        return said
    return blanking.judgement(said) if prompts == "none" else redacting.judgement(said, redactor)


def revision(revised: Revision, prompts: Prompts, redactor: Redactor) -> Revision | None:
    """A reviewer's edit as it may be stored."""
    if prompts == "full":
        return revised
    return None if prompts == "none" else redacting.revision(revised, redactor)


def provenance(source: Provenance, prompts: Prompts, redactor: Redactor) -> Provenance:
    """Where a session came from, as it may be stored."""
    if prompts == "none":
        return blanking.provenance(source)
    source = replace(
        source,
        messages=media.strip(source.messages),
        tools=media.strip(source.tools),
        parameters=media.strip(source.parameters),
    )
    return source if prompts == "full" else redacting.provenance(source, redactor)
