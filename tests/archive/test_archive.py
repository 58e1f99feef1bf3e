"""An archive holds what its store held: every row once, as it last stood, and nothing that was forgotten."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from guard.archive import Archive
from guard.archive.manifest import TABLES
from guard.errors import ConfigError, GuardError, MissingExtra, StoreError
from guard.store import Database, Filter
from tests.archive import making
from tests.archive.making import DAY, add, assert_same, closed, interruption, judgement, session


def opened() -> Iterator[Database]:
    database = Database("sqlite://")
    database.open()
    yield database
    database.close()


database = pytest.fixture(opened)
other = pytest.fixture(opened)


@pytest.fixture(params=["a folder", "memory://"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "log") if request.param == "a folder" else f"memory://{uuid4().hex}/log"


def filled(database: Database, number: int, **given: Any) -> None:
    for n in range(number):
        add(database, f"i{n:03}", at=DAY * (1 + n % 3) + n, user=f"u{n % 4}", session=f"s{n}", **given)
        database.add_session(session(f"s{n}", user=f"u{n % 4}", started=DAY * (1 + n % 3) + n))


def test_rows_come_back_as_they_were(database: Database, url: str) -> None:
    filled(database, 12)
    report = Archive(url).update(database)
    assert (report.added, report.replaced, report.files) == (24, 0, 6)
    assert list(Archive(url).iter_interruptions()) == list(database.iter_interruptions(Filter()))
    assert_same(Archive(url), database)
    assert Archive(url).update(database).added == 0


def test_days_are_folders(database: Database, url: str) -> None:
    filled(database, 3)
    Archive(url).update(database)
    assert [file.day for file in Archive(url).files("interruption")] == ["1970-01-02", "1970-01-03", "1970-01-04"]
    for table in TABLES:
        assert all(file.path.startswith(f"{table}/day={file.day}/") for file in Archive(url).files(table))


def test_what_still_runs_is_not_archived(database: Database, url: str) -> None:
    database.add_interruption(interruption("open"))
    add(database, "closed")
    assert Archive(url).update(database).added == 1
    database.close_interruptions([closed("open")])
    assert Archive(url).update(database).added == 1
    assert_same(Archive(url), database)


def test_a_later_review_replaces_the_row(database: Database, url: str) -> None:
    filled(database, 6)
    Archive(url).update(database)
    before = {file.path for file in Archive(url).files("interruption")}
    database.judge(replace(judgement("j", "i000", "confirmed"), correction="It was Le Nôtre."))
    report = Archive(url).update(database)
    assert (report.added, report.replaced, report.files) == (0, 1, 1)
    assert len(before & {file.path for file in Archive(url).files("interruption")}) == 2
    (found,) = Archive(url).iter_interruptions(Filter(review="confirmed"))
    assert found == database.interruption("i000")
    assert_same(Archive(url), database)


@pytest.mark.usefixtures("small")
def test_many_small_files_become_a_few(database: Database, url: str) -> None:
    for n in range(24):
        add(database, f"i{n:03}", at=DAY + n)
        Archive(url).update(database)
    sizes = [file.rows for file in Archive(url).files("interruption")]
    assert sum(sizes) == 24
    assert len(sizes) <= 12
    assert max(sizes) <= 6
    assert_same(Archive(url), database)


@pytest.mark.usefixtures("small")
def test_rows_of_one_time_stay_together(database: Database, url: str) -> None:
    for n in range(30):
        add(database, f"i{n:03}", at=DAY + (7 if n % 3 else n))
    Archive(url).update(database)
    files = Archive(url).files("interruption")
    assert all(left.last < right.first for left, right in pairwise(files))
    assert_same(Archive(url), database)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("whom", [{"user": "u1"}, {"session": "s5"}, {"conversation": "c-u2"}])
def test_what_is_forgotten_is_in_no_file(database: Database, tmp_path: Path, whom: dict[str, str]) -> None:
    filled(database, 20)
    place = Archive(str(tmp_path / "log"))
    place.update(database)
    untouched = {file.path for table in TABLES for file in place.files(table)}
    database.forget(**whom)
    kept = sum(len(making.stored(database, table)) for table in TABLES)
    assert place.forget(**whom) == 40 - kept
    assert place.forget(**whom) == 0
    assert_same(place, database)
    assert untouched & {file.path for table in TABLES for file in place.files(table)} or "session" not in whom


def test_forgetting_everything_leaves_an_archive(database: Database, url: str) -> None:
    add(database, "i")
    Archive(url).update(database)
    database.forget(user="u")
    assert Archive(url).forget(user="u") == 1
    assert Archive(url).files("interruption") == []
    add(database, "j")
    Archive(url).update(database)
    assert_same(Archive(url), database)


def test_nobody_is_forgotten_by_no_name(database: Database, url: str) -> None:
    add(database, "i", user="")
    Archive(url).update(database)
    for nothing in ({}, {"user": ""}):
        with pytest.raises(ConfigError, match="name a session"):
            Archive(url).forget(**nothing)
    assert len(Archive(url).files("interruption")) == 1


NOTHING = [
    Filter(user="nobody"),
    Filter(late=True),
    Filter(outcome="open"),
    Filter(text="not claimed"),
    Filter(text="?"),
    Filter(limit=0),
]
FILTERS = [
    *NOTHING,
    Filter(check="grounding"),
    Filter(user="u1"),
    Filter(session="s3"),
    Filter(conversation="c-u2"),
    Filter(since=DAY * 2),
    Filter(until=DAY * 2 + 4),
    Filter(since=DAY * 2, until=DAY * 3),
    Filter(score_min=0.7),
    Filter(score_max=0.3),
    Filter(late=False, limit=3),
    Filter(review="confirmed"),
    Filter(outcome="corrected", correct="interrupt", channel="reasoning", model="m", policy="default"),
    Filter(text="chateau"),
    Filter(text="CLAIM i00"),
    Filter(limit=4),
]


@pytest.mark.usefixtures("small")
def test_a_filter_finds_what_it_finds_in_the_store(database: Database) -> None:
    for n in range(20):
        check = "grounding" if n % 5 == 0 else "phrase"
        at = DAY * (1 + n % 3) + n
        add(database, f"i{n:03}", at=at, user=f"u{n % 4}", session=f"s{n}", check=check, score=n / 20)
    database.judge(judgement("j", "i004", "confirmed"))
    place = Archive(f"memory://{uuid4().hex}")
    place.update(database)
    for wanted in FILTERS:
        found = list(place.iter_interruptions(wanted))
        assert found == list(database.iter_interruptions(wanted)), wanted
        assert bool(found) != (wanted in NOTHING), wanted


@pytest.mark.usefixtures("small")
def test_reading_goes_on_where_files_are_replaced(database: Database, url: str) -> None:
    filled(database, 12)
    Archive(url).update(database)
    seen = []
    for n, record in enumerate(Archive(url).iter_interruptions()):
        seen.append(record.interruption.id)
        if n % 3 == 0:
            database.judge(judgement(f"j{n}", f"i{11 - n:03}", "confirmed"))
            Archive(url).update(database)
    assert seen == [record.interruption.id for record in database.iter_interruptions(Filter())]


def test_another_store_is_refused(database: Database, other: Database, url: str) -> None:
    filled(database, 5)
    Archive(url).update(database)
    add(other, "i")
    with pytest.raises(StoreError, match="another store"):
        Archive(url).update(other)
    for n in range(20):
        add(other, f"o{n}")
        other.add_session(session(f"o{n}"))
    with pytest.raises(StoreError, match="another store"):
        Archive(url).update(other)
    assert_same(Archive(url), database)


def test_a_comparison_tells_what_differs(database: Database, other: Database, url: str) -> None:
    filled(database, 5)
    Archive(url).update(database)
    add(database, "new")
    database.judge(judgement("j", "i000", "confirmed"))
    database.forget(session="s1")
    found = Archive(url).verify(database)
    assert (found.same, found.waiting, found.only_here, found.is_whole) == (7, 2, 2, True)
    for n in (3, 1, 4, 2):
        add(other, f"i{n:03}", at=DAY * 2)
    found = Archive(url).verify(other)
    assert not found.is_whole


def test_a_row_that_is_gone_or_wrong_is_noticed(database: Database, url: str) -> None:
    filled(database, 5)
    place = Archive(url)
    place.update(database)
    ledger = place._ledger
    base = ledger.newest()
    part = base.tables["interruption"]
    assert ledger.commit(base, base.next("x").having("interruption", replace(part, files=part.files[1:])))
    assert place.verify(database).missing == part.files[0].rows


def test_a_damaged_file_is_noticed(database: Database, tmp_path: Path) -> None:
    filled(database, 3)
    place = Archive(str(tmp_path / "log"))
    place.update(database)
    file = place.files("interruption")[1]
    path = tmp_path / "log" / file.path
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    assert place.verify(database).damaged == (file.path,)
    with pytest.raises(StoreError, match="is damaged"):
        list(place.iter_interruptions())
    path.unlink()
    with pytest.raises(StoreError, match="lacks a file"):
        list(place.iter_interruptions())


def test_a_place_without_an_archive_says_so(database: Database, tmp_path: Path) -> None:
    for read in (lambda a: list(a.iter_interruptions()), lambda a: a.forget(user="u"), lambda a: a.verify(database)):
        with pytest.raises(ConfigError, match="holds no archive; guard archive --to makes one"):
            read(Archive(str(tmp_path / "nothing")))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something else"):
        Archive(str(tmp_path)).update(database)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "manifest").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ('{"version": 1}', "cannot be read"),
        ('{"version": 1, "run": "r", "tables": {}, "format": "guard-archive/9"}', "upgrade guard"),
        ("../../etc/passwd", "no file of an archive's"),
    ],
)
def test_a_manifest_that_is_none_is_told_in_a_line(database: Database, tmp_path: Path, text: str, message: str) -> None:
    add(database, "i")
    place = Archive(str(tmp_path / "log"))
    place.update(database)
    newest = tmp_path / "log" / "manifest" / "0000000001.json"
    if text.startswith("."):
        whole = json.loads(newest.read_text())
        whole["tables"]["interruption"]["files"][0]["path"] = text
        text = json.dumps(whole)
    newest.write_text(text)
    for use in (place.update, place.verify):
        with pytest.raises(GuardError, match=message) as caught:
            use(database)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("", ConfigError, "is no place"),
        ("nosuch://x/y", ConfigError, "cannot be used"),
        ("s3://bucket/log", MissingExtra, "not installed"),
    ],
)
def test_a_url_that_cannot_be_used_is_told(url: str, kind: type[Exception], message: str) -> None:
    if url.startswith("s3") and find_spec("s3fs"):
        pytest.skip("s3fs is installed, so this URL can be used")
    with pytest.raises(kind, match=message):
        Archive(url)


def test_a_password_is_not_shown(database: Database) -> None:
    with pytest.raises(ConfigError) as caught:
        Archive("memory://key:secret@nowhere/log?token=secret").verify(database)
    assert "secret" not in str(caught.value)


class Careless(MemoryFileSystem):  # type: ignore[misc]
    """A file system that writes over what should have been new."""

    protocol = "careless"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        super().pipe_file(path, value)


def test_a_file_system_that_cannot_create_exclusively_is_refused(database: Database) -> None:
    fsspec.register_implementation("careless", Careless, clobber=True)
    with pytest.raises(ConfigError, match="writes over"):
        Archive(f"careless://{uuid4().hex}/log").update(database)


def test_nothing_is_pickled(database: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("pickle")

    for name in ("load", "loads", "Unpickler", "dump", "dumps", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    filled(database, 4)
    Archive(url).update(database)
    database.forget(user="u1")
    Archive(url).forget(user="u1")
    assert_same(Archive(url), database)


def test_old_manifests_go_and_the_newest_stay(database: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.archive.ledger.KEPT", 3)
    for n in range(8):
        add(database, f"i{n}")
        Archive(url).update(database)
    ledger = Archive(url)._ledger
    assert ledger.storage.find("manifest") == [f"manifest/{n:010d}.json" for n in range(5, 9)]
    stale = replace(ledger.newest(), version=1, run="stale")
    assert not ledger.commit(stale, stale.next("late"))
    assert_same(Archive(url), database)
