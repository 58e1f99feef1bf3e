"""Pages, counts and words: whatever way the rows are found, they are the same."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from guard.core.records import InterruptionRecord
from guard.core.types import Claim, Closing, Evidence
from guard.store import Database, Filter, paging
from guard.store.rows import surest
from guard.store.words import words
from tests.store.records import provenance, scored

VOCABULARY = ("alpha", "beta", "Gammä", "delta-wing", "alphabet")


def record(number: int, rng: random.Random) -> InterruptionRecord:
    made = scored(number, rng.choice([0.2, 0.9, 0.95]), "clean", session=f"s{number // 3}", at=float(number // 4))
    cut, channel = made.interruption, rng.choice(["content", "reasoning"])
    source = provenance(
        f"s{number // 3}",
        model=rng.choice(["m", "n"]),
        policy=rng.choice(["p", "q", "r"]),
        user=rng.choice(["", "u", "v"]),
        conversation=f"c{number % 5}",
        evidence=Evidence(question=rng.choice(VOCABULARY)),
    )
    claim = Claim(channel=channel, start=5, end=11, text=rng.choice(VOCABULARY))  # type: ignore[arg-type]
    cut = dataclasses.replace(
        cut,
        claim=claim,
        check=rng.choice(["x", "y"]),
        late=rng.random() < 0.3,
        correct=rng.choice(["interrupt", "retract"]),
        put_in=rng.choice(VOCABULARY),
    )
    review = rng.choice(["unreviewed", "confirmed", "rejected"])
    closing = Closing(id=cut.id, outcome="corrected", continuation=None, followed="") if rng.random() < 0.7 else None
    return dataclasses.replace(made, interruption=cut, provenance=source, review=review, closing=closing)  # type: ignore[arg-type]


@pytest.fixture
def filled(database: Database) -> tuple[Database, list[InterruptionRecord]]:
    rng = random.Random(3)
    records = [record(number, rng) for number in range(90)]
    with database.batch():
        for one in records:
            database.add_interruption(one)
    return database, records


def matches(one: InterruptionRecord, wanted: Filter) -> bool:
    cut, source = one.interruption, one.provenance
    has = {
        "outcome": one.closing.outcome if one.closing else "open",
        "check": cut.check,
        "policy": source.policy,
        "model": source.model,
        "channel": cut.claim.channel,
        "correct": cut.correct,
        "late": cut.late,
        "review": one.review,
        "session": source.session,
        "conversation": source.conversation,
        "user": source.user,
    }
    score, asked = surest(cut.verdicts[:1]), words(wanted.text or "")
    there = words(f"{cut.claim.text} {cut.put_in} {source.evidence.question}")
    return (
        all(getattr(wanted, name) in (None, value) for name, value in has.items())
        and (wanted.since is None or one.at >= wanted.since)
        and (wanted.until is None or one.at < wanted.until)
        and (wanted.score_min is None or score >= wanted.score_min)
        and (wanted.score_max is None or score <= wanted.score_max)
        and all(word in there for word in asked[:-1])
        and (not asked or any(word.startswith(asked[-1]) for word in there))
    )


FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "outcome": st.sampled_from(["open", "corrected"]),
    "check": st.sampled_from(["x", "y", "z"]),
    "policy": st.sampled_from(["p", "q"]),
    "model": st.sampled_from(["m", "n"]),
    "channel": st.sampled_from(["content", "reasoning"]),
    "correct": st.sampled_from(["interrupt", "retract"]),
    "late": st.booleans(),
    "review": st.sampled_from(["unreviewed", "confirmed", "disputed"]),
    "session": st.sampled_from(["s3", "s4"]),
    "conversation": st.sampled_from(["c1", "c9"]),
    "user": st.sampled_from(["u", "w"]),
    "since": st.sampled_from([0.0, 7.0]),
    "until": st.sampled_from([3.0, 15.0]),
    "score_min": st.sampled_from([0.5, 0.95, 0.99]),
    "score_max": st.sampled_from([0.1, 0.9]),
    "text": st.sampled_from(["alpha", "alp", "wing delta", "gamma", "beta alphabet", "nothing"]),
}


@pytest.mark.parametrize("few", [0, 5000])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.fixed_dictionaries({}, optional=FILTERS), limit=st.sampled_from([7, 100]))
def test_pages_counts_and_streams_are_of_one_mind(
    filled: tuple[Database, list[InterruptionRecord]], few: int, asked: dict[str, Any], limit: int
) -> None:
    """With few rows looked at one by one, and with the plans for many."""
    database, records = filled
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "FEW", few)
        patch.setattr(paging, "_WINDOW", 20)
        patch.setattr(paging, "_MANY", 3)
        patch.setattr(paging, "_AT_ONCE", 2)
        wanted = Filter(**asked, limit=limit)
        expected = [one for one in reversed(records) if matches(one, wanted)]
        found: list[InterruptionRecord] = []
        while page := database.interruptions(wanted):
            assert len(page) == min(limit, len(expected) - len(found))
            found += page
            wanted = dataclasses.replace(wanted, before=page[-1].interruption.id)
    assert found == expected
    unlimited = Filter(**asked)
    assert list(database.iter_interruptions(unlimited, batch=7)) == expected[::-1]
    assert database.count(unlimited) == len(expected)
    assert database.count(unlimited, cap=4) == min(4, len(expected))


@pytest.mark.parametrize(
    "text",
    ["", "?!", '"', "'", "a OR b", "NEAR(alpha beta)", "search:alpha", "^alpha", "alpha*beta", "-alpha", "\0", ":*"],
)
def test_what_is_searched_for_is_never_a_query(filled: tuple[Database, list[InterruptionRecord]], text: str) -> None:
    database, records = filled
    wanted = Filter(text=text, limit=1000)
    expected = [one for one in reversed(records) if words(text) and matches(one, wanted)]
    assert database.interruptions(wanted) == expected
    assert database.count(wanted) == len(expected)


@given(st.text())
def test_words_are_plain(text: str) -> None:
    found = words(text)
    assert all(word.isalnum() and len(word) <= 64 for word in found)
    assert words(" ".join(found)) == found


def test_a_script_without_spaces_is_searched_by_character(database: Database) -> None:
    made = scored(1, 0.9)
    claim = Claim(channel="content", start=0, end=8, text="東京は日本の首都です。")
    database.add_interruption(
        dataclasses.replace(made, interruption=dataclasses.replace(made.interruption, claim=claim))
    )
    assert database.count(Filter(text="首都")) == 1
    assert database.count(Filter(text="京都府")) == 0


def test_facets_are_what_is_there_and_name_no_user(filled: tuple[Database, list[InterruptionRecord]]) -> None:
    assert filled[0].facets() == {
        "model": ["m", "n"],
        "policy": ["p", "q", "r"],
        "check": ["x", "y"],
        "channel": ["content", "reasoning"],
    }


def test_long_names_are_found_and_told_apart(database: Database) -> None:
    for number, end in enumerate("ab"):
        source = provenance(user="u" * 5000 + end, conversation="ü" * 5000 + end, model="m" * 9000)
        database.add_interruption(scored(number, 0.9, provenance=source))
    found = database.interruptions(Filter(user="u" * 5000 + "b", model="m" * 9000))
    assert [one.interruption.number for one in found] == [1]
    assert found[0].provenance.conversation == "ü" * 5000 + "b"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["nothing", *FILTERS])
def test_no_row_is_read_to_be_sorted(filled: tuple[Database, list[InterruptionRecord]], name: str) -> None:
    """SQLite's plans for a page and for a stream: from an index, in its order."""
    database, _ = filled
    value: dict[str, Any] = {
        "late": True,
        "text": "al",
        "outcome": "corrected",
        "check": "x",
        "policy": "p",
        "model": "m",
    } | {
        "channel": "content",
        "correct": "retract",
        "review": "confirmed",
    }
    wanted = Filter(limit=5, **({} if name == "nothing" else {name: value.get(name, 0.5)}))
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "ORDER BY interruption.at" in statement:
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.append("; ".join(row[3] for row in rows))

    event.listen(database._engine, "before_cursor_execute", explain)
    list(database.iter_interruptions(wanted))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "FEW", 0)
        database.interruptions(wanted)
    assert plans
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or "SCAN interruption;" in plan]


