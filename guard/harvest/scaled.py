"""The rows of an archive, made by Ray on as many machines as there are: in the order in which one process makes them.

Knows Ray and pyarrow; both are loaded when an export asks for them. Rules:

- The archive's time is cut where its files begin. A task reads one stretch through the archive's own reader, so
  whatever files it meets it reads every row once, and makes the stretch's rows with the same function as `local`.
- Where a row is made of a whole turn, the records of each turn are gathered first, and the rows put back into order.
  Memory is Ray's affair: what does not fit it spills.
- Ray sends our functions and arguments to its own processes as pickles of its making. Nothing of the log is ever
  unpickled: records travel as JSON text. Every machine needs guard, and must find the archive and the tokenizer by the
  names given here. Ray's usage statistics are off.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.core.records import InterruptionRecord, Review
from guard.errors import ConfigError, GuardError, MissingExtra
from guard.harvest import counts
from guard.harvest.counts import Counts
from guard.harvest.maker import Job, Made, Maker
from guard.harvest.sources import FromArchive
from guard.harvest.split import utf8
from guard.harvest.turns import turns
from guard.store import Filter
from guard.store.codec import decode, encode

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 256
"""Rows that a task hands on at a time."""

_LAST = ""
"""The key of a row that is none: what a task counted."""

_ROW = {
    "at": 0.0,
    "key": _LAST,
    "number": 0,
    "line": b"",
    "same": b"",
    "near": b"",
    "conversation": "",
    "fragment": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What every task knows: the same for all of them."""

    url: str
    job: Job
    wanted: Filter
    reviews: Mapping[str, Review]
    missed: Mapping[str, Sequence[str]]


@contextmanager
def started(**options: Any) -> Iterator[None]:
    """Ray, at the cluster that RAY_ADDRESS names, else on this machine; left as it was found.

    Raises MissingExtra: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.data import DataContext
        from ray.data.context import ShuffleStrategy
    except ImportError:
        raise MissingExtra("--engine ray needs Ray: pip install 'premise-guard[scale]'") from None
    own = not ray.is_initialized()
    if own:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING, **options)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED  # the others need more than one processor
    try:
        with DataContext.current(context):
            yield
    finally:
        if own:
            ray.shutdown()


def rows(job: Job, source: FromArchive, counted: Counts) -> Iterator[Made]:
    """As `local.rows`; Ray runs (`started`)."""
    import ray.data

    maker = Maker(job)
    task = Task(
        url=_anywhere(source.archive.url),
        job=replace(job, tokenizer=_anywhere(job.tokenizer) if job.tokenizer else None),
        wanted=source.wanted,
        reviews=source.reviews() if maker.of_sessions else {},
        missed={} if maker.of_sessions else source.missed(),
    )
    files = source.archive.files("session" if maker.of_sessions else "interruption")
    cuts = [-math.inf, *(file.first for file in files[1:]), math.inf]
    stretches = [{"since": since, "until": until} for since, until in pairwise(cuts)]
    data = ray.data.from_items(stretches, override_num_blocks=len(stretches))
    make = _of_sessions if maker.of_sessions else _selected if job.of_turns else _of_interruptions
    data = data.map_batches(make, batch_size=1, batch_format="pyarrow", fn_kwargs={"task": task})
    if job.of_turns:
        grouped = data.groupby("turn").map_groups(_of_turn, batch_format="pyarrow", fn_kwargs={"task": task})
        data = grouped.sort(["at", "key", "number"])
    for batch in _batches(data):
        yield from _made(batch, counted)


def _anywhere(place: str) -> str:
    """A place by a name that does not depend on the folder a worker runs in."""
    return str(Path(place).resolve()) if Path(place).exists() else place


def _batches(data: Any) -> Iterator[pa.Table]:
    """A data set's blocks. Raises what a task raised, where that is one of our errors."""
    from ray.exceptions import RayError

    try:
        yield from data.iter_batches(batch_size=BLOCK, batch_format="pyarrow")
    except RayError as error:
        cause: Any = error
        while isinstance(cause, RayError) and getattr(cause, "cause", None) is not None:
            cause = cause.cause
        if isinstance(cause, GuardError) and not isinstance(cause, RayError):
            raise type(cause)(str(cause).splitlines()[0]) from None  # Ray has added advice of its own
        raise ConfigError(f"--engine 'ray' failed: {' '.join(str(cause).split())[-500:]}") from error


