"""The questions: JSON lines, read and checked.

A line is ``{"id"?, "question" | "messages", "evidence"?, "answer"?, "withheld"?}``. `messages` are a conversation as
OpenAI writes one, text only, whose last message is the user's. `evidence` are texts that are put in front of the
question. `answer` is the right one, where it is known. `withheld: true`: nothing about the question may be looked up,
and to say so is the right answer. Bad lines are a ConfigError that names file and line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from guard.errors import ConfigError
from guard.registry import first_error

Message = Mapping[str, object]
"""A chat message as OpenAI writes it."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: str


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, Field(min_length=1)] | None = None
    question: Annotated[str, Field(min_length=1)] | None = None
    messages: Annotated[tuple[_Message, ...], Field(min_length=1)] | None = None
    evidence: tuple[str, ...] = ()
    answer: str | None = None
    withheld: bool = False

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if (self.question is None) == (self.messages is None):
            raise ValueError("give `question` or `messages`")
        if self.messages is not None and self.messages[-1].role != "user":
            raise ValueError("the last of `messages` must be the user's")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question; `messages` end with it."""

    id: str
    messages: Sequence[Mapping[str, str]]
    evidence: Sequence[str] = ()
    answer: str | None = None
    withheld: bool = False

    @property
    def text(self) -> str:
        """The question itself."""
        return self.messages[-1]["content"]

    @property
    def digest(self) -> str:
        """What tells it from another question of the same id: 16 hexadecimal digits."""
        return digest(asdict(self))


def digest(value: object) -> str:
    """16 hexadecimal digits of the SHA-256 of a value's JSON."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def asked(text: str, **fields: object) -> Question:
    """A question that is one message of the user's; without an id it is named by its content."""
    return _question(_Line.model_validate({"question": text, **fields}))


def read_questions(path: Path) -> list[Question]:
    """All questions of a file, in order. Raises ConfigError: no such file, a bad line, no or two of the same id."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error}") from None
    found = [_line(line, f"{str(path)!r}, line {at}") for at, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise ConfigError(f"{str(path)!r} holds no question")
    _told_apart(found, str(path))
    return found


def _told_apart(questions: Iterable[Question], where: str) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise ConfigError(f"{where!r}: two questions have the id {question.id!r}; give each its own")
        seen.add(question.id)


def _line(line: str, where: str) -> Question:
    try:
        return _question(_Line.model_validate_json(line))
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_error(error)}") from None


def _question(line: _Line) -> Question:
    one = ({"role": "user", "content": line.question or ""},)
    messages = one if line.messages is None else tuple(message.model_dump() for message in line.messages)
    return Question(
        id=line.id or digest([messages, line.evidence])[:12],
        messages=messages,
        evidence=line.evidence,
        answer=line.answer,
        withheld=line.withheld,
    )
