"""An archive compared with the store that it was made from, and with its own manifest.

Rows are compared by id and content. Both sides are read in the order of `rev`, which no two writes share, so that of a
row nothing but its hashes is in memory.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from guard.archive.ledger import Ledger
from guard.archive.manifest import TABLES, DataFile, Manifest, TableName
from guard.archive.reading import newer
from guard.archive.rows import groups
from guard.archive.storage import Storage, told
from guard.store import Database

_PAGE = 100
_BATCH = 4096
_SCHEMA = pa.schema({"rev": pa.int64(), "key": pa.binary(8), "content": pa.binary(16)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How an archive stands to its store, in rows of both tables.

    Attributes:
        same: in both, alike.
        waiting: written to the store since the last update.
        only_here: no longer in the store: past its retention there, or forgotten there and not here.
        missing: should be here and are not. `different`: are not what the store has.
        twice: ids that are here more than once, counted beyond the first.
        damaged: files that are not what the manifest says.
    """

    same: int = 0
    waiting: int = 0
    only_here: int = 0
    missing: int = 0
    different: int = 0
    twice: int = 0
    damaged: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.missing or self.different or self.twice or self.damaged)


def compared(ledger: Ledger, database: Database) -> Comparison:
    """Compare the newest version with the store, which must be open. Raises ConfigError, StoreError."""
    manifest = ledger.newest()
    while True:
        try:
            if damaged := tuple(_damaged(ledger.storage, manifest)):
                return Comparison(damaged=damaged)
            of_tables = [_of_table(ledger.storage, manifest, table, database) for table in TABLES]
        except FileNotFoundError as error:
            manifest = newer(ledger, manifest, error)
            continue
        return Comparison(**{name: sum(getattr(one, name) for one in of_tables) for name in _COUNTS})


_COUNTS = ("same", "waiting", "only_here", "missing", "different", "twice")


def _damaged(storage: Storage, manifest: Manifest) -> Iterator[str]:
    for file in (file for part in manifest.tables.values() for file in part.files):
        with told(storage.shown), closing(storage.open(file.path)) as source:
            digest = hashlib.sha256()
            while chunk := source.read(1 << 20):
                digest.update(chunk)
        if digest.hexdigest() != file.sha256:
            yield file.path


def _of_table(storage: Storage, manifest: Manifest, table: TableName, database: Database) -> Comparison:
    part = manifest.tables[table]
    here = _digests(storage, part.files)
    revs = array("q", (rev for batch in here.to_batches(_BATCH) for rev in batch["rev"].to_pylist()))
    found = bytearray(len(revs))
    same = different = missing = 0
    waiting: set[bytes] = set()
    for rev, key, content in _stored(database, table):
        if rev > part.rev:
            waiting.add(key)
            continue
        number = bisect_left(revs, rev)
        if number == len(revs) or revs[number] != rev:
            missing += 1
            continue
        found[number] = True
        if (here["key"][number].as_py(), here["content"][number].as_py()) == (key, content):
            same += 1
        else:
            different += 1
    unmatched = (here["key"][number].as_py() for number, is_found in enumerate(found) if not is_found)
    return Comparison(
        same=same,
        waiting=len(waiting),
        only_here=sum(key not in waiting for key in unmatched),
        missing=missing,
        different=different,
        twice=here.num_rows - int(pc.count_distinct(here["key"]).as_py()),
    )


def _digests(storage: Storage, files: tuple[DataFile, ...]) -> pa.Table:
    parts = [_SCHEMA.empty_table()]
    for file in files:
        for group in groups(storage, file, ["rev", "id", "record"]):
            pairs = zip(group["id"].to_pylist(), group["record"].to_pylist(), strict=True)
            keys, contents = zip(*(_hashed(key, record) for key, record in pairs), strict=True)
            parts.append(pa.table([group["rev"], keys, contents], schema=_SCHEMA))
    return pa.concat_tables(parts).sort_by("rev").combine_chunks()


def _stored(database: Database, table: TableName) -> Iterator[tuple[int, bytes, bytes]]:
    """Every row of the store's, as its `rev` and hashes."""
    after = 0
    while page := database.changes(table, after, _PAGE):
        yield from ((change.rev, *_hashed(change.id, change.record)) for change in page)
        after = page[-1].rev


def _hashed(key: str, record: str) -> tuple[bytes, bytes]:
    short, long = hashlib.blake2b(key.encode(), digest_size=8), hashlib.blake2b(record.encode(), digest_size=16)
    return short.digest(), long.digest()
