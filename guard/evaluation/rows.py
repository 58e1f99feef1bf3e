"""Reads labelled reasoning: JSON lines in one of three shapes, each row checked before anything is played.

    grounded  {id, context, response, hallucinated, spans: [{start, end}], question?}   offsets into the response
    steps     {id, question, steps: [text], first_error}                               index, -1 where all are right
    pairs     {id, prefix, sentence, resample, contradicts, topic?}

`dataset` and `task` may stand beside them and name what is reported together; other fields are ignored.

Knows nothing of checks. What a label says of a row's text, in its characters:

1. `spans` is what is wrong. A hallucinated row without spans is *unlocated*: something in it is wrong, nobody says
   where.
2. `unknown` is text that no label speaks of: what follows the first wrong step, which may be right or wrong.
3. Everything else in the text is clean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from guard.errors import ConfigError
from guard.evaluation.stretches import Stretch, merged

Shape = Literal["grounded", "steps", "pairs"]
_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One labelled text.

    Attributes:
        dataset: `dataset/task` of the row, or its file's stem.
        source: what rows of one origin share (the context, the question, the topic): they are drawn together.
        text: what is played (response; steps joined by newlines; sentence).
        context: what it is to be checked against: the context, or the sentences before the one that is compared.
        resample: the other sample, for pairs.
        wrong: the label of the whole row; `spans`, `unknown` see above.
        steps: where each step starts; empty where there are none. `first_error` is the label, or None.
    """

    id: str | int
    dataset: str
    source: str
    text: str
    context: str = ""
    question: str = ""
    resample: str = ""
    wrong: bool
    spans: tuple[Stretch, ...] = ()
    unknown: Stretch | None = None
    steps: tuple[int, ...] = ()
    first_error: int | None = None

    @property
    def located(self) -> bool:
        """Whether the labels say where the row is wrong (or that it is not)."""
        return bool(self.spans) or not self.wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A file of rows; `sha256` is of its bytes."""

    path: Path
    sha256: str
    rows: tuple[Row, ...]


class _Labels(BaseModel):
    # Strict: a label that has to be guessed at is no label.
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    id: str | int
    dataset: str = ""
    task: str | None = None

    def named(self, stem: str) -> str:
        return "/".join(part for part in (self.dataset or stem, self.task) if part)


class _Span(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    start: Annotated[int, Field(ge=0)]
    end: int

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"end {self.end!r} is not behind start {self.start!r}")
        return self


class _Grounded(_Labels):
    question: str | None = None
    context: str
    response: str
    spans: list[_Span] = Field(default_factory=list)
    hallucinated: bool

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.spans and not self.hallucinated:
            raise ValueError("spans are labelled in a row that is not hallucinated")
        if any(span.end > len(self.response) for span in self.spans):
            raise ValueError(f"spans reach beyond the response's {len(self.response)} characters")
        return self

    def row(self, stem: str) -> Row:
        return Row(
            id=self.id,
            dataset=self.named(stem),
            source=self.context,
            text=self.response,
            context=self.context,
            question=self.question or "",
            wrong=self.hallucinated,
            spans=merged((span.start, span.end) for span in self.spans),
        )


class _Steps(_Labels):
    question: str
    steps: Annotated[list[str], Field(min_length=1)]
    first_error: Annotated[int, Field(ge=-1)]
    type: str | None = None

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.first_error >= len(self.steps):
            raise ValueError(f"first_error {self.first_error!r} names no step; there are {len(self.steps)}")
        if self.first_error >= 0 and not self.steps[self.first_error].strip():
            raise ValueError(f"first_error {self.first_error!r} names an empty step")
        return self

    def row(self, stem: str) -> Row:
        starts = [0]
        for step in self.steps:
            starts.append(starts[-1] + len(step) + 1)
        text, wrong = "\n".join(self.steps), self.first_error
        end = starts[wrong + 1] - 1
        return Row(
            id=self.id,
            dataset=self.named(stem) if self.task or self.type is None else f"{self.named(stem)}/{self.type}",
            source=self.question,
            text=text,
            question=self.question,
            wrong=wrong >= 0,
            spans=((starts[wrong], end),) if wrong >= 0 else (),
            unknown=(end, len(text)) if 0 <= wrong < len(self.steps) - 1 else None,
            steps=tuple(starts[:-1]),
            first_error=wrong,
        )


class _Pair(_Labels):
    topic: str = ""
    prefix: str
    sentence: Annotated[str, Field(min_length=1)]
    resample: str
    contradicts: bool

    def row(self, stem: str) -> Row:
        return Row(
            id=self.id,
            dataset=self.named(stem),
            source=self.topic or self.prefix or self.sentence,
            text=self.sentence,
            context=self.prefix,
            resample=self.resample,
            wrong=self.contradicts,
            spans=((0, len(self.sentence)),) if self.contradicts else (),
        )


_Read: TypeAlias = type[_Grounded] | type[_Steps] | type[_Pair]
_MODELS: dict[Shape, _Read] = {"grounded": _Grounded, "steps": _Steps, "pairs": _Pair}


def read_files(shape: Shape, paths: Sequence[Path]) -> tuple[Labelled, ...]:
    """Read every file whole. Raises ConfigError, one line, that names the file, the row and the field."""
    return tuple(_read(_MODELS[shape], path) for path in paths)


def shape_of(name: str) -> Shape:
    """The shape of this name. Raises ConfigError."""
    for shape in _MODELS:
        if shape == name:
            return shape
    raise ConfigError(f"there is no shape {name!r}; there are {', '.join(_MODELS)}")


def _read(model: _Read, path: Path) -> Labelled:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    rows = tuple(_rows(model, path, raw))
    if not rows:
        raise ConfigError(f"{str(path)!r} holds no rows")
    return Labelled(path=path, sha256=hashlib.sha256(raw).hexdigest(), rows=rows)


def _rows(model: _Read, path: Path, raw: bytes) -> Iterator[Row]:
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{str(path)!r}, row {number}"
        try:
            yield model.model_validate(msgspec.json.decode(line)).row(path.stem)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{where} is not JSON: {error}") from None
        except ValidationError as error:
            raise ConfigError(f"{where}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first thing that is wrong: the field, what it should be, and the value, cut where it is long."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("str", "int"))
    what = first["msg"].removeprefix("Value error, ")
    value: Any = repr(first["input"])
    told = "" if first["type"] in ("missing", "value_error") else f" (got {value[:_SHOWN]})"
    return f"{field}: {what}{told}" if field else what + told
