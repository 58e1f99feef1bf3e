"""The log from the command line: list it, show it, write it out as training rows."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from guard import registry
from guard.core.records import InterruptionRecord, SessionRecord
from guard.core.types import Verdict
from guard.errors import ConfigError, MissingExtra
from guard.exporters import Exporter, Placed
from guard.server.review import summary
from guard.store import Filter, Store

T = TypeVar("T")
OUTCOMES = ("corrected", "relapsed", "abandoned", "open")


def list_interruptions(url: str, limit: int, outcome: str | None, as_json: bool) -> None:
    """Print the newest interruptions, as a table or as JSON."""
    if outcome is not None and outcome not in OUTCOMES:
        raise ConfigError(f"--outcome {outcome!r} is none of {', '.join(OUTCOMES)}")
    wanted: Any = Filter(limit=limit, outcome=outcome)
    records = _with_store(url, lambda store: store.interruptions(wanted))
    if as_json:
        print_json([summary(record) for record in records])
        return
    print(_lines(records) if records else "Nothing has been interrupted yet.")


def show_interruption(url: str, key: str) -> None:
    """Print one interruption as JSON."""
    print_json(asdict(_found(url, key)))


def review_interruption(url: str, key: str, verdict: str) -> None:
    """Write down what a reviewer says of an interruption: `confirmed` or `rejected`."""
    if verdict not in ("confirmed", "rejected"):
        raise ConfigError(f"{verdict!r} is no review; say confirmed or rejected")
    record = _found(url, key)
    _with_store(url, lambda store: store.amend(record.interruption.id, review=verdict))
    print(f"{record.interruption.id}: {verdict}")


def list_findings(url: str, limit: int) -> None:
    """Print what checks flagged without an interruption (`observe`, below `interrupt_at`, late, limited), newest
    first."""
    store = _opened(url)
    try:
        lines: deque[str] = deque(maxlen=limit)
        for session in store.iter_sessions():
            for choice in session.choices:
                texts = {segment.id: segment.text for segment in choice.segments}
                for verdict in choice.verdicts:
                    if verdict.status == "flagged" and verdict.disposition != "interrupted":
                        lines.append(_finding_line(session, verdict, texts.get(verdict.segment, "")))
    finally:
        asyncio.run(store.close())
    print("\n".join(reversed(lines)) or "Nothing has been flagged without an interruption.")


def _finding_line(session: SessionRecord, verdict: Verdict, text: str) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(session.ended))
    surest = max(verdict.findings, key=lambda f: f.score)
    about = f"{session.provenance.policy}  {verdict.check}  {verdict.disposition}  {surest.score:.2f}"
    claim, true = printable(" ".join(text.split())), printable(surest.correction or surest.reason)
    return f"{when}  {about}\n    {claim}  ->  {true}"


def _found(url: str, key: str) -> InterruptionRecord:
    """The interruption of this id, or the only one of the response of this id."""
    record = _with_store(url, lambda store: store.interruption(key))
    if record is None:
        session: Any = Filter(session=key)
        of_session = _with_store(url, lambda store: store.interruptions(session))
        if len(of_session) != 1:
            raise ConfigError(f"there is no interruption {key!r} in {url!r}; see `guard interruptions list`")
        record = of_session[0]
    return record


def export_rows(
    format_: str, out: Path, url: str, tokenizer: str | None, unreviewed: bool, at: str | None = None
) -> None:
    """Write training rows as JSONL and say how many, and what was left out."""
    exporter = _exporter(format_, at)
    loaded = _tokenizer(tokenizer) if tokenizer else None
    skipped: Counter[str] = Counter()
    store = _opened(url)
    try:
        records = exporter.select(store.iter_interruptions(), unreviewed=unreviewed)
        rows = exporter.rows(records, tokenizer=loaded, skipped=skipped)
        first = list(islice(rows, 1))  # what cannot be written at all leaves the file alone
        with out.open("wb") as file:
            written = 0
            for row in chain(first, rows):
                try:
                    line = msgspec.json.encode(row)
                except UnicodeEncodeError:  # a lone surrogate in a model's text
                    skipped["not Unicode"] += 1
                    continue
                file.write(line + b"\n")
                written += 1
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror}") from None
    finally:
        asyncio.run(store.close())
    left = "".join(f", {count} {why}" for why, count in sorted(skipped.items()))
    print(f"{written} rows in {out}{f'; left out{left[1:]}' if left else ''}")
    if not written:
        print(_why_none(url, unreviewed))


def _exporter(format_: str, at: str | None) -> Exporter:
    exporter = registry.exporter(format_)
    if at is None:
        return exporter
    if not isinstance(exporter, Placed):
        raise ConfigError(f"--at {at!r} is for a format with more than one place, such as preference; leave it out")
    return exporter.at(at)


def _why_none(url: str, unreviewed: bool) -> str:
    """What stands between the log and its first row."""
    ends = Counter((r.closing.outcome, r.closing.continuation, r.review) for r in _all(url) if r.closing)
    if not ends:
        return "nothing has been interrupted yet"
    kinds = ", ".join(f"{n} {outcome} by {how}, {review}" for (outcome, how, review), n in ends.most_common())
    hint = "" if unreviewed else "; review some (guard interruptions review ID confirmed) or say --unreviewed"
    return f"on record: {kinds}. Rows come from turns that were corrected and continued in place, not asked again{hint}"


def _all(url: str) -> list[InterruptionRecord]:
    return _with_store(url, lambda store: store.interruptions(Filter(limit=1000)))


def _tokenizer(name: str) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingExtra("--tokenizer needs transformers: pip install 'premise-guard[local]'") from None
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--tokenizer {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None


def existing(url: str) -> Store:
    """The store at a URL; a SQLite file is not created by looking at it."""
    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite:///") and path != ":memory:" and not Path(path).is_file():
        raise ConfigError(f"there is no log {path!r}; name the server's with --store URL, or ask it something first")
    return Store(url)


def _opened(url: str) -> Store:
    store = existing(url)
    asyncio.run(store.open())
    return store


def _with_store(url: str, read: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        store = existing(url)
        await store.open()
        try:
            return await read(store)
        finally:
            await store.close()

    return asyncio.run(run())


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def _lines(records: list[InterruptionRecord]) -> str:
    """Two lines an interruption: what it is, and the claim with what guard wrote."""
    lines = []
    for record in records:
        fields = summary(record)
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.at))
        about = (fields["id"], fields["policy"], fields["check"], fields["correct"], fields["outcome"], record.review)
        claim, put_in = (" ".join(str(fields[name]).split()) for name in ("claim", "put_in"))
        lines += [f"{when}  {'  '.join(about)}", f"    {printable(claim)}  ->  {printable(put_in)}"]
    return "\n".join(lines)


def printable(text: str) -> str:
    """Text without control characters, so that a model cannot steer the terminal it is shown in."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
