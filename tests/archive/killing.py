"""Runs that are killed without warning, in a process that forks each of them so that none has to start anew.

``python -m tests.archive.killing FOLDER KILLS SEED``: a writer fills a SQLite store; two workers at a time update an
archive of it and forget people in both, until each is killed, by itself just before or after a storage operation or
from outside at any moment. In FOLDER: the store, the archive, and `asked` and `told`, the people that were to be
forgotten and those of whom a worker was told that they are. Prints what the kills left, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guard.archive import Archive
from guard.archive.ledger import Ledger
from guard.archive.manifest import TABLES
from guard.store import Database
from tests.archive import making

PEOPLE = 250


class Fatal:
    """A storage whose user is killed at its n-th step; an operation is one step, and what follows it another."""

    def __init__(self, storage: Any, steps: int) -> None:
        self._storage = storage
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)

        def operation(*args: Any) -> Any:
            self._step()
            result = found(*args)
            self._step()
            return result

        return operation if callable(found) else found

    def _step(self) -> None:
        self._steps -= 1
        if self._steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def opened(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder}/guard.db")
    database.open()
    return database


def note(file: Path, user: str) -> None:
    with file.open("a") as lines:
        lines.write(f"{user}\n")


def noted(file: Path) -> list[str]:
    # The last line may be half written where its writer was killed; nobody was told of it then.
    return file.read_text().split("\n")[:-1] if file.exists() else []


def write(folder: Path, seed: int) -> None:
    """One person after another, each with a few interruptions, up to `PEOPLE`; reviews of old ones all the time."""
    rng, database, number = random.Random(seed), opened(folder), 0
    while not (folder / "stop").exists():
        if number < PEOPLE:
            number += 1
            user = f"u{number}"
            for n in range(rng.randrange(1, 4)):
                at = making.DAY * rng.randrange(1, 4) + rng.random() * 1000
                making.add(database, f"{user}.{n}", at=at, user=user, session=user)
            database.add_session(making.session(user, user=user, started=making.DAY + number))
            (folder / "written.new").write_text(str(number))
            (folder / "written.new").replace(folder / "written")
        subject = f"u{rng.randrange(1, number + 1)}.0"
        database.judge(making.judgement(os.urandom(8).hex(), subject, rng.choice(["confirmed", "rejected"])))
        time.sleep(0.1)


def work(folder: Path, seed: int, steps: int) -> None:
    """Update and forget until killed."""
    rng, database, archive = random.Random(seed), opened(folder), Archive(str(folder / "log"))
    archive._ledger = Ledger(Fatal(archive._ledger.storage, steps))
    while True:
        if rng.random() < 0.5:
            archive.update(database)
        written = int((folder / "written").read_text())
        user = f"u{rng.randrange(1, written + 1)}"
        note(folder / "asked", user)
        database.forget(user=user)
        archive.forget(user=user)
        note(folder / "told", user)


def once(folder: Path) -> None:
    """All that a worker does, once."""
    database, archive = opened(folder), Archive(str(folder / "log"))
    archive.update(database)
    database.forget(user="u1")
    archive.forget(user="u1")


def forked(run: Callable[..., None], *args: Any) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        setattr(os, "fsync", int)  # noqa: B010 - what a killed process has written the kernel keeps
        making.make_small(rows=16)
        run(*args)
        status = 0
    finally:
        os._exit(status)


def killed(child: int, until: float) -> bool:
    """Whether it was a kill that ended it, its own or the one that comes then (a monotonic time)."""
    while time.monotonic() < until and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def orphans(folder: Path) -> int:
    """Files that the newest version does not name."""
    archive = Archive(str(folder / "log"))
    try:
        named = archive._ledger.newest().paths
    except Exception:  # noqa: BLE001 - killed before there was one
        return 0
    return len({path for table in TABLES for path in archive._ledger.storage.find(table)} - named)


def pair(folder: Path, rng: random.Random, usual: float) -> list[bool]:
    """Two workers at once; whether each was killed."""
    children = []
    for _ in range(2):
        by_itself = rng.random() < 0.5
        steps = rng.randrange(1, 300) if by_itself else 10**9
        until = time.monotonic() + (4 if by_itself else 1.5 * rng.random()) * usual
        children.append((forked(work, folder, rng.randrange(10**9), steps), until))
    return [killed(*child) for child in children]


def main(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    opened(folder).close()
    writer = forked(write, folder, seed)
    while not (folder / "written").exists():
        time.sleep(0.01)
    done = left = 0
    while done < kills:
        if done % 20 == 0:
            begun = time.monotonic()
            os.waitpid(forked(once, folder), 0)
            usual = time.monotonic() - begun
        if not all(pair(folder, rng, usual)):
            sys.exit("a worker failed by itself")
        done += 2
        left += bool(orphans(folder))
    (folder / "stop").touch()
    os.waitpid(writer, 0)
    print(json.dumps({"kills": done, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
