"""Logs that are harvested in tests: records of every kind that an export meets, in a store and in an archive of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from guard.core.records import InterruptionRecord, Judgement, SessionRecord
from guard.core.types import Finding, Segment, Summary, Verdict
from guard.store import Database
from tests.exporters.records import IN_CONTENT, record

CITIES = ("Sydney", "Toronto", "Zürich", "Rio", "Auckland", "Lagos", "Mumbai", "Shanghai", "Istanbul", "New York")
CAPITALS = ("Canberra", "Ottawa", "Bern", "Brasília", "Wellington", "Abuja", "Delhi", "Beijing", "Ankara", "Washington")


def varied(number: int) -> InterruptionRecord:
    """A record that differs from its neighbours in all that a format looks at; every 10th is said again later."""
    one = number % 70
    city, capital = CITIES[one % 10], CAPITALS[one % 10]
    said = {
        "text": f" It is {city}.",
        "kept": {"reasoning": f"They ask for the capital, case {one}."},
        "put_in": f" No, the capital is {capital}.",
        "reason": f"{city} is not the capital.",
        "correction": f"The capital is {capital}.",
        "discarded": {"reasoning": f" {city} has an opera house."},
        "followed": f" So I say {capital}, number {one}.",
        "answer": f"{capital}.",
        "messages": [{"role": "user", "content": f"Capital number {one}?"}],
    }
    where: dict[str, Any] = IN_CONTENT | {"kept": {"content": f"Well, {one}."}} if number % 6 == 5 else {}
    return record(
        **(said | where),
        id=f"s{number:05d}.0.1",
        session=f"s{number:05d}",
        conversation=f"c{number % 40}",
        at=float(1_000 + number * 5_000),
        started=float(1_000 + number * 5_000),
        user=f"u{number % 7}",
        check=("knowledge", "grounding", "arithmetic")[number % 3],
        known=(None, 0.2, 0.9)[number % 3],
        correct=("interrupt", "retract")[number % 4 == 3],
        review=("confirmed", "confirmed", "unreviewed", "rejected", "disputed")[number % 5],
        outcome=("corrected", "corrected", "corrected", "relapsed")[number % 4],
        tools=[{"type": "function", "function": {"name": "look_up", "parameters": {}}}] if number % 11 == 0 else None,
    )


def turn(number: int, complete: bool = True) -> list[InterruptionRecord]:
    """Two interruptions of one turn, some seconds apart; `complete`: the second reaches the turn's end."""
    first = replace(varied(number * 20), review="confirmed")
    session, at = f"t{number:05d}", first.at + 0.25
    claim, begun = first.interruption.claim, first.interruption.kept["reasoning"]
    placed = replace(claim, start=len(begun), end=len(begun) + len(claim.text))
    cut = replace(first.interruption, id=f"{session}.0.1", correct="interrupt", claim=placed)
    source = replace(first.provenance, session=session, started=at)
    assert first.closing is not None
    followed = replace(first.closing, id=cut.id, outcome="corrected", answer="", complete=False)
    one = replace(first, interruption=cut, provenance=source, at=at, closing=followed, known=None)
    kept = begun + claim.text + cut.put_in + followed.followed
    other = replace(claim, text=" It is Atlantis.", start=len(kept), end=len(kept) + 16)
    again = replace(cut, id=f"{session}.0.2", number=2, claim=other, kept={"reasoning": kept})
    last = replace(first.closing, id=again.id, outcome="corrected", complete=complete)
    return [one, replace(one, interruption=again, closing=last, at=at + 5_000.0)]


def session(number: int) -> SessionRecord:
    """A session of three segments: clean, flagged or not looked at, by its number."""
    texts = (f"The question is number {number}.", " It is Sydney.", " So Canberra it is.")
    starts = (0, len(texts[0]), len(texts[0]) + len(texts[1]))
    segments = tuple(
        Segment(id=n, channel="content", start=start, end=start + len(text), text=text, attempt=0)
        for n, (start, text) in enumerate(zip(starts, texts, strict=True))
    )
    statuses = ("clean", ("flagged", "clean")[number % 2], ("clean", "unscanned")[number % 3 == 0])
    verdicts = tuple(
        Verdict(
            segment=n,
            check="grounding",
            version="1",
            status=status,  # type: ignore[arg-type]
            findings=(Finding(score=0.9, reason="Wrong.", start=1, end=5),) if status == "flagged" else (),
            disposition="observed" if status == "flagged" else "none",
        )
        for n, status in enumerate(statuses)
    )
    choice = Summary(
        choice=0,
        finish_reason="stop",
        segments=segments,
        verdicts=verdicts,
        text={"content": "".join(texts)},
        interruptions=0,
        discarded_tokens=0,
        unscanned=statuses.count("unscanned"),
    )
    source = replace(varied(number).provenance, session=f"x{number:05d}")
    return SessionRecord(provenance=source, ended=source.started + 1, choices=(choice,))


@contextmanager
def filled(
    folder: Path, records: Iterable[InterruptionRecord], sessions: Iterable[SessionRecord] = ()
) -> Iterator[Database]:
    """A store of these, open."""
    database = Database(f"sqlite:///{folder}/guard.db")
    database.open()
    try:
        with database.batch():
            for each in records:
                database.add_interruption(each)
            for whole in sessions:
                database.add_session(whole, clean_ratio=1e9)
        yield database
    finally:
        database.close()


def judged(database: Database, subject: str, ruling: Any, reviewer: str = "r") -> None:
    """Have a reviewer say something."""
    said = Judgement(id=f"{subject}-{reviewer}", subject=subject, session="", reviewer=reviewer, at=1.0, ruling=ruling)
    assert database.judge(said) is not None
