"""The log written out as training rows, from the command line."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.cli import choosing
from guard.cli.reading import opened, print_json, printable
from guard.core.records import SessionRecord
from guard.errors import ConfigError
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

_TOKENS = (
    "token ids are on record where the policy has record.top_logprobs of 1 or more and record.prompts of full "
    "(redacted records keep none), and the upstream tells them"
)
_OTHERS = 3
"""Of the other files in a folder, so many are named."""

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
    of_sessions = isinstance(exporter_of(order.job()), OfSessions)
    if to.others:
        print(f"note: {_beside(to.others)} in {order.out} too, and no part of this export", file=sys.stderr)
    if order.format == "clean" and order.unreviewed and not order.as_json:
        print("clean takes confirmed turns only; --unreviewed changes nothing")
    begun, counted = time.monotonic(), Counts()
    with _source(order, of_sessions) as source, _engine(order, source) as rows:
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
        unlike = "" if done.counts.seen or not order.where else _unlike(source, of_sessions)
    report = _report(done, time.monotonic() - begun)
    if order.as_json:
        print_json(report)
    else:
        _print(done, report, order, unlike)


@contextmanager
def _source(order: Order, of_sessions: bool) -> Iterator[Source]:
    """The log, open meanwhile."""
    wanted = Filter.where(order.where)
    if order.archive is None:
        kind = FromSessions if of_sessions else FromStore
        with _database(order.store or STORE) as database:
            yield kind(database=database, wanted=wanted)
        return
    if of_sessions and (fields := choosing.inside(wanted)):
        raise ConfigError(
            f"--where {', '.join(fields)}: sessions of an archive cannot be chosen by what is in them; use policy, "
            "model, session, conversation, user, since and until, or read the store"
        )
    from guard.archive import Archive

    archive = Archive(order.archive)
    if order.store is None:
        yield FromArchive(archive=archive, wanted=wanted)
        return
    with _database(order.store) as database:
        yield FromArchive(archive=archive, wanted=wanted, judged=database)


@dataclass(frozen=True, slots=True, kw_only=True)
class FromSessions(FromStore):
    """The store, whose sessions may be chosen by what is in them."""

    def sessions(self) -> Iterator[SessionRecord]:
        """See Source."""
        return choosing.sessions(self.database, self.wanted)


def _unlike(source: Source, of_sessions: bool) -> str:
    """What is on record that is not as it is wanted; "" where nothing is."""
    if isinstance(source, FromArchive):
        number = sum(file.rows for file in source.archive.files("session" if of_sessions else "interruption"))
        return f"none of the {number} {'sessions' if of_sessions else 'interruptions'} on record" if number else ""
    assert isinstance(source, FromStore)
    if of_sessions:
        return "no session on record" if any(source.database.iter_sessions(Filter(limit=1))) else ""
    number = source.database.count(Filter())
    return f"none of the {number} interruptions on record" if number else ""


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


def _beside(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_OTHERS])
    more = f" and {len(names) - _OTHERS} more" if len(names) > _OTHERS else ""
    return f"{shown}{more} {'are' if len(names) > 1 else 'is'}"


def _print(done: Harvested, report: dict[str, Any], order: Order, unlike: str) -> None:
    left = "".join(f", {count} {why}" for why, count in report["left_out"].items())
    each = ", ".join(f"{file['rows']} {file['split']}" for file in report["files"])
    splits = f" ({each})" if len(report["files"]) > 1 else ""
    print(f"{done.rows} rows in {order.out}{splits}{f'; left out{left[1:]}' if left else ''}")
    print(f"{report['read']} records read, {report['selected']} selected; {report['rows_per_second']} rows/s")
    if fragments := report["fragments"]:
        print(f"{fragments} of {done.rows} rejected texts are fragments, cut off before a sentence ended; {_LONGER}")
    if "no token ids" in report["left_out"]:
        print(_TOKENS)
    if unlike:
        print(f"{unlike} matches --where {' --where '.join(map(printable, order.where))}")
    elif not (done.rows or report["selected"]):  # else what was left out says why
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
