"""Documents mixed into a corpus for pre-training, at a chosen share and without making it longer.

    guard export documents --out documents.jsonl
    guard train mix --documents documents.jsonl --corpus corpus.jsonl --rate 0.02 --out mix.jsonl

Documents take the place of corpus rows of the same size, drawn by chance, so that mixes of several rates are trained on
equally much text and differ in nothing else; rate 0 copies the corpus, for the control. Documents are gone through as
often as it takes, in a new order each time. The same seed gives the same mix.

Rows are JSON lines with `text` (`.jsonl`, `.ndjson`, `.json`), or paragraphs of plain text, parted by blank lines. A
mix has `text`, `source` (`document` or `corpus`) and the documents' `spans`, for a trainer that masks what they quote
as false. Size is what the caller measures: characters, or a tokenizer's tokens. The corpus is read twice, never held.
"""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from guard.errors import ConfigError

Row: TypeAlias = tuple[str, list[Any]]
"""A text and its spans."""

Size: TypeAlias = Callable[[str], int]

_JSON = frozenset({".jsonl", ".ndjson", ".json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was mixed.

    Attributes:
        rows: written, `documents` of them from the documents, of which there are `different`.
        replaced: rows of the corpus that were left out.
        size, of_documents, of_corpus: of the mix, of the documents in it, and of the whole corpus.
    """

    rows: int
    documents: int
    different: int
    replaced: int
    size: int
    of_documents: int
    of_corpus: int

    @property
    def share(self) -> float:
        """The documents' share of the mix."""
        return self.of_documents / self.size if self.size else 0.0

    @property
    def repeats(self) -> float:
        """How often each document is in the mix, on average."""
        return self.documents / self.different


def mix(documents: Path, corpus: Path, rate: float, out: Path, *, seed: int = 0, size: Size = len) -> Report:
    """Write the mix and say what is in it.

    Args:
        rate: share of the mix's size that is documents, from 0 up to, not including, 1.
        size: of a text; characters unless told.

    Raises:
        ConfigError: no such rate, a file that cannot be read or written, or rows too large to come near the rate.
    """
    if not 0 <= rate < 1:
        raise ConfigError(f"rate {rate!r} is no share; say one from 0 up to, not including, 1 (0.02: two in a hundred)")
    if any(out.exists() and path.exists() and out.samefile(path) for path in (documents, corpus)):
        raise ConfigError(f"{str(out)!r} is to be mixed from; name another file to write")
    told = [(row, size(row[0])) for row in _rows(documents)]
    told = [(row, measured) for row, measured in told if measured > 0]
    sizes = array("Q", (size(text) for text, _ in _rows(corpus)))
    _fits(told, sizes, rate, documents, corpus)
    drawn = random.Random(seed)
    try:
        with out.open("w", encoding="utf-8") as file:
            written = _write(file.write, told, zip(_rows(corpus), sizes, _kept(sizes, rate, drawn), strict=True), drawn)
    except OSError as error:
        raise ConfigError(f"{str(out)!r} cannot be written: {error.strerror}") from None
    return Report(**written, different=len(told), of_corpus=sum(sizes))


def _fits(told: Sequence[tuple[Row, int]], sizes: Sequence[int], rate: float, documents: Path, corpus: Path) -> None:
    """Raises ConfigError where the rows are too few or too large for the rate."""
    total = sum(sizes)
    if not told or not total:
        raise ConfigError(f"{str(documents if total else corpus)!r} has no text")
    if rate and min(measured for _, measured in told) > 2 * rate * total:
        raise ConfigError(f"rate {rate!r} of {str(corpus)!r} is too little for one document; raise it")
    if rate and max(sizes) > min(rate, 1 - rate) * total:
        raise ConfigError(
            f"rate {rate!r} of {str(corpus)!r} cannot be reached: one of its {len(sizes)} rows is "
            f"{max(sizes) / total:.0%} of it; cut it into smaller rows (in plain text, blank lines part them)"
        )


def _kept(sizes: Sequence[int], rate: float, drawn: random.Random) -> Iterator[bool]:
    """Which rows stay, so that those left out come to the rate within the size of one row."""
    total = sum(sizes)
    wanted = rate * total
    for size in sizes:
        replaced = drawn.random() * total < wanted
        total -= size
        wanted -= size if replaced else 0
        yield not replaced


def _write(
    write: Callable[[str], Any],
    told: Sequence[tuple[Row, int]],
    corpus: Iterator[tuple[Row, int, bool]],
    drawn: random.Random,
) -> dict[str, int]:
    counts = {"rows": 0, "documents": 0, "replaced": 0, "size": 0, "of_documents": 0}
    endless = _endless(told, drawn)
    document, its = next(endless)
    owed = 0.0
    for row, size, stays in corpus:
        if stays:
            write(_line(row, "corpus"))
            counts["rows"] += 1
            counts["size"] += size
            continue
        counts["replaced"] += 1
        owed += size
        while owed >= its / 2:
            write(_line(document, "document"))
            owed -= its
            counts["rows"] += 1
            counts["documents"] += 1
            counts["size"] += its
            counts["of_documents"] += its
            document, its = next(endless)
    return counts


def _endless(told: Sequence[tuple[Row, int]], drawn: random.Random) -> Iterator[tuple[Row, int]]:
    order = list(told)
    while True:
        drawn.shuffle(order)
        yield from order


def _line(row: Row, source: str) -> str:
    text, spans = row
    return json.dumps({"text": text, "source": source, "spans": spans}) + "\n"


# Reading


def _rows(path: Path) -> Iterator[Row]:
    """The rows of a file that have text, in order, one in memory at a time. Raises ConfigError."""
    try:
        # Line ends stay as they are; a mark of the byte order is no text.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            yield from _objects(path, file) if path.suffix in _JSON else _paragraphs(file)
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except UnicodeError as error:
        raise ConfigError(f"{str(path)!r} is not UTF-8: {error}") from None


def _objects(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{str(path)!r}, line {number} is not JSON: {error}") from None
        text = told.get("text") if isinstance(told, dict) else None
        if not isinstance(text, str):
            raise ConfigError(f"{str(path)!r}, line {number} is no object with a `text`")
        spans = told.get("spans")
        if text.strip():
            yield text, spans if isinstance(spans, list) else []


def _paragraphs(lines: Iterator[str]) -> Iterator[Row]:
    held: list[str] = []
    for line in lines:
        if line.strip():
            held.append(line)
        elif held:
            yield "".join(held).rstrip("\r\n"), []
            held = []
    if held:
        yield "".join(held).rstrip("\r\n"), []
