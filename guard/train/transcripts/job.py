"""From settings and wishes to a job: the models, the facts, the rubric. Nothing is started here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.errors import ConfigError
from guard.settings import Settings
from guard.train.transcripts import models
from guard.train.transcripts.generator import INSTRUCTIONS, Generator, Making, Retrieval
from guard.train.transcripts.library import Library
from guard.train.transcripts.questions import Question
from guard.train.transcripts.reviewer import Reviewer
from guard.train.transcripts.rubric import read_rubric
from guard.train.transcripts.run import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of a run; the rest of the words are those of `guard.train.transcripts.generator.Making`.

    `rubric`: a shipped one's name or a file. `model`: the configuration's entry that writes, or None: its first.
    `retrieval`: auto, calls or notes. `samples`: transcripts of each question. `at_once`: in the making at a time.
    """

    rubric: str
    model: str | None = None
    samples: int = 1
    at_once: int = 8
    retrieval: str = "auto"
    rounds: int = 4
    instructions: str = INSTRUCTIONS
    fields: Mapping[str, Any]
    seed: int | None = None


def build(settings: Settings, questions: Sequence[Question], wanted: Wanted) -> Job:
    """The job. Raises ConfigError: a model, a facts file or a rubric cannot be used."""
    writes, reviews = models.generator(settings, wanted.model, wanted.at_once), models.reviewer(settings)
    library = Library(settings.facts) if settings.facts else None
    making = Making(
        retrieval=_retrieval(wanted.retrieval, writes.retrieval),
        rounds=wanted.rounds,
        instructions=wanted.instructions,
        fields=wanted.fields,
        seed=wanted.seed,
    )
    return Job(
        questions=questions,
        samples=wanted.samples,
        generator=Generator(writes.caller, library, making),
        reviewer=Reviewer(read_rubric(wanted.rubric), None if reviews is None else reviews.caller),
        library=library,
        at_once=wanted.at_once,
        made_by=writes.about,
        reviewed_by=None if reviews is None else reviews.about,
    )


def _retrieval(asked: str, own: Retrieval) -> Retrieval:
    if asked == "auto":
        return own
    if asked not in ("calls", "notes"):
        raise ConfigError(f"--retrieval {asked!r} is none of auto, calls, notes")
    return "calls" if asked == "calls" else "notes"
