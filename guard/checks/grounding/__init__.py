"""Grounding: statements that the request's evidence does not bear out.

Catches: a sentence whose names, numbers and content words the evidence has not, or has but not together; a number or a
name that differs from the one sentence that otherwise says the same. The evidence is `guard.evidence`, tool, system and
user text; JSON in it is read field by field.

Cannot catch: a small change of meaning in the same words (who did it to whom, "may" for "will"); what is true but put
into other words looks made up, the more so the freer the wording. It knows English only: other languages are
`not_applicable`, and so is a request with under 200 characters of evidence beyond the last question, with media alone,
or with system and user text that nowhere speaks of passages, a context or anything else to answer from. Questions,
greetings, headings, lead-ins and talk about the passages or the answer are no statements.

Costs about 0.2 ms a sentence, and once a request about 1 ms for 250 words. Needs nothing that is not in the package.

Scores are probabilities at the rate at which models really do this (about 18 % of answers): of statements with 0.5,
half are unsupported, by the lights of the people who labelled RAGTruth. A `difference` that is certain scores at least
`DIFFERENT`. What the shipped model (`lexical.json`) was trained on and how good it is stands in it under `about`;
`python -m guard.train.grounding` makes another, and `model:` in a policy names it.

The files: `words`, `passages` (the evidence's index), `statement` (a sentence beside it), `alignment`, `wording` and
`features` (numbers about it), `grounds` (a request's evidence and what was said before), `claims` (what is a statement
at all), `model` (the trees), `difference` and `telling` (the reason).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.grounding import telling
from guard.checks.grounding.claims import is_claim
from guard.checks.grounding.difference import difference
from guard.checks.grounding.grounds import Grounds
from guard.checks.grounding.model import SHIPPED, load
from guard.checks.grounding.words import is_other_language
from guard.core.types import Channel, Finding, Segment

DIFFERENT = 0.9
"""The least score of a number or name that differs for certain."""


class Grounding:
    """The check. Raises `ConfigError` where the model cannot be used."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """`least`: statements below this probability are clean. `model`: trees to use instead of the shipped ones."""

        least: float = Field(default=0.1, ge=0, le=1)
        model: Path | None = None

    def __init__(self, params: Any, resources: Resources) -> None:
        del resources
        self._least = params.least
        self._model = load(params.model or SHIPPED)

    def examine(self, segment: Segment, context: Context) -> Result:
        """At most one finding: the statement is not borne out."""
        grounds = context.memo.get("grounds")
        if grounds is None:
            grounds = context.memo["grounds"] = Grounds(context.evidence, self._model.lexicon)
        if grounds.why:
            return NotApplicable(grounds.why)
        if is_other_language(segment.text):
            return NotApplicable("another language")
        return tuple(self._findings(segment, context, grounds)) if is_claim(segment.text) else ()

    def _findings(self, segment: Segment, context: Context, grounds: Grounds) -> list[Finding]:
        reading = grounds.read(segment, context.kept)
        score = self._model.score(reading.values)
        if found := difference(reading.said, grounds.index):
            return [telling.different(found, context.evidence, max(score, DIFFERENT))]
        if score < self._least:
            return []
        return [telling.unsupported(reading.said, grounds.index, context.evidence, score)]


plugin = Grounding
