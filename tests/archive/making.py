"""Records to archive, and what an archive holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from guard.archive import Archive, archive, partition
from guard.archive import rows as parquet
from guard.archive.manifest import TABLES, TableName
from guard.archive.rows import groups
from guard.core.records import InterruptionRecord, Judgement, Provenance, SessionRecord
from guard.core.types import Claim, Closing, Evidence, Finding, Interruption, Summary, Verdict
from guard.store import Database

DAY = 86_400.0


def make_small(setattr_: Callable[[Any, str, Any], object] = setattr, rows: int = 4) -> None:
    """Files of a few rows, row groups of fewer and rounds of one more."""
    setattr_(partition, "TARGET", dict.fromkeys(TABLES, rows))
    setattr_(archive, "ROUND_ROWS", rows + 1)
    setattr_(archive, "_PAGE", dict.fromkeys(TABLES, rows + 1))
    setattr_(parquet, "GROUP_ROWS", rows - 1)
    setattr_(parquet, "_STEP", 1)


def provenance(session: str, user: str = "u", **changes: Any) -> Provenance:
    source = Provenance(
        session=session,
        started=changes.pop("started", DAY),
        conversation=f"c-{user}",
        user=user,
        model="m",
        policy_model="pm",
        backend="scripted",
        policy="default",
        policy_hash="h",
        messages=[{"role": "user", "content": f"hello from {user}"}],
        evidence=Evidence(question="Who built the château?"),
    )
    return dataclasses.replace(source, **changes)


def interruption(
    key: str, *, at: float = DAY, session: str = "s", user: str = "u", check: str = "phrase", score: float = 0.5
) -> InterruptionRecord:
    finding = Finding(score=score, reason="r", correction="c", evidence="e", start=0, end=1)
    cut = Interruption(
        id=key,
        choice=0,
        number=1,
        attempt=0,
        correct="interrupt",
        late=False,
        claim=Claim(channel="reasoning", start=5, end=11, text=f"The claim {key}.\ud800\0"),
        kept={"reasoning": "kept "},
        discarded={},
        put_in=" No, it was not.",
        reason="r",
        correction="c",
        check=check,
        verdicts=(Verdict(segment=0, check=check, version="1", status="flagged", findings=(finding,)),),
        delay=0,
        tokens_wasted=0,
    )
    return InterruptionRecord(interruption=cut, provenance=provenance(session, user), at=at, delay_s=0.1)


def session(key: str, *, user: str = "u", started: float = DAY) -> SessionRecord:
    verdict = Verdict(segment=0, check="x", version="1", status="flagged")
    summary = Summary(
        choice=0,
        finish_reason="stop",
        segments=(),
        verdicts=(verdict,),
        text={"content": "hi"},
        interruptions=1,
        discarded_tokens=0,
        unscanned=0,
    )
    return SessionRecord(provenance=provenance(key, user, started=started), ended=started + 1, choices=(summary,))


def closed(key: str) -> Closing:
    return Closing(id=key, outcome="corrected", continuation="token_exact", followed=" Right.", complete=True)


def judgement(key: str, subject: str, ruling: Any, reviewer: str = "r") -> Judgement:
    return Judgement(id=key, subject=subject, session="s", reviewer=reviewer, at=1.0, ruling=ruling)


def add(database: Database, key: str, **given: Any) -> None:
    """An interruption that has ended."""
    database.add_interruption(interruption(key, **given))
    database.close_interruptions([closed(key)])


def rows(place: Archive, table: TableName) -> list[tuple[float, str, str, str]]:
    """`at`, `id`, `user` and `record` of all rows, as they stand."""
    storage = place._ledger.storage
    parts = [group for file in place.files(table) for group in groups(storage, file)]
    columns = ("at", "id", "user", "record")
    return [row for part in parts for row in zip(*(part[name].to_pylist() for name in columns), strict=True)]


def stored(database: Database, table: TableName) -> list[tuple[float, str, str, str]]:
    """The same of a store, of what has ended."""
    changes = database.changes(table, 0, 1_000_000)
    return sorted((change.at, change.id, change.user, change.record) for change in changes)


def assert_same(place: Archive, database: Database) -> None:
    """The archive holds what the store does, each row once, in order, and no file besides."""
    for table in TABLES:
        assert rows(place, table) == stored(database, table)
    storage = place._ledger.storage
    assert {path for table in TABLES for path in storage.find(table)} == set(place._ledger.newest().paths)
    compared = place.verify(database)
    assert compared.is_whole
    assert (compared.waiting, compared.only_here) == (0, 0)
    assert compared.same == sum(len(stored(database, table)) for table in TABLES)
