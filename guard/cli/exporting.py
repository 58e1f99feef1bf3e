"""The log written out as training rows, from the command line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guard.cli.reading import opened, print_json
from guard.exporters import OfSessions
from guard.harvest import counts, local
from guard.harvest.card import Told, card
from guard.harvest.counts import Counts
from guard.harvest.maker import Job, Made, exporter_of
from guard.harvest.order import STORE, Order
from guard.harvest.run import run
from guard.harvest.selecting import trusts
from guard.harvest.sink import Harvested, place
from guard.harvest.sources import FromArchive, FromStore, Source
from guard.store import Database, Filter

_LONGER = "for longer ones set record.counterfactual in the policy"
_REVIEW = (
    "; review some (guard interruptions review ID confirmed)",
    "; review some (guard interruptions review ID confirmed) or say --unreviewed",
)
"""The way out for a format that takes confirmed turns only, and for one that need not."""

Engine = Callable[[Job, Counts], Iterator[Made]]


def export_rows(
    format_: str,
    out: Path,
    url: str | None = None,
    tokenizer: str | None = None,
    unreviewed: bool = False,
    at: str | None = None,
    **more: Any,
) -> None:
    """`export`, with an order's first fields by place."""
    export(Order(format=format_, out=out, store=url, tokenizer=tokenizer, unreviewed=unreviewed, at=at, **more))


def export(order: Order) -> None:
    """Write training rows as JSONL, with a card beside them, and say how many and what was left out."""
    dedupe, to = order.demand(), place(order.out, order.validation, order.card)
    exporter_of(order.job())
    if order.format == "clean" and order.unreviewed and not order.as_json:
        print("clean takes confirmed turns only; --unreviewed changes nothing")
    begun, counted = time.monotonic(), Counts()
    with _source(order) as source, _engine(order, source) as rows:
        trusted = trusts(source.reviewed(), order.trust)
        made = rows(order.job([one.check for one in trusted if one.enough]), counted)
        told = Told(
            format=order.format,
            command=order.command(),
            unreviewed=order.unreviewed,
            precision=order.trust,
            trusts=trusted,
            rates=source.rates() if to.card else {},
            dedupe=dedupe,
            share=order.validation,
            licence=order.licence,
        )
        done = run(made, counted, to, order.out, dedupe=dedupe, share=order.validation, card=lambda d: card(told, d))
    report = _report(done, time.monotonic() - begun)
    if order.as_json:
        print_json(report)
    else:
        _print(done, report, order)


@contextmanager
def _source(order: Order) -> Iterator[Source]:
    """The log, open meanwhile."""
    wanted = Filter.where(order.where)
    if order.archive is None:
        with _database(order.store or STORE) as database:
            yield FromStore(database=database, wanted=wanted)
        return
    from guard.archive import Archive

    archive = Archive(order.archive)
    if order.store is None:
        yield FromArchive(archive=archive, wanted=wanted)
        return
    with _database(order.store) as database:
        yield FromArchive(archive=archive, wanted=wanted, judged=database)


@contextmanager
def _database(url: str) -> Iterator[Database]:
    store = opened(url)
    try:
        yield store.database
    finally:
        asyncio.run(store.close())


@contextmanager
def _engine(order: Order, source: Source) -> Iterator[Engine]:
    """What makes rows of the log."""
    if order.engine == "local" or not isinstance(source, FromArchive):
        yield lambda job, counted: local.rows(job, source, counted)
        return
    from guard.harvest import scaled

    with scaled.started():
        yield lambda job, counted: scaled.rows(job, source, counted)


def _report(done: Harvested, seconds: float) -> dict[str, Any]:
    read, selected = (sum(counts.of(each, "record").values()) for each in (done.counts.seen, done.counts.taken))
    return {
        "rows": done.rows,
        "files": [
            {"split": split, "name": file.name, "rows": file.rows, "bytes": file.size, "sha256": file.sha256}
            for split, file in done.files.items()
        ],
        "read": read,
        "selected": selected,
        "left_out": dict(sorted(done.left_out.items())),
        "fragments": done.fragments.total(),
        "seconds": round(seconds, 3),
        "rows_per_second": round(done.rows / seconds) if seconds else done.rows,
    }


def _print(done: Harvested, report: dict[str, Any], order: Order) -> None:
    left = "".join(f", {count} {why}" for why, count in report["left_out"].items())
    each = ", ".join(f"{file['rows']} {file['split']}" for file in report["files"])
    splits = f" ({each})" if len(report["files"]) > 1 else ""
    print(f"{done.rows} rows in {order.out}{splits}{f'; left out{left[1:]}' if left else ''}")
    print(f"{report['read']} records read, {report['selected']} selected; {report['rows_per_second']} rows/s")
    if fragments := report["fragments"]:
        print(f"{fragments} of {done.rows} rejected texts are fragments, cut off before a sentence ended; {_LONGER}")
    if not done.rows:
        hint = "" if order.unreviewed and order.format != "clean" else _REVIEW[order.format != "clean"]
        print(_why_none(done, hint, isinstance(exporter_of(order.job()), OfSessions)))


def _why_none(done: Harvested, hint: str, of_sessions: bool) -> str:
    """What stands between the log and its first row."""
    sessions, ends = (counts.of(done.counts.seen, name) for name in ("session", "end"))
    if of_sessions:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sessions.items()) or "none"
        return f"on record: sessions, {kinds}. Rows come from segments that checks or reviewers judged{hint}"
    if not ends:
        return "nothing has been interrupted yet"
    kinds = ", ".join(f"{n} {end}" for end, n in ends.items())
    return f"on record: {kinds}. Rows come from turns that were corrected and continued in place, not asked again{hint}"
