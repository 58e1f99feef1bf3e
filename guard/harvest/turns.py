"""The interruptions of each turn together, from a log in which those of many turns alternate.

Those of unfinished turns wait in a temporary file, so that a log full of turns that were cut off takes no more memory
than one without. A turn is given when the record has come whose text reaches the turn's end; what never ends is given
last.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from guard.core.records import InterruptionRecord
from guard.harvest.seen import CACHE_KIB
from guard.harvest.split import utf8
from guard.store.codec import decode, encode


def turns(records: Iterable[InterruptionRecord]) -> Iterator[list[InterruptionRecord]]:
    """The records of each turn, in the order in which they came."""
    # One at a time, but not always the same thread: a download is made in whichever is free.
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as file:
        file.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE_KIB};"
            "CREATE TABLE held (session TEXT, choice INTEGER, record TEXT);"
            "CREATE INDEX turn ON held (session, choice); BEGIN"
        )
        for record in records:
            turn = _key(record)
            if record.closing is not None and record.closing.complete:
                yield [*_taken(file, turn), record]
            else:
                file.execute("INSERT INTO held VALUES (?, ?, ?)", (*turn, encode(record)))
        while left := file.execute("SELECT session, choice FROM held ORDER BY rowid LIMIT 1").fetchone():
            yield _taken(file, left)


def _key(record: InterruptionRecord) -> tuple[str, int]:
    return utf8(record.provenance.session), record.interruption.choice


def _taken(file: sqlite3.Connection, turn: tuple[str, int]) -> list[InterruptionRecord]:
    texts = file.execute("SELECT record FROM held WHERE session = ? AND choice = ? ORDER BY rowid", turn).fetchall()
    if texts:
        file.execute("DELETE FROM held WHERE session = ? AND choice = ?", turn)
    return [decode(text, InterruptionRecord) for (text,) in texts]
