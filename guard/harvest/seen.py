"""Which rows have come before: an index in a temporary file, so that its memory does not grow with the log.

SQLite's own anonymous database: it stays in the cache while it is small, is a file without a name when it is not, and
is gone with the process. The libraries for this keep their index in memory or on a server.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from guard.harvest import alike

Dedupe = Literal["exact", "near", "none"]

CACHE_KIB = 32 * 1024
COMPARED = 64
"""Earlier rows that one is compared with, at most: the oldest of those that share a band with it."""

_TABLES = """
CREATE TABLE same (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE band (key INTEGER, row INTEGER, PRIMARY KEY (key, row)) WITHOUT ROWID;
CREATE TABLE sketch (row INTEGER PRIMARY KEY, hashes BLOB NOT NULL);
"""
_FIND = (
    f"SELECT hashes FROM sketch WHERE row IN (SELECT row FROM band WHERE key IN ({', '.join('?' * alike.BANDS)})) "  # noqa: S608
    f"ORDER BY row LIMIT {COMPARED}"
)


class Seen:
    """The rows that were kept. Of those that are the same the first is, and what is like a dropped one is judged by
    the kept ones alone."""

    def __init__(self) -> None:
        # One at a time, but not always the same thread: a download is made in whichever is free.
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._file.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE_KIB}; {_TABLES} BEGIN"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def again(self, same: bytes, near: bytes) -> str:
        """Why a row is not kept, or "". b"" for a digest does not compare by it."""
        if same and not self._file.execute("INSERT OR IGNORE INTO same VALUES (?)", (same,)).rowcount:
            return "duplicate"
        if not near:
            return ""
        keys, sketch = alike.bands(near), alike.sketch(near)
        if any(alike.overlap(sketch, found) >= alike.NEAR for (found,) in self._file.execute(_FIND, keys)):
            return "near-duplicate"
        row = self._file.execute("INSERT INTO sketch (hashes) VALUES (?)", (sketch,)).lastrowid
        self._file.executemany("INSERT OR IGNORE INTO band VALUES (?, ?)", [(key, row) for key in keys])
        return ""
