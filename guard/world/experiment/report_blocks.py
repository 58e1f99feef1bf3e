"""What a report is made of, before it is a page, and its Markdown. Knows no figures.

Every text here is plain: `report_blocks` and `report_page` escape it each for its own format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guard.world.experiment.drawing import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as text; the first column names the row. A table without rows is written as its caption, "not run"."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A picture as whole SVG, with the caption below it. Markdown leaves it out: the table has its numbers."""

    caption: str
    svg: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Lines for a terminal."""

    lines: str


Block = Text | Bullets | Table | Plot | Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the report."""

    title: str
    blocks: tuple[Block, ...]


def markdown(title: str, sections: Iterable[Section]) -> str:
    """The report as GitHub-flavoured Markdown."""
    parts = [f"# {_escaped(title)}"]
    for section in sections:
        parts.append(f"## {_escaped(section.title)}")
        parts += [_block(block) for block in section.blocks if not isinstance(block, Plot)]
    return "\n\n".join(parts) + "\n"


def _block(block: Text | Bullets | Table | Command) -> str:
    match block:
        case Text(words=words):
            return _opening(words)
        case Bullets(items=items):
            return "\n".join(f"- {_opening(item)}" for item in items)
        case Command(lines=lines):
            return "\n".join(f"    {printable(line)}" for line in lines.splitlines())
        case Table(rows=()):
            return _opening(f"{block.caption}: not run.")
        case Table():
            return f"{_opening(block.caption)}\n\n{_table(block)}"


def _table(table: Table) -> str:
    lines = [table.head, ("---", *("---:" for _ in table.head[1:])), *table.rows]
    ruled = [_row(line if number == 1 else [_escaped(cell) for cell in line]) for number, line in enumerate(lines)]
    return "\n".join(ruled)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(words: str) -> str:
    """On one line, nothing in it read as markup; an underscore inside a word is none."""
    line = " ".join(printable(words).split())
    return re.sub(r"([\\`*\[\]<>|~&#$]|(?<!\w)_|_(?!\w))", r"\\\1", line)


def _opening(words: str) -> str:
    """The same at the beginning of a line, where a dash or a number makes a list."""
    return re.sub(r"^(\d+(?=[.)])|(?=[-+=]))", r"\1\\", _escaped(words))
