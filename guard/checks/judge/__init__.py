"""Judge: a supervisor model reads one segment, the evidence and what stands before, and gives a verdict.

Catches: what the evidence contradicts or does not settle, in any wording: paraphrase, inference, negation. It is the
dearest check: a call to a model a segment, hundreds of milliseconds and, without a prefix cache, the evidence read
anew each time. So run it on what a cheaper check flagged (`only_if`), or on a channel that does not wait.

Cannot catch: what the supervisor itself does not see or believes too. It is a model: its verdict is held to a form, its
quote must stand in the evidence, its correction must rest on a quote (`verdict`), and what others wrote cannot give it
orders that it would take for ours (`prompt`), but none of this makes it right. Measure it on your own text first.

Needs a `supervisor` in guard.yaml; without one it answers `not_applicable`. So it does with fewer than 200 characters
to check against beside the question, unless `unaided`: then the supervisor judges by what it knows, and no verdict
weighs more than 0.5, for there is nothing to quote. A supervisor that fails, refuses or answers in another form makes
the segment `unscanned`, never clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from guard.checks import Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.judge.prompt import messages
from guard.checks.judge.verdict import SCHEMA, findings, parse
from guard.core.types import CHANNELS, Channel, Evidence, Passage, Segment

LEAST = 200
"""Characters of evidence beside the question below which there is nothing to check against."""

_ANSWER_TOKENS = 400


class Judge:
    """The check."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = False
    channels: ClassVar[frozenset[Channel]] = frozenset(CHANNELS)

    class Params(CheckParams):
        """How it judges.

        `instructions`: what counts as wrong here, in plain words for the supervisor. `unaided`: judge without evidence
        too. `max_evidence`, `max_turn`: characters of evidence, and of the turn so far, that are shown at most.
        """

        instructions: Annotated[str, Field(max_length=4000)] = ""
        unaided: bool = False
        max_evidence: Annotated[int, Field(gt=0)] = 24_000
        max_turn: Annotated[int, Field(ge=0)] = 12_000

    def __init__(self, params: Any, resources: Resources) -> None:
        self._params = params
        self._supervisor = resources.supervisor

    @property
    def skipped(self) -> str:
        """Why no segment is judged, or ""."""
        return "no supervisor" if self._supervisor is None else ""

    async def examine(self, segment: Segment, context: Context) -> Result:
        """At most one finding, about the whole segment. Raises GuardError where there is no verdict."""
        if self._supervisor is None:
            return NotApplicable("no supervisor")
        if segment.channel != "tool_calls" and not _states(segment.text):
            return NotApplicable("no statement")
        passages = _passages(context.evidence)
        if not self._params.unaided and sum(len(passage.text) for passage in passages) < LEAST:
            return NotApplicable("no evidence")
        params = self._params
        said = await self._supervisor.ask(
            messages(
                segment,
                context.kept,
                passages,
                context.evidence.question,
                instructions=params.instructions,
                max_evidence=params.max_evidence,
                max_turn=params.max_turn,
            ),
            schema=SCHEMA,
            max_tokens=_ANSWER_TOKENS,
            spend=context.spend,
        )
        return findings(parse(said), passages)


def _states(text: str) -> bool:
    """Whether a statement may be in it: three words, and no question."""
    return len(text.split()) >= 3 and not text.rstrip().endswith("?")


def _passages(evidence: Evidence) -> Sequence[Passage]:
    """What there is to check against: all passages but the question itself."""
    question = Passage(source="user", text=evidence.question)
    return [passage for passage in evidence.passages if passage != question]


plugin = Judge
