"""Uncertainty: names and numbers that the policy model itself hardly expected to write.

Catches: a name or number whose tokens were improbable beside what the same answer is usually written with. Where a
model makes a name up it is often, not always, undecided between many.

Cannot catch: what a model makes up with confidence, and what it says wrongly because it read so. It cannot tell an
invention from a free choice either (one of many right examples, the first words of a list): **a weak sign, an input to
a fusion, never to be acted on alone**. In a policy it stands so:

    - {check: uncertainty, flag_at: null, interrupt_at: null}

Needs the log-probabilities of the policy model's tokens, else `not_applicable`: a local model (`backend: transformers`)
always tells them, an OpenAI-compatible server where the client asks, its entry in guard.yaml says `logprobs: true` or
the policy has `record.top_logprobs`.
Costs some 40 microseconds a sentence.

Measured on the built-in model (400 questions about people of the test split of `guard.world.answers`, seed 5000, 1,011
statements, 246 false): AUROC 0.942, and 0.909 over the first statements of the answers alone, where nearly all that is
false stands. That world has one right answer to everything and is the kindest there is to this check: for a model that
talks freely expect far less.

How: a token's surprise is its negative log-probability in nats. Raw surprises say little across models and subjects, so
each is taken in standard deviations from the mean of the tokens before it that still stand (all tokens of the kept
segments, and the segment's own so far), together with `PRIOR`, which decides while an answer is young. A stretch is as
unusual as its most unusual token, the first counting whole and the others `LATER` of it: once a name has begun, the
rest mostly follows. One finding a segment, for its most unusual stretch: score = 1 / (1 + exp(MIDDLE - deviations)).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, TypeAlias

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.core.types import Channel, Finding, Segment, Spelled

LATER = 0.5
MIDDLE = 2.0
"""Standard deviations that score 0.5."""
MOST = 20.0
"""Nats: no token is more surprising, whatever a server calls minus infinity (OpenAI: -9999)."""

_WORD = r"[A-ZÀ-ÖØ-ÞĆČĐŁŐŘŚŠŰŹŽİΑ-ΩЁА-Я][\w'’-]*"
_STRETCH = re.compile(
    rf"(?P<number>\d(?:[\d.,:/]*\d)?%?)|(?P<name>\b{_WORD}(?:[ ](?:(?:of|de|von|van|the)[ ])?{_WORD})*)"
)
_OPENER = re.compile(
    r"(?:The|An?|This|That|These|Those|There|Here|It|Its|He|She|They|We|You|I|My|Our|His|Her|Their|In|On|At|By|For|From"
    r"|With|To|Of|As|And|But|Or|So|If|When|While|Since|After|Before|Then|Thus|Hence|Therefore|However|Also|Because"
    r"|Although|Let|Now|Next|First|Second|Finally|No|Yes|Not|What|Which|Who|Where|How|Why|Wait|Okay|Ok|Well)\b"
)


class Sums(NamedTuple):
    """Tokens, their surprises and the squares of those, added up."""

    tokens: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, other: Sums) -> Sums:
        """Both."""
        return Sums(self.tokens + other.tokens, self.total + other.total, self.squares + other.squares)

    def deviations(self, surprise: float) -> float:
        """How many standard deviations a surprise lies from the mean; of no tokens there is none."""
        mean = self.total / self.tokens
        return (surprise - mean) / math.sqrt(max(self.squares / self.tokens - mean * mean, 1e-6))


PRIOR = Sums(32.0, 16.0, 40.0)
"""As if 32 tokens had been read before: surprise 0.5 on average, with a standard deviation of 1."""

Surprises: TypeAlias = list[tuple[int, int, float]]
"""Tokens as (start, end, surprise), in order; characters of the segment."""


class Uncertainty:
    """The check; it has no parameters."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """None."""

    def __init__(self, params: Any, resources: Resources) -> None:
        del params, resources

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding, if the segment names anything or anyone."""
        told = surprises(context.tokens(segment))
        context.memo[_key(segment)] = _sums(told)
        if not told:
            return NotApplicable("no log-probs")
        before = PRIOR
        for kept in context.kept:
            before = before.plus(_known(kept, context))
        found = list(_unusual(segment.text, told, before))
        if not found:
            return ()
        deviations, start, end = max(found)
        score = 1 / (1 + math.exp(min(MIDDLE - deviations, 50.0)))
        return (Finding(score=score, evidence=segment.text[start:end], start=start, end=end),)


def surprises(tokens: Spelled) -> Surprises:
    """Those tokens whose log-probability is known, with their surprise in nats, 0..MOST."""
    return [
        (at, at + len(token.text), min(max(-token.logprob, 0.0), MOST))
        for at, token in tokens
        if token.logprob is not None and not math.isnan(token.logprob)
    ]


def stretches(text: str) -> Iterator[tuple[int, int]]:
    """Where names and numbers stand; a capital that only opens the sentence makes no name."""
    for found in _STRETCH.finditer(text):
        start = found.start()
        if found["name"] and (opener := _OPENER.match(text, start, found.end())) and not text[:start].strip("*#- \n\t"):
            start = opener.end() + (text[opener.end() : opener.end() + 1] == " ")
        if start < found.end():
            yield start, found.end()


def _known(kept: Segment, context: Context) -> Sums:
    """The sums of a segment before this one: what stands in a segment never changes."""
    key = _key(kept)
    if key not in context.memo:
        context.memo[key] = _sums(surprises(context.tokens(kept)))
    sums: Sums = context.memo[key]
    return sums


def _key(segment: Segment) -> str:
    """A turn that begins anew counts its segments anew, but in another attempt."""
    return f"{segment.attempt} {segment.id} {segment.start} {segment.end}"


def _sums(told: Surprises) -> Sums:
    values = [surprise for _, _, surprise in told]
    return Sums(len(values), sum(values), sum(value * value for value in values))


def _unusual(text: str, told: Surprises, before: Sums) -> Iterator[tuple[float, int, int]]:
    """(standard deviations, start, end) of every stretch whose tokens are known; `before`: what came before."""
    for start, end in stretches(text):
        own = [(at, surprise) for at, until, surprise in told if at < end and until > start]
        if not own:
            continue
        so_far = before.plus(_sums([token for token in told if token[0] < own[0][0]]))
        first, *later = [so_far.deviations(surprise) for _, surprise in own]
        yield max(first, *(LATER * each for each in later), LATER * first), start, end


plugin = Uncertainty
