"""The sessions of an archive, found by what they are and read in order, a row group in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import reduce
from operator import and_

import pyarrow.compute as pc

from guard.archive import Archive
from guard.archive.rows import matches
from guard.archive.storage import storage
from guard.core.records import SessionRecord
from guard.errors import StoreError
from guard.store import Filter
from guard.store.codec import decode
from guard.store.schema import plain

_EQUAL = ("policy", "model", "session", "conversation", "user", "flagged")
_COLUMNS = ("at", "id", "record")

Mark = tuple[float, str]
"""The time and the id of a row."""


def sessions(archive: Archive, wanted: Filter) -> Iterator[SessionRecord]:
    """Every session that matches, oldest first; what a session has no column for does not restrict.

    Where a newer version replaces a file while it is read, reading goes on in that version, behind the last row.
    Raises StoreError: a file is missing or damaged.
    """
    after: Mark | None = None
    while True:
        files = archive.files("session")
        try:
            for at, key, record in _rows(archive, wanted, after):
                after = (at, key)
                yield decode(record, SessionRecord)
            return
        except FileNotFoundError as error:
            if archive.files("session") == files:
                raise StoreError(f"archive {archive.shown!r} lacks a file that its manifest names: {error}") from None


def _rows(archive: Archive, wanted: Filter, after: Mark | None) -> Iterator[tuple[float, str, str]]:
    place, expression = storage(archive.url), _expression(wanted, after)
    for file in archive.files("session"):
        late = wanted.since is not None and file.last < wanted.since
        early = wanted.until is not None and file.first >= wanted.until
        if late or early or (after is not None and file.last < after[0]):
            continue
        with closing(matches(place, file, expression, _COLUMNS)) as tables:
            for table in tables:
                yield from zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True)


def _expression(wanted: Filter, after: Mark | None) -> pc.Expression:
    at = pc.field("at")
    found = [pc.field(name) == plain(getattr(wanted, name)) for name in _EQUAL if getattr(wanted, name) is not None]
    found += [at >= wanted.since] if wanted.since is not None else []
    found += [at < wanted.until] if wanted.until is not None else []
    if after is not None:
        found.append((at > after[0]) | ((at == after[0]) & (pc.field("id") > after[1])))
    return reduce(and_, found, pc.scalar(True))
