"""The log from the command line: list it, show it, write it out as training rows."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guard import registry
from guard.core.records import InterruptionRecord
from guard.errors import ConfigError, MissingExtra
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
        _print_json([summary(record) for record in records])
        return
    Console().print(_table(records) if records else "Nothing has been interrupted yet.")


def show_interruption(url: str, key: str) -> None:
    """Print one interruption as JSON."""
    record = _with_store(url, lambda store: store.interruption(key))
    if record is None:
        raise ConfigError(f"there is no interruption {key!r} in {url!r}; see `guard interruptions list`")
    _print_json(asdict(record))


def export_rows(format_: str, out: Path, url: str, tokenizer: str | None, unreviewed: bool) -> None:
    """Write training rows as JSONL and say how many, and what was left out."""
    exporter: Any = registry.exporter(format_)
    loaded = _tokenizer(tokenizer) if tokenizer else None
    skipped: Counter[str] = Counter()
    store = _opened(url)
    try:
        records = exporter.select(store.iter_interruptions(), unreviewed=unreviewed)
        with out.open("wb") as file:
            written = 0
            for row in exporter.rows(records, tokenizer=loaded, skipped=skipped):
                file.write(msgspec.json.encode(row) + b"\n")
                written += 1
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror}") from None
    finally:
        asyncio.run(store.close())
    left = "".join(f", {count} {why}" for why, count in sorted(skipped.items()))
    print(f"{written} rows in {out}{f'; left out{left[1:]}' if left else ''}")


def _tokenizer(name: str) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingExtra("--tokenizer needs transformers: pip install 'premise-guard[local]'") from None
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--tokenizer {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None


def _opened(url: str) -> Store:
    store = Store(url)
    asyncio.run(store.open())
    return store


def _with_store(url: str, read: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        store = Store(url)
        await store.open()
        try:
            return await read(store)
        finally:
            await store.close()

    return asyncio.run(run())


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def _table(records: list[InterruptionRecord]) -> Table:
    """What models wrote is `Text`, never markup: it could hold a terminal's control sequences otherwise."""
    table = Table("when", "id", "check", "outcome", "claim", "put in", box=None, pad_edge=False)
    for record in records:
        fields = summary(record)
        when = time.strftime("%m-%d %H:%M:%S", time.localtime(record.at))
        cells = (when, fields["id"], fields["check"], fields["outcome"], fields["claim"], fields["put_in"])
        table.add_row(*(Text(printable(str(cell)).strip()) for cell in cells))
    return table


def printable(text: str) -> str:
    """Text without control characters, so that a model cannot steer the terminal it is shown in."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
