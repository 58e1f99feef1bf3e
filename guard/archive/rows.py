"""Rows as Parquet files: what columns they have, and how files of sorted rows are read and written.

Knows pyarrow; does not know which files count. Memory is bounded by the size of a row group, whatever a file's.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from guard.archive.manifest import DataFile, TableName
from guard.archive.storage import Storage, told
from guard.errors import StoreError

GROUP_BYTES = 4 << 20
GROUP_ROWS = 4096
"""A row group ends at either. Arrow's bytes, before compression."""

_STEP = 128
"""Rows that go into a row group at a time."""

_TEXT = ("id", "session", "conversation", "user", "model", "policy")
_OWN: dict[TableName, dict[str, pa.DataType]] = {
    "interruption": dict.fromkeys(("check", "channel", "correct", "outcome", "review"), pa.string())
    | {"late": pa.bool_(), "score": pa.float64()},
    "session": {"flagged": pa.bool_(), "interruptions": pa.int64(), "unscanned": pa.int64()},
}


def _schema(table: TableName) -> pa.Schema:
    columns = {"at": pa.float64(), **dict.fromkeys(_TEXT, pa.string()), **_OWN[table]}
    return pa.schema(list((columns | {"rev": pa.int64(), "record": pa.string()}).items()))


SCHEMA = {table: _schema(table) for table in _OWN}
"""By table. `at` and `id` order the rows; `record` is the JSON text that guard.store.codec reads."""

_ORDER = [("at", "ascending"), ("id", "ascending")]


