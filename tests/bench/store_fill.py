"""Fills a store with synthetic rows through its own tables, indexes and triggers."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from guard.core.records import Judgement
from guard.store import Database
from guard.store.rows import judgement_row
from guard.store.schema import COMBINATION, INTERRUPTION, JUDGEMENT, META, SEGMENT, share
from tests.bench import store_rows

_CHUNK = 2000


def fill(database: Database, rows: int) -> None:
    """Write the rows, judgements of what is reviewed, segments and hourly counts."""
    rng = random.Random(1)
    sample: list[dict[str, Any]] = []
    begun = time.monotonic()
    for start, chunk in _chunks(store_rows.specs(rows)):
        made = [store_rows.row(spec) | {"rev": start + at} for at, spec in enumerate(chunk, 1)]
        sample.append(rng.choice(chunk))
        _write(database, made)
        if start % 100_000 == 0 and start:
            print(f"  {start:,} rows in {time.monotonic() - begun:.0f} s", flush=True)
    store_rows.check(sample)
    _settle(database, rows)


def _chunks(specs: Iterator[dict[str, Any]]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    start, chunk = 0, []
    for spec in specs:
        chunk.append(spec)
        if len(chunk) == _CHUNK:
            yield start, chunk
            start, chunk = start + _CHUNK, []
    if chunk:
        yield start, chunk


def _write(database: Database, made: list[dict[str, Any]]) -> None:
    kinds = {row["combination"]: store_rows.combination_row(row) for row in made}
    judged = [judgement_row(said) for row in made if row["review"] != "unreviewed" for said in _judgements(row)]
    with database._writing() as connection:
        for kind in kinds.values():
            connection.execute(database._insert(COMBINATION).values(kind).on_conflict_do_nothing())
        connection.execute(INTERRUPTION.insert(), made)
        connection.execute(SEGMENT.insert(), [_segment(row) for row in made[::10]])
        if judged:
            connection.execute(JUDGEMENT.insert(), judged)
    for row in made[::200]:
        database.tally(row["model"], row["policy"], at=row["at"], responses=400, interrupted=200, segments=4000)


def _judgements(row: dict[str, Any]) -> Iterator[Judgement]:
    both = ("confirmed", "rejected") if row["review"] == "disputed" else (row["review"],)
    for number, ruling in enumerate(both):
        reviewer = "busy" if number else f"reviewer{row['rev'] % 7}"
        key = f"{row['id']}:{number}"
        yield Judgement(
            id=key, subject=row["id"], session=row["session"], reviewer=reviewer, at=row["at"], ruling=ruling
        )


def _segment(row: dict[str, Any]) -> dict[str, Any]:
    names = ("at", "session", "conversation", "user", "check", "score")
    kind = "clean" if row["rev"] % 3 == 0 else "flagged"
    key = f"{row['session']}.0#{row['rev']}"
    told = {"id": key, "kind": kind, "review": "unreviewed", "doubt": row["score"], "weight": 9, "draw": share(key)}
    return {name: row[name] for name in names} | told


def _settle(database: Database, rows: int) -> None:
    """The counter of writes, and what a database does by itself in time."""
    with database._writing() as connection:
        if database.dialect == "sqlite":
            connection.execute(META.update().where(META.c.key == "rev").values(value=str(rows)))
        else:
            connection.execute(sa.text(f"SELECT setval('rev', {rows})"))
    with database._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if database.dialect == "postgresql":
            connection.execute(sa.text("VACUUM ANALYZE"))
