"""`guard archive` and `guard forget`: one line for each place, nothing deleted by accident."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from guard.archive import Archive
from guard.cli.archiving import archive_store, forget
from guard.errors import ConfigError, StoreError
from guard.store import Database
from tests.archive.making import add, assert_same, session


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/guard.db"
    database = Database(url)
    database.open()
    for n in range(4):
        add(database, f"i{n}", user=f"u{n % 2}", session=f"s{n}")
    database.add_session(session("s0", user="u0"))
    database.close()
    return url


@pytest.fixture
def to(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def whom(**given: str) -> dict[str, str | None]:
    return dict.fromkeys(("session", "user", "conversation")) | given


def test_what_was_archived_and_compared_is_told(url: str, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    archive_store(to, url, verify=False)
    archive_store(to, url, verify=False)
    archive_store(to, url, verify=True)
    assert capsys.readouterr().out.splitlines() == [
        f"5 rows added, 0 replaced; 2 files written to {to}",
        f"0 rows added, 0 replaced; 0 files written to {to}",
        "5 rows are the same, 0 wait for the next guard archive, 0 are in the archive only",
    ]


def test_a_damaged_file_is_an_error(url: str, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    archive_store(to, url, verify=False)
    file = Archive(to).files("interruption")[0].path
    (Path(to) / file).write_bytes(b"nothing")
    with pytest.raises(StoreError, match="1 files are not what the manifest says"):
        archive_store(to, url, verify=True)
    assert f"damaged: {file}" in capsys.readouterr().out


def test_someone_is_forgotten_everywhere(url: str, to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = str(tmp_path / "second")
    for place in (to, second):
        archive_store(place, url, verify=False)
    capsys.readouterr()
    forget(url, [to, second], **whom(user="u0"), yes=True)
    assert capsys.readouterr().out.splitlines() == [
        "3 rows deleted from the store",
        f"3 rows deleted from {to}",
        f"3 rows deleted from {second}",
    ]
    database = Database(url)
    database.open()
    for place in (to, second):
        assert_same(Archive(place), database)
    database.close()


def test_a_user_who_is_not_found_may_not_be_named(url: str, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    archive_store(to, url, verify=False)
    capsys.readouterr()
    forget(url, [to], **whom(user="nobody"), yes=True)
    assert "say --session or --conversation" in capsys.readouterr().out
    forget(url, [to], **whom(session="nothing"), yes=True)
    forget(url, [to], **whom(user="u1"), yes=True)
    assert "say --session" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["/proc/guard", "/dev/null/guard"])
def test_a_folder_that_cannot_be_made_is_one_line(url: str, name: str) -> None:
    with pytest.raises(StoreError, match=f"archive '{name}'") as error:
        archive_store(name, url, verify=False)
    assert "\n" not in str(error.value)


def test_a_misspelt_archive_stops_before_anything_is_deleted(url: str, to: str) -> None:
    with pytest.raises(ConfigError, match="holds no archive"):
        forget(url, [to], **whom(user="u0"), yes=True)
    archive_store(to, url, verify=False)
    assert sum(file.rows for file in Archive(to).files("interruption")) == 4


def test_an_archive_that_fails_is_named_and_the_others_are_done(
    url: str, to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = str(tmp_path / "second")
    for place in (to, second):
        archive_store(place, url, verify=False)
    (Path(to) / Archive(to).files("interruption")[0].path).write_bytes(b"nothing")
    capsys.readouterr()
    with pytest.raises(StoreError, match=r"ask again.*is damaged"):
        forget(url, [to, second], **whom(session="s0"), yes=True)
    assert f"2 rows deleted from {second}" in capsys.readouterr().out


@pytest.mark.parametrize("given", [{}, {"user": ""}, {"user": "u0", "session": "s0"}])
def test_one_name_is_given(url: str, given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="name one of --session, --user and --conversation"):
        forget(url, [], **whom(**given), yes=True)


def test_nothing_is_deleted_unasked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(ConfigError, match="say --yes"):
        forget(url, [], **whom(user="u0"), yes=False)
    database = Database(url)
    database.open()
    assert len(database.changes("interruption", 0, 9)) == 4
    database.close()


def test_a_missing_package_names_the_extra(url: str, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("guard.archive")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'premise-guard\[archive\]'"):
        archive_store(to, url, verify=False)