def table_of(table: TableName, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a table in order; a key that is no column is left out.

    Raises:
        StoreError: a value is not of its column's type.
    """
    try:
        return pa.Table.from_pylist(list(rows), schema=SCHEMA[table]).sort_by(_ORDER)
    except (pa.ArrowException, TypeError, UnicodeEncodeError) as error:
        raise StoreError(f"a row of {table} cannot be written as Parquet: {error}") from error


def sorted_together(table: TableName, parts: Sequence[pa.Table]) -> pa.Table:
    """One table of several, in order."""
    return pa.concat_tables([SCHEMA[table].empty_table(), *parts]).sort_by(_ORDER)


def groups(storage: Storage, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """A file's rows in order, a row group at a time; all columns, or those named.

    Raises:
        FileNotFoundError: a newer version has replaced it meanwhile (or somebody took it away).
        StoreError: it is damaged.
    """
    with _opened(storage, file) as (parquet, _):
        for number in range(parquet.num_row_groups):
            yield parquet.read_row_group(number, columns, use_threads=False)


def matches(storage: Storage, file: DataFile, wanted: pc.Expression, columns: Sequence[str]) -> Generator[pa.Table]:
    """The rows of a file that match, as `groups`. Row groups whose statistics rule a match out are not read, nor the
    records of those that have none."""
    with _opened(storage, file) as (parquet, source):
        short = [name for name in parquet.schema_arrow.names if name != "record"]
        fragment = ds.ParquetFileFormat().make_fragment(source)
        for number in (part.row_groups[0].id for part in fragment.split_by_row_group(wanted)):
            found = parquet.read_row_group(number, short, use_threads=False).filter(wanted)
            if found.num_rows and "record" in columns:
                found = parquet.read_row_group(number, use_threads=False).filter(wanted)
            if found.num_rows:
                yield found.select(list(columns))


def holds(storage: Storage, file: DataFile, wanted: pc.Expression) -> bool:
    """Whether any row of a file matches."""
    with closing(matches(storage, file, wanted, ["at"])) as tables:
        return any(True for _ in tables)


@contextmanager
def _opened(storage: Storage, file: DataFile) -> Iterator[tuple[pq.ParquetFile, Any]]:
    """A file, open to be read, as Parquet and as bytes."""
    with told(storage.shown), closing(storage.open(file.path)) as source:
        damaged = f"archive {storage.shown!r}: {file.path!r} is damaged"
        try:
            parquet = pq.ParquetFile(source, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise StoreError(f"{damaged}: {error}") from error
        if parquet.metadata.num_rows != file.rows:
            raise StoreError(f"{damaged}: it has {parquet.metadata.num_rows} rows, its manifest says {file.rows}")
        yield parquet, source


class Writer:
    """Writes rows that come in order into files of about `per` rows each, all of one table and one day.

    `folder` is ``{table}/day=YYYY-MM-DD``; `version` the one that the files are for. A file is made in full in an
    unnamed temporary one, which dies with the process, and copied when its digest is known.
    """

    def __init__(self, storage: Storage, folder: str, version: int, run: str, per: int) -> None:
        self.files: list[DataFile] = []
        self._storage = storage
        self._folder = folder
        self._stamp = (version, run)
        self._per = per
        self._waiting: list[pa.Table] = []
        self._open: _OpenFile | None = None

    def add(self, rows: pa.Table) -> None:
        """Take rows that follow on those before."""
        while rows.num_rows:
            fit = self._fit(rows)
            if not fit:
                self.finish()
                continue
            for start in range(0, fit, _STEP):
                self._take(rows.slice(start, min(_STEP, fit - start)))
            rows = rows.slice(fit)

    def finish(self) -> None:
        """Close the file at hand."""
        if self._open is None:
            return
        self._flush()
        self.files.append(self._open.stored(self._storage, self._folder, *self._stamp))
        self._open = None

    def close(self) -> None:
        """Let go of what is unfinished."""
        if self._open is not None:
            self._open.close()

    def _fit(self, rows: pa.Table) -> int:
        """How many of the rows belong into the file at hand: those that it has room for, and what is of one `at` with
        the last of them."""
        room = self._per - (self._open.rows if self._open else 0)
        if rows.num_rows <= room:
            return int(rows.num_rows)
        at = rows["at"].to_pylist()
        fit = max(room, 0)
        last = at[fit - 1] if fit else self._open and self._open.last
        while fit < len(at) and at[fit] == last:
            fit += 1
        return fit

    def _take(self, rows: pa.Table) -> None:
        if self._open is None:
            self._open = _OpenFile(rows)
        self._waiting.append(rows)
        self._open.count(rows)
        waiting = sum(part.num_rows for part in self._waiting)
        if waiting >= GROUP_ROWS or sum(part.nbytes for part in self._waiting) >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting and self._open:
            self._open.write(pa.concat_tables(self._waiting))
            self._waiting = []


class _OpenFile:
    """One file in the making."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = 0
        self.first = self.last = rows["at"][0].as_py()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stored` or `close`
        short = [name for name in rows.schema.names if name not in ("id", "record")]
        statistics = [*short, "id"]
        self._parquet = pq.ParquetWriter(
            self._file, rows.schema, compression="zstd", use_dictionary=short, write_statistics=statistics
        )

    def count(self, rows: pa.Table) -> None:
        """Take note of rows that are to be written."""
        self.rows += rows.num_rows
        self.last = rows["at"][-1].as_py()

    def write(self, group: pa.Table) -> None:
        """Write a row group."""
        self._parquet.write_table(group, row_group_size=group.num_rows)

    def stored(self, storage: Storage, folder: str, version: int, run: str) -> DataFile:
        """Copy the file, now complete, to where it belongs."""
        self._parquet.close()
        with self._file as file:
            size = file.tell()
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            path = f"{folder}/{version:010d}-{digest[:16]}-{run}.parquet"
            file.seek(0)
            storage.put(path, file)
        return DataFile(path=path, rows=self.rows, bytes=size, sha256=digest, first=self.first, last=self.last)

    def close(self) -> None:
        """Throw it away."""
        self._parquet.close()
        self._file.close()


def run_name() -> str:
    """A name for a run that no other has."""
    return secrets.token_hex(8)
