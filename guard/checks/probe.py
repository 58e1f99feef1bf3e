"""Probe: where the policy model's own hidden states say that it is making something up.

Catches: statements at which a linear head over the hidden states of the local policy model, trained on its labelled
answers (`guard train probe`), sees the state it is in when what it writes is false. Needs no evidence and no facts.

Cannot catch: anything a model believes; any other model than the one that it was trained on (the backend refuses the
file); a subject, language or way of asking unlike those of the training rows. `guard train probe` prints how good the
head is on sources that it has not seen, and what mere length and position amount to beside it.

Needs `probe: FILE.safetensors` in the entry of a `backend: transformers` model, which then tells a probability with
every token; `not_applicable` where tokens carry none. Costs microseconds a sentence here and one dot product a token
there.

How good it is depends on the model: the tiny built-in one has no direction for what it does not know. Of the statements
that `uncertainty` tells apart with 0.909 (see there), a probe trained on 600 answers about other people has AUROC 0.906
over all, 0.894 of which the statement's place alone accounts for, and 0.589 over first statements. Read what
`guard train probe` prints for yours before a policy weighs it.

How: probabilities are averaged over `smooth` neighbouring tokens, inside the segment; the score is the largest average,
the finding's place the tokens it is of. Averaging costs a sharp head little and saves a noisy one from its single worst
token (Obeso et al. 2025, arXiv 2509.03531, take the largest token of an entity).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.core.types import Channel, Finding, Segment


class Probe:
    """The check."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """`smooth`: how many neighbouring tokens are averaged; 1 takes each for itself."""

        smooth: Annotated[int, Field(ge=1, le=64)] = 2

    def __init__(self, params: Params, resources: Resources) -> None:
        del resources
        self._smooth = params.smooth

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding: the stretch of tokens that looks most like an invention."""
        told = [(at, token) for at, token in context.tokens(segment) if token.probe is not None]
        if not told:
            return NotApplicable("no probe")
        score, first, last = highest([token.probe or 0.0 for _, token in told], self._smooth)
        start, end = told[first][0], told[last][0] + len(told[last][1].text)
        return (Finding(score=score, start=start, end=min(end, len(segment.text))),)


def highest(values: list[float], width: int) -> tuple[float, int, int]:
    """The largest mean of `width` neighbours (of all, where they are fewer), and the first and last one's number."""
    width = min(width, len(values))
    means = [sum(values[at : at + width]) / width for at in range(len(values) - width + 1)]
    best = max(range(len(means)), key=means.__getitem__)
    return min(max(means[best], 0.0), 1.0), best, best + width - 1


plugin = Probe
