"""Schema 2: rows found by any two filters and by their words, judgements, segments, hourly counts, numbered writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa
from alembic import op

from guard.errors import StoreError
from guard.store.migrations import v2_segments, v2_words

revision = "2"
down_revision = "1"
T = TypeVar("T")

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_BATCH = 500
_LONGEST = 200
_SEARCHED = 20_000
_COMBINED = ("model", "policy", "check", "channel", "correct", "late", "outcome", "review")
_INDEXES = {
    "interruption": (
        ("at", "seq", "combination", "score", "tokens_wasted", "delay_s"),
        ("combination", "at", "seq", "score"),
        ("user", "at", "seq", "combination", "score"),
        ("conversation", "at", "seq", "combination", "score"),
        ("session", "at", "seq", "combination", "score"),
        ("score", "at", "seq", "combination"),
        ("rev",),
    ),
    "session": (("started", "seq"), ("conversation",), ("user",), ("rev",)),
    "segment": (("at", "seq", "kind"), ("session",), ("conversation",), ("user",)),
    "judgement": (("session",), ("reviewer",)),
}
_NAMED_INDEXES = (
    ("ix_interruption_doubt", "interruption", ["review", "doubt", "seq"]),
    ("ix_session_policy_flagged", "session", ["policy", "flagged"]),
    ("ix_segment_doubt", "segment", ["kind", "review", "doubt", "seq"]),
    ("ix_segment_draw", "segment", ["kind", "review", "draw"]),
    ("ix_judgement_subject", "judgement", ["subject", "reviewer"]),
)

_COUNTER = {"sqlite": "INSERT INTO meta VALUES ('rev', '0')", "postgresql": "CREATE SEQUENCE rev AS BIGINT"}


def upgrade() -> None:
    """Make the tables anew and move the rows over."""
    _put_aside("interruption", "at")
    _put_aside("session", "started")
    _make_tables()
    dialect = op.get_bind().dialect.name
    for statement in (_COUNTER[dialect], *v2_words.STATEMENTS[dialect]):
        op.execute(statement)
    _move_rows()
    for name in ("interruption", "session"):
        op.drop_table(f"{name}_1")
    _make_indexes()
    op.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")


def _put_aside(name: str, when: str) -> None:
    """Out of the new table's way, its names too; with an index, or each page would sort all that is left."""
    bind = op.get_bind()
    for index in sa.inspect(bind).get_indexes(name):
        op.drop_index(str(index["name"]), name)
    op.rename_table(name, f"{name}_1")
    if bind.dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {name}_pkey RENAME TO {name}_1_pkey")
    op.create_index(f"ix_{name}_1", f"{name}_1", [when, "id"])


def _named(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, _BIG, nullable=False) for name in names]


def _floats(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Float, nullable=False) for name in names]


def _keyed() -> list[sa.Column[Any]]:
    return [sa.Column("seq", _BIG, primary_key=True), sa.Column("id", sa.String, nullable=False, unique=True)]


def _make_tables() -> None:
    op.create_table(
        "combination",
        sa.Column("id", _BIG, primary_key=True, autoincrement=False),
        *_named("model", "policy", "check", "channel", "correct"),
        sa.Column("late", sa.Boolean, nullable=False),
        *_named("outcome", "review"),
    )
    op.create_table(
        "interruption",
        *_keyed(),
        *_numbers("rev"),
        *_floats("at"),
        *_numbers("combination"),
        *_named("session", "conversation", "user", "model", "policy", "check", "channel", "correct"),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.String),
        *_named("review"),
        *_floats("score", "doubt"),
        *_numbers("tokens_wasted"),
        *_floats("delay_s"),
        *_named("prompts", "owner"),
        sa.Column("search", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "session",
        *_keyed(),
        *_numbers("rev"),
        *_floats("started"),
        *_named("conversation", "user", "model", "policy"),
        sa.Column("flagged", sa.Boolean, nullable=False),
        sa.Column("interruptions", sa.Integer, nullable=False),
        sa.Column("unscanned", sa.Integer, nullable=False),
        *_named("prompts"),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "segment",
        *_keyed(),
        *_floats("at"),
        *_named("session", "conversation", "user", "check", "kind", "review"),
        *_floats("score", "doubt"),
        sa.Column("weight", sa.Integer, nullable=False),
        *_floats("draw"),
    )
    op.create_table(
        "judgement",
        *_keyed(),
        *_floats("at"),
        *_named("subject", "session", "reviewer", "ruling"),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "tally",
        sa.Column("hour", _BIG, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.String, primary_key=True) for name in ("model", "policy", "owner")),
        *_numbers("responses", "interrupted", "segments", "unscanned"),
        *_floats("added_s"),
    )


