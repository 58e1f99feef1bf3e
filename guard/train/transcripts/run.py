"""The whole of it: questions to transcripts to reviews, so many at a time, with a journal of what is done.

Rules: what is in the journal is not asked again, and each transcript is written there before it is reviewed, so that a
run that was killed loses only what was on its way. A question whose model cannot be asked is left for the next run;
after `GIVE_UP` of them in a row, so is the rest. A transcript that is none (cut off, empty) is not reviewed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from guard.errors import ConfigError, GuardError
from guard.train.transcripts.caller import Tokens
from guard.train.transcripts.costs import Estimate, estimate
from guard.train.transcripts.exact import Matter
from guard.train.transcripts.generator import Generator, Transcript
from guard.train.transcripts.journal import Journal
from guard.train.transcripts.library import Library
from guard.train.transcripts.questions import Question, digest
from guard.train.transcripts.reviewer import Mark, Review, Reviewer

GIVE_UP = 5
"""Questions in a row whose model cannot be asked, after which nothing more is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done; `made_by` and `reviewed_by` are all that is to be known of the two models."""

    questions: Sequence[Question]
    samples: int
    generator: Generator
    reviewer: Reviewer
    library: Library | None
    at_once: int
    made_by: object
    reviewed_by: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One transcript to make: the `sample`-th of a question; `key` and `review_key` are its lines in the journal."""

    question: Question
    sample: int
    key: str
    review_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One that is done; `review` is None where there is no transcript to review."""

    item: Item
    transcript: Transcript
    review: Review | None

    @property
    def passed(self) -> bool:
        """Whether it may be trained on."""
        return self.review is not None and self.review.passed


class Run:
    """One run over a journal. `failed` counts what could not be asked, by reason."""

    def __init__(self, job: Job, journal: Journal) -> None:
        self.job = job
        self.failed: Counter[str] = Counter()
        self._journal = journal
        self._in_a_row = 0
        made, reviewed = job.generator.digest(job.made_by), job.reviewer.digest(job.reviewed_by)
        self.items = [_item(question, n, made, reviewed) for question in job.questions for n in range(job.samples)]

    def expected(self) -> Estimate:
        """What is still to come."""
        write = [item.question for item in self.items if self._transcript(item) is None]
        finished = [found for item in self.items if (found := self._transcript(item)) is not None]
        reviews = [review for item in self.items if (review := self._review(item)) is not None]
        making = self.job.generator.making
        return estimate(
            [_prompt(self.job.generator, question) for question in write],
            len(write) + sum(not transcript.why for transcript in finished) - len(reviews),
            len(self.job.reviewer.rubric.judged),
            making.rounds if making.retrieval == "calls" else 0,
            [transcript.tokens for transcript in finished],
            [review.tokens for review in reviews],
        )

    async def go(self, step: Callable[[], None]) -> None:
        """Do what is left; `step` is called after each. Raises ConfigError where the journal cannot be written."""
        left = iter([item for item in self.items if self._result(item) is None])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.job.at_once, len(self.items))):
                    group.create_task(self._work(left, step))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def results(self) -> list[Result]:
        """All that is done, in the order of the questions."""
        return [found for item in self.items if (found := self._result(item)) is not None]

    async def _work(self, left: Iterator[Item], step: Callable[[], None]) -> None:
        for item in left:
            if self._in_a_row >= GIVE_UP:
                return
            try:
                await self._one(item)
            except ConfigError:
                raise
            except GuardError as error:
                self.failed[" ".join(str(error).split())] += 1
                self._in_a_row += 1
            else:
                self._in_a_row = 0
            step()

    async def _one(self, item: Item) -> None:
        transcript = self._transcript(item)
        if transcript is None:
            transcript = await self.job.generator.write(item.question, item.sample)
            self._journal.add("transcript", item.key, asdict(transcript))
        if not transcript.why:
            matter = Matter(question=item.question, transcript=transcript, library=self.job.library)
            review = await self.job.reviewer.review(matter)
            self._journal.add("review", item.review_key, asdict(review))

    def _result(self, item: Item) -> Result | None:
        transcript, review = self._transcript(item), self._review(item)
        if transcript is None or (review is None and not transcript.why):
            return None
        return Result(item=item, transcript=transcript, review=review)

    def _transcript(self, item: Item) -> Transcript | None:
        told = self._journal.get("transcript", item.key)
        return None if told is None else Transcript(**{**told, "tokens": Tokens(**told["tokens"])})

    def _review(self, item: Item) -> Review | None:
        told = self._journal.get("review", item.review_key)
        return None if told is None else _review(told)


def _review(told: Mapping[str, Any]) -> Review:
    marks = [Mark(**mark) for mark in told["marks"]]
    return Review(**{**told, "marks": marks, "tokens": Tokens(**told["tokens"])})


def _item(question: Question, sample: int, made: str, reviewed: str) -> Item:
    key = f"{question.id}#{sample}@{digest([question.digest, made])}"
    return Item(question=question, sample=sample, key=key, review_key=f"{key}/{reviewed}")


def _prompt(generator: Generator, question: Question) -> str:
    told = (str(message["content"]) for message in generator.context(question))
    return "".join((generator.making.instructions, *told))
