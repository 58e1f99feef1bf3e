"""What a copy of the log sees, what is counted over time, and what is forgotten."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from pathlib import Path

import pytest

from guard.errors import ConfigError, StoreError
from guard.store import Database, Filter, Store
from guard.store.codec import decode, encode
from tests.store.records import closed, interruption, provenance, said, session, spoken


def test_every_write_has_a_number_of_its_own_and_rising(database: Database) -> None:
    for number in (1, 2):
        database.add_interruption(interruption(number))
    assert database.changes("interruption", 0, 9) == []
    database.close_interruptions([closed("s1.0.2"), closed("s1.0.1")])
    first = database.changes("interruption", 0, 9)
    assert [one.id for one in first] == ["s1.0.2", "s1.0.1"]
    assert database.settled("interruption") == first[-1].rev
    database.judge(said("s1.0.2", "ann", "confirmed"))
    later = database.changes("interruption", first[-1].rev, 9)
    assert [one.id for one in later] == ["s1.0.2"]
    assert later[0].rev > first[-1].rev
    database.forget(session="s1")
    database.add_session(session("s2", flagged=True))
    (made,) = database.changes("session", 0, 9)
    assert made.rev > later[0].rev
    assert database.changes("session", made.rev, 9) == []
    assert database.changes("interruption", 0, 9) == []


def test_a_change_is_a_row_as_it_stands(database: Database) -> None:
    record = interruption(1)
    database.add_interruption(record)
    database.close_interruptions([closed("s1.0.1")])
    (change,) = database.changes("interruption", 0, 1)
    now = dataclasses.replace(record, closing=closed("s1.0.1"))
    assert decode(change.record, type(record)) == now
    assert change.record == encode(now)
    assert (change.id, change.at, change.session, change.user, change.conversation) == ("s1.0.1", 1.0, "s1", "u", "c")
    assert change.columns == {
        "model": "m",
        "policy": "default",
        "check": "phrase",
        "channel": "reasoning",
        "correct": "interrupt",
        "late": False,
        "outcome": "corrected",
        "review": "unreviewed",
        "score": 0.0,
        "doubt": 1.0,
        "tokens_wasted": 0,
        "delay_s": 0.1,
        "prompts": "full",
    }
    database.add_session(session("s2", flagged=True))
    (change,) = database.changes("session", 0, 1)
    assert (change.id, change.session, change.at) == ("s2", "s2", 1.0)
    assert change.columns["flagged"] is True


def test_changes_come_in_pages(database: Database) -> None:
    for number in range(5):
        database.add_session(session(f"s{number}", flagged=True))
    seen, after = [], 0
    while page := database.changes("session", after, 2):
        seen += [one.id for one in page]
        after = page[-1].rev
    assert seen == [f"s{number}" for number in range(5)]


def test_nothing_settled_comes_later(url: str, database: Database) -> None:
    """Writers at work while a reader asks: no row ever appears at or below a number that was called settled."""
    stop, failed = threading.Event(), []

    def write(name: str) -> None:
        writer = Database(url)
        try:
            number = 0
            while not stop.is_set() and number < 60:
                with writer.batch():
                    for _ in range(3):
                        writer.add_session(session(f"{name}{number}", flagged=True))
                        number += 1
        except StoreError as error:
            failed.append(error)
        finally:
            writer.close()

    writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for writer in writers:
        writer.start()
    seen: dict[int, set[str]] = {}
    while any(writer.is_alive() for writer in writers):
        settled = database.settled("session")
        seen[settled] = {one.id for one in database.changes("session", 0, 10_000) if one.rev <= settled}
    for writer in writers:
        writer.join()
    assert not failed
    end = database.changes("session", 0, 10_000)
    assert len(end) == 120
    assert len({one.rev for one in end}) == 120
    for settled, ids in seen.items():
        assert ids == {one.id for one in end if one.rev <= settled}


def test_trends_add_up(database: Database) -> None:
    for number, at in enumerate([0.0, 3599.0, 3600.0, 7300.0]):
        record = interruption(number, at=at, check="phrase" if number else "other")
        cut = dataclasses.replace(record.interruption, late=number == 1, tokens_wasted=5)
        database.add_interruption(dataclasses.replace(record, interruption=cut))
    database.close_interruptions([closed("s1.0.0"), closed("s1.0.2")])
    database.judge(said("s1.0.0", "ann", "confirmed"))
    database.judge(said("s1.0.1", "ann", "rejected"))
    for at in (10.0, 20.0, 3700.0):
        database.tally("m", "p", at=at, responses=1, interrupted=1, segments=4, unscanned=2, added_s=0.5)
    database.tally("other", "p", at=30.0)
    first, second = database.trends(0.0, 7200.0, 3600.0)
    assert (first.start, first.interruptions, first.late, first.confirmed, first.rejected) == (0.0, 2, 1, 1, 1)
    assert (first.responses, first.unscanned, first.added_s_sum, first.tokens_wasted) == (3, 4, 1.0, 10)
    assert first.delay_s_sum == pytest.approx(0.2)
    assert first.by_check == {"other": 1, "phrase": 1}
    assert first.outcomes == {"corrected": 1, "relapsed": 0, "abandoned": 0}
    assert (second.start, second.interruptions, second.responses, second.outcomes["corrected"]) == (3600.0, 1, 1, 1)
    assert sum(one.interruptions for one in database.trends(-100.0, 7301.0, 77.0)) == 4


@pytest.mark.parametrize("asked", [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.0, 1e9, 1.0), (0.0, float("nan"), 1.0)])
def test_trends_that_cannot_be(database: Database, asked: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="1 to 10000 buckets"):
        database.trends(*asked)


def fill(database: Database) -> None:
    for name, user, conversation in (("a", "u", "c"), ("b", "u", "d"), ("e", "v", "c")):
        source = provenance(name, user=user, conversation=conversation)
        database.add_interruption(interruption(1, name, provenance=source))
        database.add_session(spoken(name, "flagged", user=user, conversation=conversation))
        database.judge(said(f"{name}.0.1", "ann", "confirmed"))
        database.judge(said(f"{name}.0#0", "ann", "rejected"))


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"session": "a"}, "be"),
        ({"user": "u"}, "e"),
        ({"conversation": "c"}, "b"),
        ({"user": "u", "conversation": "c"}, "be"),
        ({"user": "nobody"}, "abe"),
    ],
)
def test_forgetting_leaves_others(database: Database, asked: dict[str, str], left: str) -> None:
    fill(database)
    assert database.forget(**asked) == 5 * (3 - len(left))
    assert [one.interruption.id for one in database.iter_interruptions(Filter())] == [f"{name}.0.1" for name in left]
    assert [one.provenance.session for one in database.iter_sessions(Filter())] == list(left)
    assert sorted({one.session for one in database.iter_judgements()}) == list(left)
    assert [name for name in "abe" if database.segment(f"{name}.0#0")] == list(left)
    assert database.count(Filter(text="claim")) == len(left)


@pytest.mark.parametrize("asked", [{}, {"user": ""}, {"session": None}])
def test_everyone_is_not_forgotten_by_mistake(database: Database, asked: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="name a session"):
        database.forget(**asked)


def stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("way", ["purge", "forget"])
async def test_a_file_holds_no_word_of_what_was_deleted(tmp_path: Path, way: str) -> None:
    store = Store(f"sqlite:///{tmp_path}/guard.db")
    await store.open()
    for number in range(150):
        cut = interruption(number, f"s{number}", provenance=provenance(f"s{number}", user=f"u{number == 7}"))
        claim = dataclasses.replace(cut.interruption.claim, text=f"the unforgettable{number}word")
        cut = dataclasses.replace(cut, interruption=dataclasses.replace(cut.interruption, claim=claim))
        store.database.add_interruption(cut)
    old = session("s7", flagged=True, user="uTrue", messages=[{"content": "the unforgettable7word"}])
    await store.add_session(old)
    await store.judge(said("s7.0.7", "ann", "confirmed", note="unforgettable7word"))
    assert stored(tmp_path).count(b"unforgettable7word") >= 4
    assert (
        await (store.purge(8.0) if way == "purge" else store.forget(user="uTrue")) == (8 if way == "purge" else 1) + 2
    )
    left = stored(tmp_path)
    assert b"unforgettable8word" in left
    assert b"unforgettable7word" not in left
    assert b"forgettable7word" not in left  # the index of words keeps what a word does not share with the one before
    assert await store.count(Filter(text="unforgettable8word")) == 1
    await store.close()
    with sqlite3.connect(tmp_path / "guard.db") as connection:
        terms = connection.execute(
            "SELECT count(*) FROM interruption_words WHERE interruption_words MATCH 'unforgettable7word'"
        )
        assert terms.fetchone() == (0,)
    connection.close()


async def test_purging_takes_all_that_is_old(store: Store) -> None:
    for number in range(3):
        await store.add_interruption(interruption(number, at=float(number)))
    await store.add_session(spoken("old", "flagged"))
    await store.add_session(dataclasses.replace(spoken("new", "flagged", started=2000.0), ended=2001.0))
    await store.add_session(spoken("across", "flagged", at=3.0))
    await store.judge(said("s1.0.0", "ann", "confirmed"))
    await store.judge(said("old.0#0", "ann", "confirmed"))
    await store.judge(said("across.0#0", "ann", "confirmed"))
    await store.tally("m", "p", at=1.0)
    assert await store.purge(older_than=2.5) == 3 + 2 * 2 + 3
    assert [one.id for one in await store.queue("bob", 9)] == ["new.0#0"]
    assert await store.count() == 0
    assert await store.session("old") is None
    assert await store.segment("new.0#0") is not None
    assert list(store.iter_judgements()) == []
    assert await store.purge(older_than=9e5) == 3