def test_the_few_rows_of_a_score_must_have_the_words_too(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "FEW", 3)
    for number in range(8):
        asked = Evidence(question="a blue whale" if number < 6 else "a whale")
        database.add_interruption(
            scored(number, 0.2 if number in (5, 7) else 0.9, provenance=provenance(evidence=asked))
        )
    found = database.interruptions(Filter(text="blue", score_max=0.5))
    assert [one.interruption.id for one in found] == ["s1.0.5"]


@pytest.mark.parametrize("known", [0, 100])
def test_words_of_long_ago_are_found_behind_the_newest_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch, known: int
) -> None:
    for name, value in (("FEW", 2), ("_WINDOW", 4), ("COUNTED", known)):
        monkeypatch.setattr(paging, name, value)
    for number in range(20):
        asked = Evidence(question="a blue whale" if number % 10 < 4 else "a whale")
        database.add_interruption(scored(number, 0.9, provenance=provenance(evidence=asked)))
    wanted = Filter(text="whale blue", limit=6)
    page = database.interruptions(wanted)
    assert [one.at for one in page] == [13, 12, 11, 10, 3, 2]
    last = page[-1].interruption.id
    assert [one.at for one in database.interruptions(dataclasses.replace(wanted, before=last))] == [1, 0]
    assert database.count(wanted, cap=5) == 5
    assert database.count(wanted) == 8


def test_a_rare_word_before_a_common_beginning_is_found_and_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "FEW", 4)
    for number in range(12):
        asked = Evidence(question="zebra tall" if number in (3, 8) else "tame zebra" if number == 5 else "tame tail")
        database.add_interruption(scored(number, 0.9, provenance=provenance(evidence=asked)))
    for text, expected in (
        ("zebra ta", [8, 5, 3]),
        ("zebra tal", [8, 3]),
        ("t", [*range(11, -1, -1)]),
        ("tame z", [5]),
    ):
        assert [one.at for one in database.interruptions(Filter(text=text))] == expected
        assert database.count(Filter(text=text)) == len(expected)
        assert database.count(Filter(text=text), cap=2) == min(2, len(expected))
