"""Labelled answers for `guard.train.probe`: JSON lines, read and checked.

Two shapes, which may be mixed. `grounded`: `context`, `question`, `response`, `spans` ({start, end}: characters of the
response that are made up), as `guard eval grounded` reads them. `spans`: `context`, `text`, `spans`. `question` may be
left out of either. `source` says which rows belong together, so that no source is on both sides of a split; left out,
rows with the same context and question do. Anything else in a row is left alone. Bad rows are a ConfigError that names
file and line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.errors import ConfigError
from guard.registry import first_error


class _Span(BaseModel):
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")
    context: str | None = None
    question: str | None = None
    response: str | None = None
    text: str | None = None
    spans: tuple[_Span, ...]
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One labelled answer; `spans` are half-open ranges of `text`'s characters."""

    source: str
    context: str
    question: str
    text: str
    spans: tuple[tuple[int, int], ...]

    def made_up(self, start: int, end: int) -> bool:
        """Whether any of these characters is in a span."""
        return any(start < right and end > left for left, right in self.spans)

    def fold(self, folds: int) -> int:
        """Which of so many folds its source is in."""
        return int(hashlib.sha256(self.source.encode(errors="replace")).hexdigest()[:12], 16) % folds

    @property
    def messages(self) -> list[dict[str, str]]:
        """What the model was asked: the context in a system message, the question in the user's."""
        asked = [{"role": "system", "content": self.context}] if self.context else []
        return [*asked, {"role": "user", "content": self.question}] if self.question else asked


def read_rows(files: Sequence[Path]) -> list[Row]:
    """All rows of the files, in order. Raises ConfigError: no such file, a bad row, or nothing to learn from."""
    rows = [_row(line, f"{str(path)!r}, line {number}") for path in files for number, line in _lines(path)]
    if not any(row.spans for row in rows):
        names = ", ".join(map(str, files))
        raise ConfigError(f"{names!r}: no row has a span, and a probe needs some text that is made up to learn from")
    return rows


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error}") from None
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _row(line: str, where: str) -> Row:
    try:
        told: Any = json.loads(line)
        read = _Line.model_validate(told)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_error(error)}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not JSON: {error}") from None
    text = read.response if read.response is not None else read.text
    if text is None:
        raise ConfigError(f"{where}: a row needs `response` or `text`")
    for span in read.spans:
        if not span.start < span.end <= len(text):
            raise ConfigError(f"{where}: span {span.start}..{span.end} is not inside a text of {len(text)} characters")
    context, question = read.context or "", read.question or ""
    return Row(
        source=read.source if read.source is not None else f"{context}\n{question}",
        context=context,
        question=question,
        text=text,
        spans=tuple((span.start, span.end) for span in read.spans),
    )
