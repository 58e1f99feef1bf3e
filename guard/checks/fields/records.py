"""What a passage says in structure, for `guard.checks.fields`: JSON, tables, ``key: value`` lines.

It knows no sentences. Rules:

1. Every scalar is a `Field` with its path, its record and its quote: the pair, or the table's row, as it stands in the
   passage. An object in a list is a record of its own; what is outside of any is record 0 of the passage.
2. Strings of more than `LABEL` words and passages without structure are prose: they may bear out a statement that the
   fields do not, and contradict none.
3. A table needs its dashed line (Markdown) or three lines of as many short cells (CSV, tabs); ``key: value`` needs two
   lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from guard.checks.fields.document import Node, Scalar, documents
from guard.core.types import Passage

LABEL = 8
"""A longer string is prose."""
MOST = 4000
"""Fields of one context that are looked at."""
_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*")
_PAIR = re.compile(
    r"[ \t]*(?:[-*•]\s+)?\**(?P<key>[^\W\d_][\w /().-]{0,38}?)\**\s*[:=]\s*\**(?P<value>[^\n]{0,80}?)\s*"
)
_NUMBER = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-+]?\d+(?:\.\d+)?")
_CELL = 60


@dataclass(frozen=True, slots=True)
class Field:
    """One scalar: its path from the record down, its value, where it comes from and how it stands there."""

    path: tuple[str, ...]
    value: Scalar
    quote: str
    record: int
    is_users: bool = False
    in_list: bool = False


@dataclass(frozen=True, slots=True)
class Structure:
    """What all passages say: the fields, the texts beside them, and the lengths of lists by path and record."""

    fields: tuple[Field, ...]
    prose: tuple[str, ...]
    counts: tuple[Field, ...]


def structure(passages: Iterable[Passage]) -> Structure:
    """The structure in the passages; `fields` is empty where there is none."""
    fields: list[Field] = []
    prose: list[str] = []
    counts: list[Field] = []
    for number, passage in enumerate(passages):
        reader = _Passage(passage.text, number * 10_000, passage.source == "user")
        found = reader.fields()
        short = [field for field in found if not _is_prose(field.value)]
        prose += [str(field.value) for field in found if _is_prose(field.value)]
        prose += reader.rest
        counts += reader.counts
        fields += short
    return Structure(tuple(fields[:MOST]), tuple(prose), tuple(counts[:MOST]))


def _is_prose(value: Scalar) -> bool:
    return isinstance(value, str) and value.count(" ") >= LABEL and value.count(",") * 2 < value.count(" ")


class _Passage:
    def __init__(self, text: str, record: int, is_users: bool) -> None:
        self._text = text
        self._record = record
        self._is_users = is_users
        self.rest: list[str] = []
        self.counts: list[Field] = []

    def fields(self) -> list[Field]:
        found: list[Field] = []
        covered = 0
        for document in documents(self._text):
            if document.is_object or any(item.is_object for item in document.items()):
                self.rest.append(self._text[covered : document.start])
                found += self._walk(document, (), self._record, document.start, False)
                covered = document.end
        left = self._text[covered:]
        if not found:
            found = list(self._lines(left.split("\n")))
            covered = len(self._text) if found else 0
        self.rest.append(self._text[covered:])
        return found

    def _field(self, path: tuple[str, ...], value: Scalar, quote: str, record: int, in_list: bool = False) -> Field:
        return Field(path, value, quote, record, self._is_users, in_list)

    def _walk(self, node: Node, path: tuple[str, ...], record: int, start: int, in_list: bool) -> Iterator[Field]:
        if node.is_object:
            for key, at, member in node.members():
                yield from self._walk(member, (*path, key), record, at, in_list)
        elif isinstance(node.value, list):
            yield from self._items(node, path, record, start)
        else:
            yield self._field(path, node.value, self._text[start : node.end], record, in_list)

    def _items(self, node: Node, path: tuple[str, ...], record: int, start: int) -> Iterator[Field]:
        items = node.items()
        if items:
            # The list's key is quoted with its first item: the whole list may be long.
            self.counts.append(
                self._field(path, float(len(items)), self._text[start : items[0].start].rstrip(), record)
            )
        for item in items:
            if item.is_object:
                self._record += 1
                yield from self._walk(item, path, self._record, item.start, False)
            else:
                yield from self._walk(item, path, record, item.start, True)

    def _lines(self, lines: list[str]) -> Iterator[Field]:
        header = next((at for at, line in enumerate(lines) if at and _RULE.fullmatch(line) and "|" in lines[at - 1]), 0)
        if header:
            yield from self._table([_cells(line, "|") for line in lines[header - 1 :]], lines[header - 1 :], 2)
        elif mark := _delimiter(lines):
            rows = [line for line in lines if line.strip()]
            yield from self._table([_cells(line, mark) for line in rows], rows, 1)
        else:
            yield from self._pairs(lines)

    def _table(self, rows: list[list[str]], lines: list[str], first: int) -> Iterator[Field]:
        for cells, line in zip(rows[first:], lines[first:], strict=True):
            if len(cells) == len(rows[0]):
                self._record += 1
                for key, cell in zip(rows[0], cells, strict=True):
                    yield self._field((key,), scalar(cell), line.strip(), self._record)

    def _pairs(self, lines: list[str]) -> Iterator[Field]:
        found = [(line, _PAIR.fullmatch(line)) for line in lines]
        if sum(pair is not None and bool(pair["value"]) for _, pair in found) < 2:
            return
        for line, pair in found:
            if not line.strip():
                self._record += 1
            elif pair is None:
                self.rest.append(line)
            elif pair["value"]:
                yield self._field((pair["key"].strip(),), scalar(pair["value"]), line.strip(), self._record)


def _cells(line: str, mark: str) -> list[str]:
    return [cell.strip().strip('"*') for cell in line.strip().strip("|" if mark == "|" else "").split(mark)]


def _delimiter(lines: list[str]) -> str:
    rows = [line for line in lines if line.strip()]
    for mark in "\t,;|":
        widths = {line.count(mark) for line in rows}
        if len(rows) > 2 and len(widths) == 1 and widths != {0} and _are_cells(rows, mark):
            return mark
    return ""


def _are_cells(rows: list[str], mark: str) -> bool:
    return all(len(cell) <= _CELL and not cell.rstrip().endswith(".") for row in rows for cell in row.split(mark))


def scalar(written: str) -> Scalar:
    """What a cell holds: a number where it is nothing else."""
    text = written.strip().strip("\"'*")
    return float(text.replace(",", "")) if _NUMBER.fullmatch(text) and len(text) < 16 else text
