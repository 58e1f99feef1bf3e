"""The review of one transcript: every criterion of a rubric, in code or by a model, and whether it passes.

Rules: a criterion whose verdict cannot be had is `unreviewed`, and a transcript with one does not pass. A malformed
verdict is asked for once more. A server that refuses `response_format` is asked without it from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from guard.errors import ConfigError, RequestError, SupervisorError, UpstreamError
from guard.supervisor import Scorer, strict
from guard.train.transcripts.caller import Caller, Said, Tokens
from guard.train.transcripts.exact import EXACT, Matter
from guard.train.transcripts.judging import (
    AGAIN,
    ANSWER_TOKENS,
    BOUNDED,
    MAX_SHOWN,
    MAX_WHY,
    SCHEMA,
    messages,
    parse,
    shown,
    speaks_to_reviewer,
)
from guard.train.transcripts.questions import digest
from guard.train.transcripts.rubric import Criterion, Rubric

Status = Literal["passed", "failed", "not_applicable", "unreviewed"]

VERSION = 1
"""Of what a reviewer makes of the same transcript and rubric; raised when that changes."""

WARMER = 0.5
"""Temperature of the second try: a greedy model would say the same again."""

_REFUSALS = (400, 404, 415, 422, 501)
_TOO_LONG = f"longer than {MAX_SHOWN} characters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What one criterion came to; `score` 0..1 where it applied, `why` in the reviewer's own words."""

    criterion: str
    kind: str
    status: Status
    score: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """All of it: `overall` is the weighted mean of the scores; None where nothing applied or something is missing."""

    marks: Sequence[Mark]
    overall: float | None
    passed: bool
    tokens: Tokens


class Reviewer:
    """Reviews by one rubric; `caller` may be None where code decides all of it. Raises ConfigError where it may not."""

    def __init__(self, rubric: Rubric, caller: Caller | None) -> None:
        if caller is None and rubric.judged:
            names = ", ".join(criterion.name for criterion in rubric.judged)
            raise ConfigError(
                f"rubric {rubric.name!r} has criteria that a model judges ({names}): name one with --reviewer URL "
                "--reviewer-model NAME, or as `supervisor` in the file of --config"
            )
        self.rubric = rubric
        self.caller = caller
        self._plain = False

    def digest(self, about: object) -> str:
        """What tells its reviews from another's; `about` is all that is to be known of its model."""
        return digest([VERSION, self.rubric.digest, about if self.rubric.judged else None])

    async def review(self, matter: Matter) -> Review:
        """One review. Raises GuardError where the model cannot be asked."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._mark(criterion, matter)) for criterion in self.rubric.criteria]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        marks = [task.result()[0] for task in tasks]
        tokens = sum((task.result()[1] for task in tasks), Tokens())
        overall = _overall(marks, self.rubric)
        good = all(mark.status in ("passed", "not_applicable") for mark in marks)
        passed = good and overall is not None and overall >= self.rubric.pass_at - 1e-9
        return Review(marks=marks, overall=overall, passed=passed, tokens=tokens)

    async def _mark(self, criterion: Criterion, matter: Matter) -> tuple[Mark, Tokens]:
        if criterion.exact:
            found = EXACT[criterion.exact](matter)
            return _marked(criterion, found.score, found.why), Tokens()
        if speaks_to_reviewer(matter.transcript.written):
            return _unreviewed(criterion, "the text speaks to its reviewer"), Tokens()
        if len(shown(matter.question, matter.transcript)) > MAX_SHOWN:
            return _unreviewed(criterion, _TOO_LONG), Tokens()
        return await self._judged(criterion, matter)

    async def _judged(self, criterion: Criterion, matter: Matter) -> tuple[Mark, Tokens]:
        asked = messages(matter.question, matter.transcript, criterion)
        again = [asked[0], {**asked[1], "content": asked[1]["content"] + AGAIN}]
        tokens, why = Tokens(), ""
        for tried, temperature in ((asked, 0.0), (again, WARMER)):
            said = await self._ask({"messages": tried, "temperature": temperature, "max_tokens": ANSWER_TOKENS})
            tokens += said.tokens
            try:
                verdict = parse(said.content, criterion)
            except SupervisorError as error:
                why = str(error)
            else:
                return _marked(criterion, verdict.score / 9 if verdict.applies else None, verdict.why[:MAX_WHY]), tokens
        return _unreviewed(criterion, why), tokens

    async def _ask(self, body: Mapping[str, Any]) -> Said:
        assert self.caller is not None  # the constructor has seen to it
        if not self._plain:
            try:
                schema = BOUNDED if isinstance(self.caller.backend, Scorer) else SCHEMA
                return await self.caller.ask({**body, "response_format": strict(schema)})
            except (RequestError, UpstreamError) as error:
                if error.status not in _REFUSALS:
                    raise
        said = await self.caller.ask(body)
        self._plain = True  # only now: had the refusal been about something else, it would have come again
        return said


def _marked(criterion: Criterion, score: float | None, why: str) -> Mark:
    status: Status = "failed"
    if score is None:
        status = "not_applicable"
    elif score >= criterion.pass_at - 1e-9:
        status = "passed"
    return Mark(criterion=criterion.name, kind=criterion.kind, status=status, score=score, why=why)


def _unreviewed(criterion: Criterion, why: str) -> Mark:
    return Mark(criterion=criterion.name, kind=criterion.kind, status="unreviewed", why=why)


def _overall(marks: Sequence[Mark], rubric: Rubric) -> float | None:
    """The weighted mean of what applied."""
    weights = {criterion.name: criterion.weight for criterion in rubric.criteria}
    scored = [(weights[mark.criterion], mark.score) for mark in marks if mark.score is not None]
    if not scored or any(mark.status == "unreviewed" for mark in marks):
        return None
    return sum(weight * score for weight, score in scored) / sum(weight for weight, _ in scored)
