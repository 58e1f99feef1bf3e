"""What a supervisor must answer, and what is believed of it.

Pure. Rules:
  An answer is one JSON object of exactly this form, bare or alone in a code fence; anything else is no verdict.
  A quote counts only if it stands, white space aside, in a passage that the supervisor was shown; otherwise it is
  dropped and what rests on it weighs less. A correction is believed only with such a quote, and never from a user's
  words, which are as likely to be wrong as right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from guard.core.types import Finding, Passage
from guard.errors import SupervisorError

MAX_WORDS = 400
"""Characters of each text of a verdict; a longer one is no sentence."""

INVENTED = 0.5
"""The most that a verdict weighs whose quote is nowhere, or which contradicts without one."""

UNSUPPORTED = 0.8
"""The most that `unsupported` weighs: that something is not there has no quote to prove it."""

SHORTEST_QUOTE = 8
"""Characters; a shorter one stands in any text by chance."""

_SPACE = re.compile(r"\s+")
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)


def _short(text: str) -> str:
    if len(text) > MAX_WORDS:
        raise ValueError(f"longer than {MAX_WORDS} characters")
    return text


def _whole(value: object) -> object:
    if type(value) is not int:  # a Literal would take true for 1
        raise ValueError("not a whole number")
    return value


# Not `max_length`: a strict `response_format` may not name it.
Words = Annotated[str, AfterValidator(_short)]


class Verdict(BaseModel):
    """A supervisor's verdict. `score`: 0 (surely as said) to 9 (surely wrong)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    verdict: Literal["supported", "contradicted", "unsupported", "not_a_claim"]
    score: Annotated[Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], BeforeValidator(_whole)]
    quote: Words
    reason: Words
    correction: Words


SCHEMA: dict[str, Any] = Verdict.model_json_schema()

BOUNDED: dict[str, Any] = SCHEMA | {
    "properties": {
        name: field | ({"maxLength": MAX_WORDS} if field["type"] == "string" and "enum" not in field else {})
        for name, field in SCHEMA["properties"].items()
    }
}
"""The same for a model that is held to it token by token: no text gets so long that it is no verdict any more."""

WRONG = ("contradicted", "unsupported")
"""The verdicts that lead to a finding."""


def parse(text: str) -> Verdict:
    """The verdict that a supervisor's answer is. Raises SupervisorError, which repeats none of it."""
    fenced = _FENCED.match(text)
    try:
        return Verdict.model_validate_json(fenced[1] if fenced else text)
    except (ValidationError, UnicodeEncodeError) as error:  # a lone surrogate cannot be read as JSON
        what = error.errors(include_url=False)[0]["type"] if isinstance(error, ValidationError) else "unicode"
        raise SupervisorError(f"the supervisor's answer is no verdict ({what}); its model may be too small") from None


def findings(verdict: Verdict, passages: Sequence[Passage]) -> tuple[Finding, ...]:
    """What a verdict amounts to: at most one finding, about the whole segment."""
    if verdict.verdict not in WRONG:
        return ()
    quote, sources = _found(verdict.quote, passages)
    correction = _sayable(verdict.correction) if quote and sources - {"user"} else ""
    return (
        Finding(
            score=min(verdict.score / 9, _most(verdict, quote)),
            reason=_sayable(verdict.reason),
            correction=correction,
            evidence=quote,
        ),
    )


def _most(verdict: Verdict, quote: str) -> float:
    if quote and verdict.verdict == "contradicted":
        return 1.0
    honest = verdict.verdict == "unsupported" and (quote or not verdict.quote.strip())
    return UNSUPPORTED if honest else INVENTED


def _found(quote: str, passages: Sequence[Passage]) -> tuple[str, set[str]]:
    """The quote on one line and which kinds of source it stands in; nothing if in none."""
    for written in (_one_line(quote), _one_line(unescape(quote))):  # what was shown was escaped
        sources = {passage.source for passage in passages if written in _one_line(passage.text)}
        if sources and len(written) >= SHORTEST_QUOTE:
            return written, set(sources)
    return "", set()


def _one_line(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _sayable(text: str) -> str:
    """One line without what does not print: these words go into the policy model's turn and to the client."""
    return "".join(letter for letter in _one_line(text) if letter.isprintable())
