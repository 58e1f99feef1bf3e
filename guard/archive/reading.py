"""Rows of an archive, found by what they are and read in order, in constant memory.

Knows manifests, filters and Parquet; a filter is answered from the columns, and row groups that cannot hold a match
are not read. Words are looked for in the record itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import reduce
from operator import and_

import pyarrow.compute as pc

from guard.archive.ledger import Ledger
from guard.archive.manifest import DataFile, Manifest
from guard.archive.rows import matches
from guard.core.records import InterruptionRecord
from guard.errors import StoreError
from guard.store import Filter
from guard.store.codec import decode
from guard.store.schema import plain
from guard.store.words import words

_EQUAL = (
    *("check", "policy", "model", "channel", "correct", "late", "outcome"),
    *("review", "session", "conversation", "user"),
)
SEARCHED = 20_000


def interruptions(ledger: Ledger, wanted: Filter) -> Iterator[InterruptionRecord]:
    """Every interruption that matches, oldest first; `before` does not restrict.

    Where a newer version replaces a file while it is read, reading goes on in that version, behind the last row: no row
    comes twice, and none is lost that the newer version has.
    """
    left = wanted.limit
    manifest, after = ledger.newest(), None
    while left is None or left > 0:
        try:
            for at, key, record in _rows(ledger, manifest, wanted, after):
                after = (at, key)
                found = decode(record, InterruptionRecord)
                if wanted.text is None or _speaks_of(found, wanted.text):
                    yield found
                    left = None if left is None else left - 1
                if left == 0:
                    return
            return
        except FileNotFoundError as error:
            manifest = newer(ledger, manifest, error)


def newer(ledger: Ledger, read: Manifest, missing: FileNotFoundError) -> Manifest:
    """The version to go on with where a file of the one that was read is gone. Raises StoreError: it is the newest."""
    newest = ledger.newest()
    if newest.version == read.version:
        raise StoreError(f"archive {ledger.storage.shown!r} lacks a file that its manifest names: {missing}")
    return newest


def same(**columns: str | None) -> pc.Expression:
    """Rows that have these values, at least one of which is given."""
    return reduce(and_, [pc.field(name) == plain(value) for name, value in columns.items() if value])


def _rows(
    ledger: Ledger, manifest: Manifest, wanted: Filter, after: tuple[float, str] | None
) -> Iterator[tuple[float, str, str]]:
    for file in manifest.tables["interruption"].files:
        if not _may_match(file, wanted, after):
            continue
        with closing(matches(ledger.storage, file, _expression(wanted, after), ["at", "id", "record"])) as tables:
            for table in tables:
                columns = (table[name].to_pylist() for name in ("at", "id", "record"))
                yield from zip(*columns, strict=True)


def _may_match(file: DataFile, wanted: Filter, after: tuple[float, str] | None) -> bool:
    return (
        (wanted.since is None or file.last >= wanted.since)
        and (wanted.until is None or file.first < wanted.until)
        and (after is None or file.last >= after[0])
    )


def _expression(wanted: Filter, after: tuple[float, str] | None) -> pc.Expression:
    at, score = pc.field("at"), pc.field("score")
    found = [pc.field(name) == plain(getattr(wanted, name)) for name in _EQUAL if getattr(wanted, name) is not None]
    bounds = (
        (wanted.since, at.__ge__),
        (wanted.until, at.__lt__),
        (wanted.score_min, score.__ge__),
        (wanted.score_max, score.__le__),
    )
    found += [holds(pc.scalar(float(bound))) for bound, holds in bounds if bound is not None]
    if after is not None:
        found.append((at > after[0]) | ((at == after[0]) & (pc.field("id") > after[1])))
    return reduce(and_, found, pc.scalar(True))


def _speaks_of(record: InterruptionRecord, text: str) -> bool:
    """Whether all words stand in the claim, in what was put in or in the question; the last may be a beginning."""
    cut = record.interruption
    said = "\n".join((cut.claim.text, cut.put_in, record.provenance.evidence.question))
    there, asked = set(words(said[:SEARCHED])), words(text)
    if not asked:
        return False
    return there.issuperset(asked[:-1]) and any(word.startswith(asked[-1]) for word in there)
