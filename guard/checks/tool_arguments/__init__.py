"""Tool arguments: values of a tool call that nobody supplied.

Catches: an identifier, e-mail address, URL, phone number, IBAN, amount, date or person's name in the arguments of a
tool call that occurs nowhere in the request's evidence, tool messages, system and user messages. A correction is at
hand only where exactly one value that looks the same stands there, outside the user's own words.

Cannot catch: a supplied value in the wrong place (the other customer's order number); values under names that say
free text; an identifier of one or two characters; what a word without digits names ("primary"). It does not see the
tool's schema, so a value with digits that only an `enum` or a default supplies, under a name such as `plan_id`, is
flagged; nor earlier assistant text, so an identifier whose tool message the client has dropped is. An amount in a
conversation with many numbers follows from some of them. Names that were supplied in another script are not checked.

Tells the 97 calls of its test apart, which were written with it; no public set of labelled calls is known. Costs about
0.1 ms a call of five arguments, and once a request 1 to 4 ms for 1,000 words. Needs nothing. Answers
`not_applicable` where parts of the request cannot be read (an image may show the number) or nothing was supplied, and
for arguments that are no JSON object. The 200 characters that checks of statements ask for do not count here: the
shorter a conversation, the less it can have supplied.

Rules: which values must come from somewhere is told by the argument's name and the value's shape (`arguments`), whether
they do by `supplied` and `numbers`: in any letter case, spacing and punctuation, with or without a country's prefix,
as a date in any form, as a number that follows from those supplied. Scores: 0.95 for identifiers, e-mail addresses,
phone numbers and IBANs; 0.9 for amounts, dates, names, and URLs that are not merely looked at; 0.6 for the rest:
a URL that the tool opens, a total, a name of which a part is supplied, an identifier whose digits are supplied, and a
value that only looks like an identifier.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from guard.checks import Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.tool_arguments.arguments import Argument, arguments_in, words_of
from guard.checks.tool_arguments.supplied import Supplied, fold
from guard.core.types import Channel, Finding, Segment

IDENTITY, SURE, LOOSE = 0.95, 0.9, 0.6
_LOOKS = frozenset(
    "browse click crawl download fetch get goto http load look navigate open read request scrape search view visit"
    " web".split()
)
_ADDED_UP = frozenset({"total", "subtotal", "sum", "balance"})
"""Amounts that may follow from supplied ones in more steps than are tried."""
_NOUNS = {"email": "e-mail address", "url": "address", "phone": "phone number", "iban": "IBAN"}


class ToolArguments:
    """The check; it has no parameters."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = frozenset({"tool_calls"})

    class Params(CheckParams):
        """None."""

    def __init__(self, params: Any, resources: Resources) -> None:
        del params, resources

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding for each value that was not supplied."""
        if context.evidence.unreadable:
            return NotApplicable("parts that no check can read")
        if not any(passage.text.strip() for passage in context.evidence.passages):
            return NotApplicable("nothing supplied")
        found = arguments_in(segment.text, segment.tool or "")
        if found is None:
            return NotApplicable("arguments are no JSON object")
        return tuple(_findings(found, context, frozenset(words_of(segment.tool or "")))) if found else ()


def _findings(found: tuple[Argument, ...], context: Context, tool: frozenset[str]) -> Iterator[Finding]:
    supplied = context.memo.get("supplied")
    if supplied is None:
        supplied = context.memo["supplied"] = Supplied(context.evidence.passages)
    for argument in found:
        if score := _score(argument, supplied, tool):
            yield _finding(argument, supplied, score)


def _score(argument: Argument, supplied: Supplied, tool: frozenset[str]) -> float:
    """How sure it is that nobody supplied this value; 0.0 if somebody did."""
    value = argument.value
    match argument.kind:
        case "id" | "iban" | "loose":
            return 0.0 if supplied.has(value) else _identity(argument, supplied)
        case "email":
            return 0.0 if supplied.has(value) else IDENTITY
        case "phone":
            return 0.0 if supplied.has_phone(value) else IDENTITY
        case "url":
            return _url(value, supplied, tool)
        case "amount":
            return 0.0 if supplied.has_amount(value) else LOOSE if _ADDED_UP & set(argument.name) else SURE
        case "date":
            return 0.0 if supplied.has_date(value) else SURE
        case "name":
            return _name(value, supplied)


def _identity(argument: Argument, supplied: Supplied) -> float:
    if argument.kind == "loose":
        return LOOSE
    is_mixed = any(c.isalpha() for c in argument.value)
    return LOOSE if is_mixed and supplied.has_digits(argument.value) else IDENTITY


def _url(value: str, supplied: Supplied, tool: frozenset[str]) -> float:
    bare = value.partition("://")[2].rstrip("/")
    if supplied.has_text(bare) or (supplied.has_text(bare.partition("?")[0]) and tool & _LOOKS):
        return 0.0
    return LOOSE if tool & _LOOKS else SURE


def _name(value: str, supplied: Supplied) -> float:
    there, words = supplied.names(value)
    if there == words or not (fold(value).isascii() and supplied.is_latin):
        return 0.0
    return LOOSE if there else SURE


def _finding(argument: Argument, supplied: Supplied, score: float) -> Finding:
    noun = _noun(argument)
    is_identity = argument.kind in ("id", "iban", "email", "loose")
    true = supplied.only_alike(argument.value, argument.name) if is_identity else ""
    return Finding(
        score=score,
        reason=f"the {noun} {argument.value!r} occurs nowhere in the conversation.",
        correction=f"The {noun} given is {true}." if true else "",
        evidence=true,
        subject=noun,
        start=argument.start,
        end=argument.end,
    )


def _noun(argument: Argument) -> str:
    """What the value is called: by its argument's name, which the model knows."""
    if argument.kind in _NOUNS and len(argument.name) == 1:
        return _NOUNS[argument.kind]
    return " ".join(argument.name)


plugin = ToolArguments
