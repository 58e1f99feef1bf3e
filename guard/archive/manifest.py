"""What an archive consists of: which files count, and how far the store has been read.

A manifest is one immutable version of that. Knows names and numbers; of rows it knows how many and from when to when,
so that nobody's name or id stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import msgspec

from guard.errors import StoreError

FORMAT = "guard-archive/1"
"""Of manifests and of the Parquet files' columns; raised when one changes meaning."""

TableName = Literal["interruption", "session"]
TABLES: tuple[TableName, ...] = get_args(TableName)

_MANIFEST = re.compile(r"manifest/(\d{10})\.json")
_DATA = re.compile(r"(interruption|session)/day=(-?\d{4,}-\d\d-\d\d)/(\d{10})-[\w-]+\.parquet")
_LEFT = re.compile(r"manifest/(\d{10})-[\w-]+\.part")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A Parquet file that counts.

    Attributes:
        path: ``{table}/day=YYYY-MM-DD/{version}-{digest}-{run}.parquet``: the version it was written for, the start
            of its SHA-256 and the run that wrote it, so that two runs never write one path.
        bytes: its size; `sha256` of all of it.
        first, last: `at` of its first and last row, in unix seconds. Rows of one `at` stand in one file.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    first: float
    last: float

    @property
    def day(self) -> str:
        """The day (UTC) that its rows are of, as ``YYYY-MM-DD``."""
        return self.path.split("/")[1].removeprefix("day=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A write of the store's by its `rev` and a digest of the row's id: another store has another row there."""

    rev: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A table: its files in the order of their rows, the highest `rev` of the store's that has been read into them, and
    some of the last writes that were."""

    rev: int = 0
    files: tuple[DataFile, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One version. `run` names who wrote it, so that no two manifests are the same bytes."""

    version: int
    run: str
    tables: Mapping[TableName, Part] = field(default_factory=lambda: {table: Part() for table in TABLES})
    format: str = FORMAT

    def next(self, run: str) -> Manifest:
        """The version after this one, so far the same."""
        return replace(self, version=self.version + 1, run=run)

    def having(self, table: TableName, part: Part) -> Manifest:
        """The same with another part."""
        return replace(self, tables={**self.tables, table: part})

    @property
    def paths(self) -> frozenset[str]:
        """Of every file that counts."""
        return frozenset(file.path for part in self.tables.values() for file in part.files)


def path_of(version: int) -> str:
    """Where the manifest of a version stands."""
    return f"manifest/{version:010d}.json"


def version_of(path: str) -> int | None:
    """The version of the manifest that stands there; None if that is none."""
    found = _MANIFEST.fullmatch(path)
    return int(found[1]) if found else None


def written_for(path: str) -> int | None:
    """The version that a data file, or the rest of an unfinished manifest, was written for; None for other files."""
    data, left = _DATA.fullmatch(path), _LEFT.fullmatch(path)
    return int(data[3]) if data else int(left[1]) if left else None


def encode(manifest: Manifest) -> bytes:
    """A manifest as JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1)


def decode(data: bytes, shown: str) -> Manifest:
    """The manifest that was encoded.

    Raises:
        StoreError: it is none, names a file outside the archive, or is of a newer guard.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"archive {shown!r} has a manifest that cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise StoreError(f"archive {shown!r} has format {manifest.format!r}, this guard {FORMAT!r}; upgrade guard")
    if strange := next((path for path in manifest.paths if not _DATA.fullmatch(path)), None):
        raise StoreError(f"archive {shown!r} has a manifest that names {strange!r}, which is no file of an archive's")
    return manifest
