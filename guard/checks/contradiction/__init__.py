"""Contradiction: a statement that gives the same thing another value than an earlier statement of the turn.

Keeps a ledger of subject, attribute and value over the reasoning and the content: days, times, dates, numbers with what
is counted, names ("the capital of Ostria is ..."), and whether something is so or not. Catches "Ada Velm was born in
1912" and later "Velm, born in 1921". The reason quotes the earlier statement; there is no correction, since which of
the two is right is unknown.

Cannot catch: a contradiction in other words (another verb, a pronoun, "won" against "lost"), a number beside "about",
"left" or "per", anything in formulas, quotations, questions or conditions, whatever somebody else is said to say. After
a sentence that takes something back ("wait", "actually", "let me check") nothing before it counts any more.

Costs about 0.01 ms a sentence, and where one states something a pass over the statements so far; needs nothing. What is
discarded or corrected is no longer in `Context.kept`, and its line of the ledger is not looked at again. Answers
`not_applicable` where nothing before the segment gives a value to the same thing; `clean` where it gives the same one.

Figures: no finding in 736,639 tokens of 7,473 correct solutions of word problems, nor in 708,856 tokens of other
faultless solutions and answers. Of contradictions that were made and put into such texts, 891 of 896 in 13 forms that
it knows were found, and none of 136 in two forms that change the verb. Of 579 pairs of resampled sentences that people
found to contradict each other, 15; of 127 that do not, none. In free text it finds little.

Rules: a subject is a name or a definite thing, never a pronoun; attribute and subject must be the same in the stems of
their words (a last name alone counts as the whole), the attribute with what stands in front ("At 6 pm, ..."). Values
that may be the same are no contradiction: a year and a day in it, numbers within a twentieth. Scores: 0.9 about a name,
0.6 about "the ...", which another of its kind may have taken the place of.

The files: `patterns` (forms of a statement), `claims` (a sentence's statements), `amounts` (values).
"""

from __future__ import annotations

from typing import Any, ClassVar

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.contradiction.amounts import exclude
from guard.checks.contradiction.claims import Claim, claims, revises
from guard.core.claims import asks_for_invention
from guard.core.types import Channel, Finding, Segment

NAMED, DEFINITE = 0.9, 0.6
_NOTHING, _INVENTION = NotApplicable("nothing to compare"), NotApplicable("the question asks for invention")
_Read = tuple[tuple[Claim, ...], bool]


class Contradiction:
    """The check; it has no parameters."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """None."""

    def __init__(self, params: Any, resources: Resources) -> None:
        del params, resources

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding for each statement that an earlier one excludes; none in what was to be made up."""
        stated, is_revision = _read(segment, context)
        if not stated or is_revision:
            return _NOTHING
        ledger = [_read(kept, context) for kept in context.kept]
        compared = [(claim, earlier) for claim in stated if (earlier := _comparable(claim, ledger))]
        if not compared:
            return _NOTHING
        found = tuple(_finding(claim, earlier[0]) for claim, earlier in compared if _is_excluded(claim, earlier))
        return _INVENTION if found and asks_for_invention(context.evidence) else found


def _read(segment: Segment, context: Context) -> _Read:
    """What a segment states, worked out once: the ledger's line for it, which goes with it when it is discarded."""
    read: dict[int, _Read] = context.memo.setdefault("read", {})
    if segment.id not in read:
        read[segment.id] = (claims(segment.text), revises(segment.text)) if segment.channel in TEXT else ((), False)
    return read[segment.id]


def _comparable(claim: Claim, ledger: list[_Read]) -> list[Claim]:
    """The earlier statements about the same, the latest first, back to where something was taken back."""
    found: list[Claim] = []
    for stated, is_revision in reversed(ledger):
        if is_revision:
            break
        found += [earlier for earlier in stated if _is_same(earlier, claim)]
    return found


def _is_excluded(claim: Claim, others: list[Claim]) -> bool:
    """Whether it cannot be true beside any of them."""
    return all(exclude(other.value, claim.value) for other in others)


def _is_same(one: Claim, other: Claim) -> bool:
    """Whether both speak of the same attribute of the same thing."""
    return one.attribute == other.attribute and (one.subject == other.subject or _is_part(one, other))


def _is_part(one: Claim, other: Claim) -> bool:
    """Whether one subject is the other's last name."""
    short, long = sorted((one.subject, other.subject), key=len)
    return one.is_named and other.is_named and len(short) == 1 and len(long) > 1 and short == long[-1:]


def _finding(claim: Claim, earlier: Claim) -> Finding:
    return Finding(
        score=NAMED if claim.is_named else DEFINITE,
        reason=f"you said earlier that {earlier.text}.",
        evidence=earlier.text,
        subject=" ".join(claim.subject),
        start=claim.start,
        end=claim.end,
    )


plugin = Contradiction
