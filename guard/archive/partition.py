"""How a table's files take new rows in and let rows go: copy on write.

A day's files stand one after the other, no two of one time, so there is one file that a row can be in. Only the files
that a change touches are written anew, together with small neighbours: many small ones become a few of the size wanted.
Knows rows and files; does not know where they come from or which files count.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from guard.archive.manifest import DataFile, TableName
from guard.archive.rows import SCHEMA, Writer, groups, holds, sorted_together
from guard.archive.storage import Storage, told

TARGET: dict[TableName, int] = {"interruption": 20_000, "session": 4_000}
"""Rows of a file: a day's files have from half as many to half as many again, but for one that is alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a table's files become: all of them in order, how many are new, and how many rows they lost (because a newer
    one of their id came, or because they were to go)."""

    files: tuple[DataFile, ...]
    written: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriter:
    """Writes a table's files anew, for a version that is to be committed.

    Its methods raise FileNotFoundError where a newer version has replaced a file meanwhile, and StoreError.
    """

    storage: Storage
    table: TableName
    version: int
    run: str

    def take(self, files: Sequence[DataFile], rows: pa.Table) -> Change:
        """Add rows, which are in order. One whose id is there replaces it; a row's `at` never changes."""
        at = rows["at"].to_pylist()
        change = Change(files=tuple(files))
        for day, of_day in groupby(range(len(at)), key=lambda number: day_of(at[number])):
            numbers = list(of_day)
            part = rows.slice(numbers[0], len(numbers))
            change = self._day(change, day, part, part["at"].to_pylist(), None)
        return change

    def drop(self, files: Sequence[DataFile], lost: pc.Expression) -> Change:
        """Let go of the rows that match."""
        touched = [file for file in files if holds(self.storage, file, lost)]
        change = Change(files=tuple(files))
        for day, of_day in groupby(touched, key=lambda file: file.day):
            at = [file.first for file in of_day]
            change = self._day(change, day, SCHEMA[self.table].empty_table(), at, lost)
        return change

    def _day(self, change: Change, day: str, rows: pa.Table, at: Sequence[float], lost: pc.Expression | None) -> Change:
        """One day's files with the rows, and without those lost; `at` says which files are touched."""
        files = [file for file in change.files if file.day == day]
        for old, begin, end in _jobs(files, at, TARGET[self.table]):
            part = rows.slice(begin, end - begin)
            new, gone = self._rewritten(day, old, part, lost)
            kept = [file for file in change.files if file not in old]
            kept = sorted([*kept, *new], key=lambda file: file.first)
            change = Change(files=tuple(kept), written=change.written + len(new), lost=change.lost + gone)
        return change

    def _rewritten(
        self, day: str, old: Sequence[DataFile], rows: pa.Table, lost: pc.Expression | None
    ) -> tuple[list[DataFile], int]:
        """The files that come of `old` and `rows`, and how many rows of `old` are not in them."""
        before = sum(file.rows for file in old)
        total = before + rows.num_rows
        per = -(-total // max(1, round(total / TARGET[self.table])))
        folder = f"{self.table}/day={day}"
        with told(self.storage.shown), closing(Writer(self.storage, folder, self.version, self.run, per)) as writer:
            for merged in self._merged(old, rows, lost):
                writer.add(merged)
            writer.finish()
            return writer.files, total - sum(file.rows for file in writer.files)

    def _merged(self, old: Sequence[DataFile], rows: pa.Table, lost: pc.Expression | None) -> Iterator[pa.Table]:
        """The rows of files and the new ones, in order, a row group at a time."""
        keys = list(zip(rows["at"].to_pylist(), rows["id"].to_pylist(), strict=True))
        done = 0
        for group in (group for file in old for group in groups(self.storage, file)):
            upto = bisect_right(keys, (group["at"][-1].as_py(), group["id"][-1].as_py()), lo=done)
            new = rows.slice(done, upto - done)
            replaced = pc.field("id").isin(new["id"].combine_chunks())
            yield sorted_together(self.table, [group.filter(~(replaced if lost is None else lost)), new])
            done = upto
        yield rows.slice(done)


def day_of(at: float) -> str:
    """The day (UTC) of a time in unix seconds."""
    return datetime.fromtimestamp(at, tz=UTC).date().isoformat()


def _jobs(files: Sequence[DataFile], at: Sequence[float], target: int) -> Iterator[tuple[Sequence[DataFile], int, int]]:
    """What to write anew of a day's files where rows of these times change: files that stand side by side, and which
    of the times are theirs, from and up to."""
    if not files:
        yield (), 0, len(at)
        return
    starts = [file.first for file in files]
    home = [max(0, bisect_right(starts, time) - 1) for time in at]
    touched = set(home)
    near = {number + step for number in touched for step in (-1, 1)}
    small = {number for number in near if 0 <= number < len(files) and files[number].rows < target / 2}
    for first, last in _runs(sorted(touched | small)):
        yield files[first : last + 1], bisect_left(home, first), bisect_right(home, last)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers that follow one another."""
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        of_run = [number for _, number in run]
        yield of_run[0], of_run[-1]
