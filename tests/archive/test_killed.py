"""A run that is killed, at any point, costs nothing but its own time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.archive import Archive
from guard.archive.manifest import TABLES
from tests.archive import killing, making
from tests.archive.making import assert_same

KILLS = 100


@pytest.fixture
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.usefixtures("small")
def test_a_hundred_kills_lose_double_and_bring_back_nothing(folder: Path) -> None:
    command = [sys.executable, "-m", "tests.archive.killing", str(folder), str(KILLS), "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kills"] >= KILLS
    assert report["left"] > 0

    database = killing.opened(folder)
    archive = Archive(str(folder / "log"))
    asked, told = set(killing.noted(folder / "asked")), set(killing.noted(folder / "told"))
    assert told, "no worker lived long enough to forget anybody"
    assert not told & {row[2] for table in TABLES for row in making.rows(archive, table)}
    for user in asked - told:  # whoever asked was not told that it was done, and asks again
        database.forget(user=user)
        archive.forget(user=user)
    archive.update(database)
    assert_same(archive, database)
    assert archive._ledger.newest().version > KILLS / 4
    assert making.rows(archive, "interruption")
    assert not asked & {row[2] for table in TABLES for row in making.rows(archive, table)}
    database.close()
