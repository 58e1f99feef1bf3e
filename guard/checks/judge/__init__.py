"""Judge: a supervisor model reads one segment, the evidence and what stands before, and gives a verdict.

Catches: what the evidence contradicts or does not settle, in any wording: paraphrase, inference, negation. It is the
dearest check: a call to a model a segment, hundreds of milliseconds and, without a prefix cache, the evidence read
anew each time. So run it on what a cheaper check flagged (`only_if`), or on a channel that does not wait.

Cannot catch: what the supervisor itself does not see or believes too. It is a model: its verdict is held to a form, its
quote must stand in the evidence, its correction must rest on a quote (`verdict`), and what others wrote cannot give it
orders that it would take for ours (`prompt`), but none of this makes it right. Measure it on your own text first.

A local supervisor (`backend: transformers`) is asked in two steps. First one pass over the prompt, which reads only
what is new since the last statement and writes nothing, gives the probabilities of the four verdicts; only where
`contradicted` and `unsupported` together reach `ask_at` is the verdict written, held to its form token by token. Where
the four together have less than half of the probability, the look told nothing and the verdict is written too.
`ask_at` is 1/8 by default, since no lower one finds more: of four verdicts that share at least half of the probability
the likeliest has at least 1/8, so below it neither of the two can be the one that would be written. A higher one costs
fewer verdicts and misses what the model is not sure of. A supervisor behind HTTP is asked for the verdict at once.

Needs a `supervisor` in guard.yaml; without one it answers `not_applicable`. So it does with fewer than 200 characters
to check against beside the question, unless `unaided`: then the supervisor judges by what it knows, and no verdict
weighs more than 0.5, for there is nothing to quote. A supervisor that fails, refuses or answers in another form makes
the segment `unscanned`, never clean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from guard.checks import Context, NotApplicable, Resources, Result, Scoring, Supervisor
from guard.checks import Params as CheckParams
from guard.checks.judge.prompt import messages
from guard.checks.judge.verdict import BOUNDED, SCHEMA, WRONG, findings, parse
from guard.core.types import CHANNELS, Channel, Evidence, Passage, Segment

LEAST = 200
"""Characters of evidence beside the question below which there is nothing to check against."""

SAYS_SOMETHING = 0.5
"""The verdicts' probabilities together, below which a look at them tells nothing."""

_ANSWER_TOKENS = 400


class Judge:
    """The check."""

    version: ClassVar[str] = "2"
    inline: ClassVar[bool] = False
    channels: ClassVar[frozenset[Channel]] = frozenset(CHANNELS)

    class Params(CheckParams):
        """How it judges.

        `instructions`: what counts as wrong here, in plain words for the supervisor. `unaided`: judge without evidence
        too. `max_evidence`, `max_turn`: characters of evidence, and of the turn so far, that are shown at most.
        `ask_at`: how likely a wrong verdict must look before a local supervisor writes one; 0 has it write every one.
        """

        instructions: Annotated[str, Field(max_length=4000)] = ""
        unaided: bool = False
        max_evidence: Annotated[int, Field(gt=0)] = 24_000
        max_turn: Annotated[int, Field(ge=0)] = 12_000
        ask_at: Annotated[float, Field(ge=0, le=1)] = 0.125

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
        asked = self._messages(segment, context, passages)
        chances = await self._look(self._supervisor, asked, context)
        if chances is not None and not self._doubts(chances):
            return ()
        schema = SCHEMA if chances is None else BOUNDED
        said = await self._supervisor.ask(asked, schema=schema, max_tokens=_ANSWER_TOKENS, spend=context.spend)
        return findings(parse(said), passages)

    def _messages(self, segment: Segment, context: Context, passages: Sequence[Passage]) -> list[dict[str, str]]:
        return messages(
            segment,
            context.kept,
            passages,
            context.evidence.question,
            instructions=self._params.instructions,
            max_evidence=self._params.max_evidence,
            max_turn=self._params.max_turn,
        )

    @staticmethod
    async def _look(
        supervisor: Supervisor, asked: Sequence[Mapping[str, str]], context: Context
    ) -> Mapping[str, float] | None:
        """The verdicts' probabilities, or None where the supervisor cannot tell."""
        if not isinstance(supervisor, Scoring):
            return None
        return await supervisor.score(asked, schema=BOUNDED, spend=context.spend)

    def _doubts(self, chances: Mapping[str, float]) -> bool:
        wrong = sum(chances[verdict] for verdict in WRONG)
        return wrong >= self._params.ask_at or sum(chances.values()) < SAYS_SOMETHING


def _states(text: str) -> bool:
    """Whether a statement may be in it: three words, and no question."""
    return len(text.split()) >= 3 and not text.rstrip().endswith("?")


def _passages(evidence: Evidence) -> Sequence[Passage]:
    """What there is to check against: all passages but the question itself."""
    question = Passage(source="user", text=evidence.question)
    return [passage for passage in evidence.passages if passage != question]


plugin = Judge