def _make_indexes() -> None:
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            op.create_index(f"ix_{table}_{columns[0]}", table, list(columns))
    for name, table, columns_ in _NAMED_INDEXES:
        op.create_index(name, table, columns_)


def _move_rows() -> None:
    number = 0
    combinations: dict[int, dict[str, Any]] = {}
    for page in _pages("interruption_1", "at"):
        for seq, row in enumerate(page, number + 1):
            row |= _read(row, _found) | {"seq": seq, "rev": seq}
            combined = _combination(row)
            combinations[combined["id"]] = combined
            row["combination"] = combined["id"]
        number += len(page)
        _insert("interruption", page)
    _insert("combination", list(combinations.values()))
    sessions = 0
    for page in _pages("session_1", "started"):
        segments = [segment for row in page for segment in _read(row, v2_segments.segments)]
        for seq, row in enumerate(page, sessions + 1):
            row |= {"seq": seq, "rev": number + seq}
        _insert("session", page)
        _insert("segment", segments)
        sessions += len(page)
    if op.get_bind().dialect.name == "sqlite":
        op.execute(sa.text("UPDATE meta SET value = :rev WHERE key = 'rev'").bindparams(rev=str(number + sessions)))
        return
    _set_counter(sa.func.pg_get_serial_sequence("interruption", "seq"), number)
    _set_counter(sa.func.pg_get_serial_sequence("session", "seq"), sessions)
    _set_counter("rev", number + sessions)


def _read(row: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T:
    try:
        return read(json.loads(row["record"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"stored record {row['id']!r} cannot be read ({error!r}); nothing was upgraded") from error


def _set_counter(name: Any, last: int) -> None:
    if last:
        op.get_bind().execute(sa.select(sa.func.setval(name, last)))


def _pages(name: str, when: str) -> Iterator[list[dict[str, Any]]]:
    """The old rows, oldest first, so many in memory at a time."""
    table = sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())
    key = sa.tuple_(table.c[when], table.c.id)
    query = sa.select(table).order_by(table.c[when], table.c.id).limit(500)
    page = [dict(row) for row in op.get_bind().execute(query).mappings()]
    while page:
        last = sa.tuple_(sa.literal(page[-1][when]), sa.literal(page[-1]["id"]))
        yield page
        page = [dict(row) for row in op.get_bind().execute(query.where(key > last)).mappings()]


def _insert(table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in rows[0]]
        made = [{name: _plain(name, value) for name, value in row.items()} for row in rows]
        op.get_bind().execute(sa.table(table, *columns).insert(), made)


def _found(record: dict[str, Any]) -> dict[str, Any]:
    """The new columns from a record of version 1."""
    cut = record["interruption"]
    verdicts = cut.get("verdicts") or []
    ran = [verdict["status"] for verdict in verdicts if verdict["status"] in ("clean", "flagged")]
    scores = [float(finding["score"]) for verdict in verdicts[:1] for finding in verdict.get("findings") or []]
    score = max(scores, default=0.0)
    question = (record["provenance"].get("evidence") or {}).get("question") or ""
    return {
        "score": score,
        "doubt": 1 - score + (ran.count("clean") / len(ran) if ran else 0.0),
        "tokens_wasted": cut["tokens_wasted"],
        "delay_s": float(record["delay_s"]),
        "search": v2_words.words("\n".join((cut["claim"]["text"], cut["put_in"], question))[:_SEARCHED]),
    }


def _combination(row: dict[str, Any]) -> dict[str, Any]:
    named = {name: _plain(name, row[name]) for name in _COMBINED} | {"outcome": row["outcome"] or "open"}
    digest = hashlib.sha256(json.dumps([named[name] for name in _COMBINED]).encode()).digest()
    return {"id": int.from_bytes(digest[:8], "big") >> 1, **named}


def _plain(name: str, value: Any) -> Any:
    if not isinstance(value, str) or name == "record":
        return value
    text = value.encode("utf-8", "replace").decode().replace("\0", "")
    if name == "search" or len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 65]}#{hashlib.sha256(text.encode()).hexdigest()}"
