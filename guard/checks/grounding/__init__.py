"""Grounding: statements that the request's evidence does not bear out.

Catches: a sentence whose names, numbers and content words the evidence has not, or has but not together; a number or a
name that differs from the one sentence that otherwise says the same. The evidence is `guard.evidence`, tool, system and
user text; JSON in it is read field by field.

Cannot catch: a small change of meaning in the same words (who did it to whom, "may" for "will"); what is true but put
into other words looks made up, the more so the freer the wording. It knows English only: other languages are
`not_applicable`, and so is a request with under 200 characters of evidence beyond the last question (under 40 of what
the client calls evidence) or more than 400,000, with media alone, or with system and user text that nowhere speaks of
passages, a context or anything else to answer from. Questions, greetings, headings, lead-ins and talk about the
passages or the answer are no statements.

Costs about 0.2 ms a sentence, and once a request about 1 ms for 250 words. Needs nothing that is not in the package.

With `encoder` a second look is taken where the trees are not sure that all is well: a small network reads the statement
beside the units nearest to it, in a thread of its own, and both together give the score (`stack`). The check is then
not inline: it has the policy's `deadline_ms`, and what it flags has left an `immediate` channel. The reason stays what
`telling` can say for certain. `encoders` says which models can be named and which extra they need; a Hugging Face model
is believed alone, with its own probability, which nobody calibrated for your text.

Scores are probabilities at the rate at which models really do this (about 18 % of answers): of statements with 0.5,
half are unsupported, by the lights of the people who labelled RAGTruth. A `difference` that is certain scores at least
`DIFFERENT`. What the shipped model (`lexical.json`) was trained on and how good it is stands in it under `about`;
`python -m guard.train.grounding` makes another, and `model:` in a policy names it.

The files: `words`, `passages` (the evidence's index), `statement` (a sentence beside it), `alignment`, `wording` and
`features` (numbers about it), `grounds` (a request's evidence and what was said before), `claims` (what is a statement
at all), `model` (the trees), `difference` and `telling` (the reason); `pairs` (what an encoder reads), `encoders`,
`stack` (both scores as one) and `stretches` (where in a statement).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.grounding import telling
from guard.checks.grounding.claims import is_claim, question_of
from guard.checks.grounding.difference import Difference, difference
from guard.checks.grounding.encoders.reader import Reader
from guard.checks.grounding.grounds import Grounds
from guard.checks.grounding.model import SHIPPED, load
from guard.checks.grounding.passages import Index
from guard.checks.grounding.stack import probability
from guard.checks.grounding.statement import Statement
from guard.checks.grounding.words import is_other_language
from guard.core.claims import in_code, is_tale
from guard.core.types import Channel, Segment

DIFFERENT = 0.9
"""The least score of a number or name that differs for certain."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What the trees say of a statement; `score` is the probability of `log_odds`."""

    said: Statement
    index: Index
    found: Difference | None
    log_odds: float
    score: float


class Grounding:
    """The check. Raises `ConfigError` where the model or the encoder cannot be used.

    `version` and `inline` are an instance's own: with an encoder the one names its files and the other is False.
    """

    version: str = "1"
    inline: bool = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """`least`: statements below this probability are clean. `model`: trees to use instead of the shipped ones.
        `encoder`: none, "shipped", a folder, or a Hugging Face model's name. `by_tools`: whether a request is examined
        that has nothing but what tools returned to answer from: an agent's answer says a good deal beside that which is
        new and true (what a dish is, once the menu was read)."""

        least: float = Field(default=0.1, ge=0, le=1)
        model: Path | None = None
        encoder: str | None = None
        by_tools: bool = True

    def __init__(self, params: Any, resources: Resources) -> None:
        del resources
        self._least = params.least
        self._by_tools: bool = params.by_tools
        self._model = load(params.model or SHIPPED)
        self._reader = None if params.encoder is None else Reader(params.encoder, self._model.version)
        if self._reader is not None:
            self.version = f"{type(self).version}+{self._reader.version}"
            self.inline = False

    @property
    def about(self) -> Mapping[str, Any]:
        """Which models it uses, and what their training wrote down of itself."""
        told = {"lexical": {"version": self._model.version, "about": self._model.about}}
        return told if self._reader is None else told | {"encoder": self._reader.about}

    def examine(self, segment: Segment, context: Context) -> Result | Awaitable[Result]:
        """One finding: the statement is not borne out. With an encoder, to be awaited: one for each stretch that is
        not, all with the statement's score."""
        look = self._look(segment, context)
        if self._reader is not None:
            return self._examined(self._reader, look, segment, context)
        return self._told(look, look.score, segment, context) if isinstance(look, _Look) else look

    def _look(self, segment: Segment, context: Context) -> Result | _Look:
        """What the trees make of it, or the answer where they are not asked."""
        grounds = context.memo.get("grounds")
        if grounds is None:
            lexicon = self._model.lexicon
            grounds = context.memo["grounds"] = Grounds(context.evidence, lexicon, by_tools=self._by_tools)
        if grounds.why:
            return NotApplicable(grounds.why)
        if is_other_language(segment.text):
            return NotApplicable("another language")
        if not is_claim(segment.text):
            return ()
        reading = grounds.read(segment, context.kept)
        log_odds = self._model.slope * self._model.margin(reading.values) + self._model.shift
        found = difference(reading.said, grounds.index)
        return _Look(reading.said, grounds.index, found, log_odds, probability(log_odds))

    async def _examined(self, reader: Reader, look: Result | _Look, segment: Segment, context: Context) -> Result:
        if not isinstance(look, _Look):
            return look
        if look.score < reader.ask_from:
            return self._told(look, look.score, segment, context)
        if _is_no_statement(segment, context):
            return ()
        score, marked = await reader.score(look.said, look.index, question_of(context.evidence), look.log_odds)
        return self._told(look, score, segment, context, marked)

    def _told(
        self, look: _Look, score: float, segment: Segment, context: Context, marked: Sequence[tuple[int, int]] = ()
    ) -> Result:
        if (look.found is None and score < self._least) or _is_no_statement(segment, context):
            return ()
        if look.found is not None:
            return (telling.different(look.found, context.evidence, max(score, DIFFERENT)),)
        whole = telling.unsupported(look.said, look.index, context.evidence, score)
        return tuple(replace(whole, start=start, end=end) for start, end in marked) or (whole,)


def _is_no_statement(segment: Segment, context: Context) -> bool:
    """What only the text before it shows: it stands in a block of code or a tale. Asked where something was found."""
    before = [one.text for one in context.kept if one.channel == segment.channel and one.id < segment.id]
    return in_code(before) or is_tale("".join(before[:1]) or segment.text)


plugin = Grounding
