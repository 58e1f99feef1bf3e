"""The tables, and what of a record stands in their columns.

What is searched for is a column; the record itself is JSON text in one more, so that a record can grow without the
tables changing. What a database's text cannot hold (a NUL, a lone surrogate, more than an index takes) is left out of a
column; the record keeps it exactly. The tables are made by `guard.store.migrations`; a test compares.

Finding rows. A page is newest first and must be as fast for two filters that hardly meet as for one that always holds.
So every interruption names its *combination* of model, policy, check, channel, correct, late, outcome and review: of
these there are few, filters on them are answered by the small table `combination`, and the rows of each stand in order
in one index. `rev` counts the writes of a table's rows: a row that was not written since has the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, Sequence, String, Table, Text

SCHEMA = "2"
"""Of the tables; a row of `meta`."""

METADATA = MetaData()
_BIG = BigInteger().with_variant(Integer, "sqlite")

REV = Sequence("rev", metadata=METADATA, data_type=BigInteger)
"""The counter of writes; where there are no sequences, a row of `meta`."""

META = Table("meta", METADATA, Column("key", String, primary_key=True), Column("value", String, nullable=False))


def _named(*names: str) -> list[Column[str]]:
    return [Column(name, String, nullable=False) for name in names]


def _number() -> Column[int]:
    # In the order of insertion; an id is a client's to guess and orders nothing.
    return Column("seq", _BIG, primary_key=True, autoincrement=True)


COMBINATION = Table(
    "combination",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    *_named("model", "policy", "check", "channel", "correct"),
    Column("late", Boolean, nullable=False),
    *_named("outcome", "review"),  # outcome: `open` while the response runs
)
COMBINED = ("model", "policy", "check", "channel", "correct", "late", "outcome", "review")

INTERRUPTION = Table(
    "interruption",
    METADATA,
    _number(),
    Column("id", String, nullable=False, unique=True),
    Column("rev", _BIG, nullable=False),
    Column("at", Float, nullable=False),
    Column("combination", _BIG, nullable=False),
    *_named("session", "conversation", "user", "model", "policy", "check", "channel", "correct"),
    Column("late", Boolean, nullable=False),
    Column("outcome", String),  # null while the response runs
    *_named("review"),
    Column("score", Float, nullable=False),
    Column("doubt", Float, nullable=False),
    Column("tokens_wasted", _BIG, nullable=False),
    Column("delay_s", Float, nullable=False),
    *_named("prompts", "owner"),  # owner: the process that will close it
    Column("search", Text, nullable=False),
    Column("record", Text, nullable=False),
    # What a filter may ask of a row stands in the index that finds it: the row itself is long.
    Index("ix_interruption_at", "at", "seq", "combination", "score", "tokens_wasted", "delay_s"),
    Index("ix_interruption_combination", "combination", "at", "seq", "score"),
    Index("ix_interruption_user", "user", "at", "seq", "combination", "score"),
    Index("ix_interruption_conversation", "conversation", "at", "seq", "combination", "score"),
    Index("ix_interruption_session", "session", "at", "seq", "combination", "score"),
    Index("ix_interruption_score", "score", "at", "seq", "combination"),
    Index("ix_interruption_doubt", "review", "doubt", "seq"),
    Index("ix_interruption_rev", "rev"),
)

SESSION = Table(
    "session",
    METADATA,
    _number(),
    Column("id", String, nullable=False, unique=True),
    Column("rev", _BIG, nullable=False),
    Column("started", Float, nullable=False),
    *_named("conversation", "user", "model", "policy"),
    Column("flagged", Boolean, nullable=False),
    Column("interruptions", Integer, nullable=False),
    Column("unscanned", Integer, nullable=False),
    *_named("prompts"),
    Column("record", Text, nullable=False),
    Index("ix_session_started", "started", "seq"),
    Index("ix_session_conversation", "conversation"),
    Index("ix_session_user", "user"),
    Index("ix_session_policy_flagged", "policy", "flagged"),
    Index("ix_session_rev", "rev"),
)

SEGMENT = Table(
    "segment",
    METADATA,
    _number(),
    Column("id", String, nullable=False, unique=True),
    Column("at", Float, nullable=False),
    *_named("session", "conversation", "user", "check", "kind", "review"),
    Column("score", Float, nullable=False),
    Column("doubt", Float, nullable=False),
    Column("weight", Integer, nullable=False),  # a clean one stands for so many
    Column("draw", Float, nullable=False),  # 0..1 from its id: an order that nothing else follows
    Index("ix_segment_at", "at", "seq", "kind"),
    Index("ix_segment_session", "session"),
    Index("ix_segment_conversation", "conversation"),
    Index("ix_segment_user", "user"),
    Index("ix_segment_doubt", "kind", "review", "doubt", "seq"),
    Index("ix_segment_draw", "kind", "review", "draw"),
)

JUDGEMENT = Table(
    "judgement",
    METADATA,
    _number(),
    Column("id", String, nullable=False, unique=True),
    Column("at", Float, nullable=False),
    *_named("subject", "session", "reviewer", "ruling"),
    Column("record", Text, nullable=False),
    Index("ix_judgement_subject", "subject", "reviewer"),
    Index("ix_judgement_session", "session"),
    Index("ix_judgement_reviewer", "reviewer"),
)

TALLY = Table(
    "tally",
    METADATA,
    Column("hour", _BIG, primary_key=True, autoincrement=False),  # unix seconds of its beginning
    Column("model", String, primary_key=True),
    Column("policy", String, primary_key=True),
    Column("owner", String, primary_key=True),  # the process that counts: no two wait for each other
    Column("responses", _BIG, nullable=False),
    Column("interrupted", _BIG, nullable=False),
    Column("segments", _BIG, nullable=False),
    Column("unscanned", _BIG, nullable=False),
    Column("added_s", Float, nullable=False),
)

_LONGEST = 200
"""Characters of an indexed column: PostgreSQL's indexes take 2,700 bytes a row."""


def plain(value: Any) -> Any:
    """A column's value as every database can hold and index it; a long text by its beginning and its hash."""
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "replace").decode().replace("\0", "")
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 65]}#{hashlib.sha256(text.encode()).hexdigest()}"


def combination(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the combination that an interruption's row has. Its id is a hash: two processes give it the same."""
    named = {name: row[name] for name in COMBINED} | {"outcome": row["outcome"] or "open"}
    digest = hashlib.sha256(json.dumps([named[name] for name in COMBINED]).encode()).digest()
    return {"id": int.from_bytes(digest[:8], "big") >> 1, **named}


def share(text: str) -> float:
    """0..1 from a text: the same everywhere, and like nothing else about it."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:6], "big") / 2**48
