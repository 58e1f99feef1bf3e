"""The store's benchmark works: its rows are the store's own, and every question has an answer. Nothing is timed."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from guard.store import Database, Filter
from guard.store.schema import INTERRUPTION
from tests.bench import store_rows
from tests.bench.store_cases import cases
from tests.bench.store_fill import fill
from tests.bench.store_rows import NOW, RARE_WORD
from tests.bench.store_scale import measure, table


def rows(database: Database) -> list[dict[str, object]]:
    with database._engine.connect() as connection:
        found = [
            dict(row) for row in connection.execute(sa.select(INTERRUPTION).order_by(INTERRUPTION.c.seq)).mappings()
        ]
    return [{name: value for name, value in row.items() if name != "rev"} for row in found]


def opened(file: Path) -> Database:
    database = Database(f"sqlite:///{file}", clock=lambda: NOW)
    database.open()
    return database


def test_a_row_is_what_adding_its_record_writes(tmp_path: Path) -> None:
    fast, slow = opened(tmp_path / "fast.db"), opened(tmp_path / "slow.db")
    fill(fast, 60)
    for spec in store_rows.specs(60):
        slow.add_interruption(store_rows.record(spec))
    assert rows(fast) == rows(slow)
    wanted = Filter(text=RARE_WORD)
    assert fast.count(wanted) == slow.count(wanted) == 8
    fast.close()
    slow.close()


def test_every_question_has_an_answer(tmp_path: Path) -> None:
    database = opened(tmp_path / "guard.db")
    fill(database, 300)
    groups = measure(database, "filter", 1)
    assert {group.name for group in groups} == {
        "page, one filter",
        "count, one filter",
        "page, two filters",
        "count, two filters",
    }
    assert "page, one filter" in table([group.report() for group in groups])
    for name, _, ask in cases(database):
        if not name.startswith(("page", "count", "deep")):
            ask()
    database.close()
