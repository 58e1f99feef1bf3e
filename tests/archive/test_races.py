"""Runs that meet, at every point where they can: nothing is lost, doubled or brought back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from guard.archive import Archive
from guard.archive.ledger import Ledger
from guard.store import Database, Filter
from tests.archive import making
from tests.archive.making import DAY, add, assert_same, judgement, session

pytestmark = pytest.mark.usefixtures("small")


class Meeting:
    """A storage that lets something else happen just before its n-th operation."""

    def __init__(self, storage: Any, number: int, event: Callable[[], object]) -> None:
        self._storage = storage
        self._left = number
        self._event = event
        self.met = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def operation(*args: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self.met = True
                self._event()
            return found(*args)

        return operation


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database("sqlite://")
    database.open()
    yield database
    database.close()


def fill(database: Database, first: int, last: int) -> None:
    for n in range(first, last):
        add(database, f"i{n}", at=DAY + n, user=f"u{n % 3}", session=f"s{n}")
    database.add_session(session(f"s{first}", user=f"u{first % 3}", started=DAY + first))


def meetings(database: Database, event: Callable[[str], object]) -> Iterator[tuple[Archive, str]]:
    """An archive whose n-th operation meets an event, for each n there is; and where it is."""
    number = 0
    while True:
        number += 1
        url = f"memory://{uuid4().hex}"
        fill(database, 0, 6)
        Archive(url).update(database)
        fill(database, 6, 10)
        add(database, "late", at=DAY + 50, user="late")
        database.judge(judgement(uuid4().hex, "i1", "confirmed"))
        place = Archive(url)
        meeting = Meeting(place._ledger.storage, number, partial(event, url))
        place._ledger = Ledger(meeting)
        yield place, url
        if not meeting.met:
            assert number > 3
            return
        for user in ("u0", "u1", "u2", "late"):
            database.forget(user=user)


@pytest.mark.parametrize("user", ["u1", "late"])
def test_what_is_forgotten_while_an_update_works_does_not_come_back(database: Database, user: str) -> None:
    """Not even the rows of someone of whom the archive has none yet."""

    def forget(url: str) -> None:
        database.forget(user=user)
        Archive(url).forget(user=user)
        assert not [row for row in making.rows(Archive(url), "interruption") if row[2] == user]

    for place, url in meetings(database, forget):
        place.update(database)
        Archive(url).update(database)
        assert_same(Archive(url), database)


def test_two_updates_add_a_row_once(database: Database) -> None:
    for place, url in meetings(database, lambda url: Archive(url).update(database)):
        place.update(database)
        assert_same(Archive(url), database)


def test_what_is_added_while_forgetting_stays(database: Database) -> None:
    def grow(url: str) -> None:
        fill(database, 20, 23)
        database.forget(user="u2")
        Archive(url).update(database)

    for place, url in meetings(database, grow):
        database.forget(user="u2")
        place.forget(user="u2")
        database.forget(user="u2")
        Archive(url).forget(user="u2")
        Archive(url).update(database)
        assert_same(Archive(url), database)


def test_a_reader_sees_each_row_once(database: Database) -> None:
    def change(url: str) -> None:
        database.forget(user="u0")
        Archive(url).forget(user="u0")
        Archive(url).update(database)

    for place, _ in meetings(database, change):
        seen = [record.interruption.id for record in place.iter_interruptions()]
        assert len(set(seen)) == len(seen)
        kept = {
            r.interruption.id for r in database.iter_interruptions(Filter(until=DAY + 6)) if r.provenance.user != "u0"
        }
        assert kept <= set(seen)


def test_a_manifest_that_is_swept_away_half_made_is_one_that_lost(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, url = os.link, str(tmp_path / "log")

    def overtaken(*paths: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        Archive(url).update(database)
        link(*paths)

    fill(database, 0, 3)
    Archive(url).update(database)
    fill(database, 3, 8)
    monkeypatch.setattr(os, "link", overtaken)
    assert Archive(url).update(database).added < 6
    assert_same(Archive(url), database)


def test_an_answer_that_was_not_heard_counts(database: Database) -> None:
    """A storage that asks again and is told that the file is there: it is its own."""

    class Deaf(Meeting):
        def create(self, path: str, data: bytes) -> bool:
            self._storage.create(path, data)
            return False

    url = f"memory://{uuid4().hex}"
    fill(database, 0, 3)
    Archive(url).update(database)
    fill(database, 3, 8)
    place = Archive(url)
    place._ledger = Ledger(Deaf(place._ledger.storage, 0, lambda: None))
    assert place.update(database).added == 6
    assert_same(Archive(url), database)
