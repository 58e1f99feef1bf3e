"""The log written out as training rows, from the command line."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from guard import registry
from guard.cli.reading import opened, with_store
from guard.core.records import InterruptionRecord
from guard.errors import ConfigError, MissingExtra
from guard.exporters import Exporter, Placed, Row
from guard.store import Filter

_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]*_]*(?:\s|$)|[。！？｡]|\n""")
_LONGER = "for longer ones set record.counterfactual in the policy"
_REVIEW = (
    "; review some (guard interruptions review ID confirmed)",
    "; review some (guard interruptions review ID confirmed) or say --unreviewed",
)
"""The way out for a format that takes confirmed turns only, and for one that need not."""


def export_rows(
    format_: str, out: Path, url: str, tokenizer: str | None, unreviewed: bool, at: str | None = None
) -> None:
    """Write training rows as JSONL and say how many, and what was left out."""
    exporter = _exporter(format_, at)
    if format_ == "clean" and unreviewed:
        print("clean takes confirmed turns only; --unreviewed changes nothing")
    loaded = _tokenizer(tokenizer) if tokenizer else None
    skipped: Counter[str] = Counter()
    store = opened(url)
    try:
        records = exporter.select(store.iter_interruptions(), unreviewed=unreviewed)
        rows = exporter.rows(records, tokenizer=loaded, skipped=skipped)
        first = list(islice(rows, 1))  # what cannot be written at all leaves the file alone
        with out.open("wb") as file:
            written = fragments = 0
            for row in chain(first, rows):
                try:
                    line = msgspec.json.encode(row)
                except UnicodeEncodeError:  # a lone surrogate in a model's text
                    skipped["not Unicode"] += 1
                    continue
                file.write(line + b"\n")
                written += 1
                fragments += format_ == "preference" and _is_fragment(row)
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror}") from None
    finally:
        asyncio.run(store.close())
    left = "".join(f", {count} {why}" for why, count in sorted(skipped.items()))
    print(f"{written} rows in {out}{f'; left out{left[1:]}' if left else ''}")
    if fragments:
        print(f"{fragments} of {written} rejected texts are fragments, cut off before a sentence ended; {_LONGER}")
    if not written:
        print(_why_none(url, "" if unreviewed and format_ != "clean" else _REVIEW[format_ != "clean"]))


def _is_fragment(row: Row) -> bool:
    """Whether a row of `preference`, after the claim, has no whole sentence to reject."""
    return row.get("at") == "after" and not _SENTENCE_END.search(_rejected(row["rejected"]).strip())


def _rejected(rejected: str | Mapping[str, Any]) -> str:
    """What is rejected behind the claim, from either form of a row."""
    if isinstance(rejected, str):
        return rejected
    turn, spans = rejected["assistant"], rejected["spans"]
    return "\n".join(turn[s["channel"]][s["start"] : s["end"]] for s in spans if s["kind"] == "discarded")


def _exporter(format_: str, at: str | None) -> Exporter:
    exporter = registry.exporter(format_)
    if at is None:
        return exporter
    if not isinstance(exporter, Placed):
        raise ConfigError(f"--at {at!r} is for a format with more than one place, such as preference; leave it out")
    return exporter.at(at)


def _why_none(url: str, hint: str) -> str:
    """What stands between the log and its first row."""
    ends = Counter((r.closing.outcome, r.closing.continuation, r.review) for r in _all(url) if r.closing)
    if not ends:
        return "nothing has been interrupted yet"
    kinds = ", ".join(f"{n} {outcome} by {how}, {review}" for (outcome, how, review), n in ends.most_common())
    return f"on record: {kinds}. Rows come from turns that were corrected and continued in place, not asked again{hint}"


def _all(url: str) -> list[InterruptionRecord]:
    return with_store(url, lambda store: store.interruptions(Filter(limit=1000)))


def _tokenizer(name: str) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingExtra("--tokenizer needs transformers: pip install 'premise-guard[local]'") from None
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--tokenizer {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None
