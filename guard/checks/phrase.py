"""Phrase: flags a segment that holds one of the given phrases.

Catches: exactly what it is told to, word for word or by regular expression. For product names that must not be
invented, for tests, for trying a policy out before a real check is at hand.

Cannot catch: the same thing said otherwise. Costs microseconds. Needs a list of phrases:

    - check: phrase
      phrases:
        - {text: "Kargate", reason: "Ada Velm was not born there.", correction: "Ada Velm was born in Brengate."}
        - {regex: "version \\d+\\.9", reason: "there is no such version."}

Rules: one finding for each phrase that occurs, at its first occurrence; letter case never counts; a `text` is matched
as it stands, inside words too. A segment that holds none is `not_applicable`, never clean: it may say anything else.
Write `regex`es without nested repetition: they run on every segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.core.types import Channel, Finding, Segment

_NO_PHRASE = NotApplicable("no phrase")


class Phrase(BaseModel):
    """One phrase (`text`, literal, or `regex`) and the finding it leads to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(min_length=1)] | None = None
    regex: Annotated[str, Field(min_length=1)] | None = None
    reason: str = ""
    correction: str = ""
    subject: str = ""
    score: Annotated[float, Field(ge=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _one_pattern(self) -> Self:
        if (self.text is None) == (self.regex is None):
            raise ValueError(f"give either text or regex, not text={self.text!r} and regex={self.regex!r}")
        try:
            self.compiled()
        except re.error as error:
            raise ValueError(f"regex {self.regex!r}: {error}; use text for a literal phrase") from None
        return self

    def compiled(self) -> re.Pattern[str]:
        """The pattern that is searched for."""
        return re.compile(self.regex if self.regex is not None else re.escape(self.text or ""), re.IGNORECASE)


class PhraseCheck:
    """The check; `params.phrases` in the order in which findings are given."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT | {"tool_calls"}

    class Params(CheckParams):
        """What to look for."""

        phrases: tuple[Phrase, ...] = ()

    def __init__(self, params: Any, resources: Resources) -> None:
        del resources
        self._patterns = [(phrase, phrase.compiled()) for phrase in params.phrases]

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding for each phrase that the segment holds; `start`, `end` are its first match."""
        del context
        return tuple(self._found(segment.text)) or _NO_PHRASE

    def _found(self, text: str) -> Iterator[Finding]:
        for phrase, pattern in self._patterns:
            if match := pattern.search(text):
                yield Finding(
                    score=phrase.score,
                    reason=phrase.reason,
                    correction=phrase.correction,
                    subject=phrase.subject,
                    start=match.start(),
                    end=match.end(),
                )


plugin = PhraseCheck