def _of_interruptions(stretch: pa.Table, task: Task) -> Iterator[pa.Table]:
    counted, maker = Counts(), _maker(task.job)
    taken = maker.selected(_source(stretch, task).interruptions(), task.missed, counted)
    yield from _blocks((_row(made) for record in taken for made in maker.rows([record], counted)), counted)


def _of_sessions(stretch: pa.Table, task: Task) -> Iterator[pa.Table]:
    counted = Counts()
    sessions = _source(stretch, task).sessions()
    yield from _blocks(map(_row, _maker(task.job).session_rows(sessions, task.reviews, counted)), counted)


def _selected(stretch: pa.Table, task: Task) -> Iterator[pa.Table]:
    """The records themselves, each with the turn that it is of."""
    counted = Counts()
    taken = _maker(task.job).selected(_source(stretch, task).interruptions(), task.missed, counted)
    yield from _blocks(map(_record, taken), counted, turn="")


def _of_turn(records: pa.Table, task: Task) -> pa.Table:
    """The rows of one turn; or what the tasks before counted, as it came."""
    import pyarrow as pa

    if records["turn"][0].as_py() == "":
        return records.drop_columns(["turn"])
    counted, maker = Counts(), _maker(task.job)
    ordered = records.sort_by([("at", "ascending"), ("key", "ascending")])
    found = [decode(line.as_py().decode(), InterruptionRecord) for line in ordered["line"]]
    together = turns(found) if len(found) > 1 else [found]
    made = (_row(row) for turn in together for row in maker.rows(turn, counted))
    return pa.concat_tables(_blocks(made, counted))


@cache
def _maker(job: Job) -> Maker:
    return Maker(job)


def _source(stretch: pa.Table, task: Task) -> FromArchive:
    """The part of the archive between two times."""
    from guard.archive import Archive

    since, until, wanted = stretch["since"][0].as_py(), stretch["until"][0].as_py(), task.wanted
    return FromArchive(
        archive=Archive(task.url),
        wanted=replace(
            wanted,
            since=since if wanted.since is None else max(since, wanted.since),
            until=until if wanted.until is None else min(until, wanted.until),
        ),
    )


def _record(record: InterruptionRecord) -> dict[str, Any]:
    """A record in the place of a row."""
    cut = record.interruption
    turn = f"{cut.choice} {utf8(record.provenance.session)}"
    return _ROW | {"at": record.at, "key": utf8(cut.id), "line": encode(record).encode(), "turn": turn}


def _row(made: Made) -> dict[str, Any]:
    return {name: getattr(made, name) for name in _columns()}


def _blocks(rows: Iterable[Mapping[str, Any]], counted: Counts, **more: str) -> Iterator[pa.Table]:
    """Rows in tables, and behind them what was counted on the way."""
    import pyarrow as pa

    columns = _columns() | dict.fromkeys(more, pa.string())
    schema, rest = pa.schema(list(columns.items())), iter(rows)
    while block := list(islice(rest, BLOCK)):
        yield pa.Table.from_pylist(block, schema=schema)
    yield pa.Table.from_pylist([_ROW | {"line": counts.written(counted)} | more], schema=schema)


def _made(batch: pa.Table, counted: Counts) -> Iterator[Made]:
    for row in batch.select(list(_columns())).to_pylist():
        if row["key"] == _LAST:
            counted.add(counts.read(row["line"]))
        else:
            yield Made(**row)


@cache
def _columns() -> dict[str, pa.DataType]:
    import pyarrow as pa

    return {
        "at": pa.float64(),
        "key": pa.string(),
        "number": pa.int64(),
        "line": pa.large_binary(),
        "same": pa.binary(),
        "near": pa.binary(),
        "conversation": pa.string(),
        "fragment": pa.bool_(),
    }
