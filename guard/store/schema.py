"""The tables, and how a record becomes a row.

What is searched for is a column; the record itself is JSON text in one more, so that a record can grow
without the tables changing. Nothing here is of one database only. What a database's text cannot hold (a NUL,
a lone surrogate) is left out of a column; the record keeps it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Float, Index, Integer, MetaData, String, Table, Text

from guard.core.records import InterruptionRecord, Provenance, Review, SessionRecord
from guard.core.types import Channel, Outcome
from guard.store.codec import encode

SCHEMA = "1"
"""Of the tables; a row of `meta`."""

METADATA = MetaData()

META = Table("meta", METADATA, Column("key", String, primary_key=True), Column("value", String, nullable=False))


def _found(name: str) -> Column[str]:
    return Column(name, String, nullable=False, index=True)


INTERRUPTION = Table(
    "interruption",
    METADATA,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    _found("session"),
    _found("conversation"),
    _found("user"),
    _found("model"),
    _found("policy"),
    _found("check"),
    Column("channel", String, nullable=False),
    Column("correct", String, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("outcome", String, index=True),  # null while the response runs
    _found("review"),
    Column("prompts", String, nullable=False),
    Column("owner", String, nullable=False),  # the process that will close it
    Column("record", Text, nullable=False),
    Index("ix_interruption_at_id", "at", "id"),
)

SESSION = Table(
    "session",
    METADATA,
    Column("id", String, primary_key=True),
    Column("started", Float, nullable=False),
    _found("conversation"),
    _found("user"),
    _found("model"),
    _found("policy"),
    Column("flagged", Boolean, nullable=False),
    Column("interruptions", Integer, nullable=False),
    Column("unscanned", Integer, nullable=False),
    Column("prompts", String, nullable=False),
    Column("record", Text, nullable=False),
    Index("ix_session_started_id", "started", "id"),
    Index("ix_session_policy_flagged", "policy", "flagged"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records; what is None does not restrict.

    Attributes:
        since, until: unix seconds, half-open: when the turn was cut (a session: when its request arrived).
        outcome: ``open`` finds interruptions whose response still runs.
        before: an id; only rows older than that one (the next page).
        limit: at most so many.
    """

    outcome: Outcome | str | None = None
    check: str | None = None
    policy: str | None = None
    model: str | None = None
    channel: Channel | str | None = None
    review: Review | str | None = None
    session: str | None = None
    conversation: str | None = None
    user: str | None = None
    since: float | None = None
    until: float | None = None
    flagged: bool | None = None
    before: str | None = None
    limit: int | None = None


_EQUAL = ("check", "policy", "model", "channel", "review", "session", "conversation", "user", "flagged")


def clauses(table: Table, wanted: Filter) -> list[ColumnElement[bool]]:
    """The filter as conditions on a table; fields that the table has no column for do not restrict it."""
    named = {"id" if table is SESSION and name == "session" else name: getattr(wanted, name) for name in _EQUAL}
    found = [table.c[name] == plain(v) for name, v in named.items() if v is not None and name in table.c]
    time = table.c.started if table is SESSION else table.c.at
    if wanted.since is not None:
        found.append(time >= wanted.since)
    if wanted.until is not None:
        found.append(time < wanted.until)
    if wanted.outcome is not None and table is INTERRUPTION:
        is_open = wanted.outcome == "open"
        found.append(table.c.outcome.is_(None) if is_open else table.c.outcome == wanted.outcome)
    return found


def interruption_row(record: InterruptionRecord, *, prompts: str, owner: str) -> dict[str, Any]:
    """The row of an interruption record."""
    cut = record.interruption
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
        "prompts": prompts,
        "owner": owner,
    }
    return _row(found | _source(record.provenance), record)


def session_row(record: SessionRecord, *, prompts: str) -> dict[str, Any]:
    """The row of a session record."""
    found = {
        "id": record.provenance.session,
        "started": record.provenance.started,
        "flagged": record.flagged,
        "interruptions": sum(choice.interruptions for choice in record.choices),
        "unscanned": sum(choice.unscanned for choice in record.choices),
        "prompts": prompts,
    }
    return _row(found | _source(record.provenance), record)


def _source(source: Provenance) -> dict[str, str]:
    return {name: getattr(source, name) for name in ("conversation", "user", "model", "policy")}


def _row(found: Mapping[str, Any], record: object) -> dict[str, Any]:
    return {name: plain(value) for name, value in found.items()} | {"record": encode(record)}


def plain(value: Any) -> Any:
    """A column's value as every database can hold it."""
    return value.encode("utf-8", "replace").decode().replace("\0", "") if isinstance(value, str) else value
