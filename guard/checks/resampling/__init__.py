"""Resampling: the policy model is asked again from before a claim, and says something else.

Catches: names, numbers and dates that the model made up. What it knows it says again; what it invents comes out
differently each time. The only check that needs no evidence, no facts and no second model.

Cannot catch: what the model is wrong about every time (a false belief is consistent), statements without a name, number
or date, and differences that words do not show (`compare`). Samples that go on about something else count as agreement.

Dear, so off unless a policy names it: `samples` calls of the policy model for each claim, each of which reads the
conversation again (from its prefix cache where it has one) and writes up to `max_tokens`; they count as
`supervisor_tokens`. Not more than `at_once` claims are resampled at a time, over all requests. Questions, hedged
statements, plans and code are never resampled, and a claim only once in a turn. Run it on what another check flagged
(`only_if`), or give it a long deadline on a channel that does not wait.

The score is the mean over the samples. There is never a correction: that the model does not know says nothing about
what is true. Where the policy model cannot be asked (structured output, recorded text) it answers `not_applicable`; a
failed sample makes the segment `unscanned`.

The files: `reading` (what a sentence says), `features` (how two differ), `weights` (how much each difference counts,
fitted), `compare` (the score).
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, ClassVar

from pydantic import Field

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.resampling.compare import aggregate, compare
from guard.checks.resampling.reading import read
from guard.core.segmenter import Segmenter
from guard.core.types import Channel, Finding, Segment, normalise

REASON = "asked again, the answer was different."

_KNOWN = 4000
"""Characters before the claim that are looked at: what stands there is not new."""

_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|might|possibly|probably|presumably|likely|apparently|allegedly|seems?|could be|may be|if|"
    r"suppose|assum\w+|not sure|unsure|uncertain|(?:i|we) (?:think|believe|guess|recall|don['’]t know))\b",
    re.IGNORECASE,
)
_PLAN = re.compile(r"\W*(?:i|i['’]ll|i['’]m|we|let|let['’]s|you|your|here|please)\b", re.IGNORECASE)
_CODE = re.compile(r"```|~~~|^(?: {4}|\t)|[{};]\s*$|=>|==|\w\(\w*\)", re.MULTILINE)


class Resampling:
    """The check."""

    version: ClassVar[str] = "2"
    inline: ClassVar[bool] = False
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """`samples` of at most `max_tokens` a claim; `at_once`: claims that are resampled at a time."""

        samples: Annotated[int, Field(ge=1, le=10)] = 3
        max_tokens: Annotated[int, Field(ge=8, le=400)] = 60
        at_once: Annotated[int, Field(ge=1)] = 4

    def __init__(self, params: Any, resources: Resources) -> None:
        del resources
        self._samples: int = params.samples
        self._max_tokens: int = params.max_tokens
        self._turns = asyncio.Semaphore(params.at_once)

    def compare(self, sentence: str, resample: str, context: str) -> float:
        """How surely `resample` contradicts `sentence`, 0..1; `context` is the text before both."""
        return compare(sentence, resample, context)

    async def examine(self, segment: Segment, context: Context) -> Result:
        """One finding about the whole segment. Raises GuardError where the policy model cannot answer."""
        if context.ask is None:
            return NotApplicable("the policy model cannot be asked")
        if not states_a_fact(segment.text):
            return NotApplicable("no claim")
        claim = normalise(segment.text)
        if claim not in context.memo:
            context.memo[claim] = await self._resampled(segment, context)
        return (Finding(score=context.memo[claim], reason=REASON),)

    async def _resampled(self, segment: Segment, context: Context) -> float:
        assert context.ask is not None
        before = context.before
        async with self._turns:
            samples = await context.ask(before, self._samples, self._max_tokens)
        known = "".join(before.values())[-_KNOWN:]
        return aggregate(segment.text, [sentences(sample) for sample in samples], known)


def states_a_fact(text: str) -> bool:
    """Whether a statement with a name, number or date in it is made, and made without reserve."""
    bare = text.strip()
    if len(bare.split()) < 3 or bare.endswith("?"):
        return False
    return not (_HEDGE.search(bare) or _PLAN.match(bare) or _CODE.search(text.strip("\n"))) and bool(read(bare).hard)


def sentences(text: str) -> list[str]:
    """The whole sentences of a sample; the one that its limit cut off only where there is no other."""
    ends = Segmenter().feed(f"{text}\n\n") if text.strip() else []
    whole = [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)]
    said = [sentence for sentence in whole if sentence]
    broken_off = said[:-1] if said and not re.search(r"[.!?…。！？]\W*$", said[-1]) else said
    return broken_off or said or ([text.strip()] if text.strip() else [])


plugin = Resampling
