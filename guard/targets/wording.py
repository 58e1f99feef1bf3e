"""What is to be learnt from an interruption: guard's words and the model's, never the claim.

Knows records and a policy's wording; knows neither messages nor templates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from guard.core.policy import Policy, interruption_text, word
from guard.core.records import InterruptionRecord
from guard.core.resume import joined, lead
from guard.core.types import Closing, Finding, Interruption
from guard.targets.repeats import before_repeat, repeats

KNOWS = 0.75
"""Below this agreement with the truth a model does not know the answer: the target is to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is learnt: guard's text, then the model's.

    Attributes:
        followed: text of the open channel.
        answer: the content behind it, where the open channel is the reasoning.
        end: the turn ends here.
        synthesised: `put_in` was worded for this row and never said.
    """

    put_in: str
    followed: str = ""
    answer: str = ""
    end: bool = False
    synthesised: bool = False


def after(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target | str:
    """The target behind the claim: "No, ..." and what followed. Or why there is none."""
    return _bounded(record, _message(record, closing, policy))


def instead(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target | str:
    """The target in the claim's place: the true statement and what followed. Or why there is none."""
    return _bounded(record, _statement(record, closing, policy))


def does_not_know(record: InterruptionRecord) -> bool:
    """Whether it was measured that the model does not know the truth."""
    return record.known is not None and record.known < KNOWS


def _message(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target:
    cut = record.interruption
    claim, finding = cut.claim.text, Finding(score=1, reason=cut.reason, correction=cut.correction)
    if does_not_know(record):
        # A correction of what the model does not know would teach it to guess.
        unknown = joined(claim, word(policy.interrupt.unknown, finding, claim))
        if not _left_open(cut, unknown):
            return Target(put_in=unknown, synthesised=True)
    if cut.correct == "interrupt":
        return _going_on(cut.put_in, closing)
    message = joined(claim, interruption_text(policy, finding, claim))
    if not cut.correction:
        # What followed stood behind other words.
        return Target(put_in=message, synthesised=True)
    return _reworded(message, closing)


def _statement(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target:
    cut = record.interruption
    claim, finding = cut.claim.text, Finding(score=1, reason=cut.reason, correction=cut.correction)
    doubt = lead(claim) + word(policy.retract.unknown, finding, claim)
    if does_not_know(record) and cut.correction:
        return Target(put_in=doubt, synthesised=True)
    if cut.correct == "retract":
        return _going_on(cut.put_in, closing)
    true = cut.correction.strip()
    return _reworded(lead(claim) + true if true else doubt, closing)


def _left_open(cut: Interruption, unknown: str) -> bool:
    """Whether guard said no more than that the model does not know: then what followed is the model's own, and honest.
    A correction may have been at hand; what counts is that it was not told."""
    return cut.correct == "interrupt" and (cut.put_in == unknown or not (cut.reason or cut.correction))


def _going_on(put_in: str, closing: Closing) -> Target:
    return Target(put_in=put_in, followed=closing.followed, answer=closing.answer, end=closing.complete)


def _reworded(put_in: str, closing: Closing) -> Target:
    followed = closing.followed.lstrip(" ")
    followed = followed if followed[:1].isspace() else followed and joined(put_in, followed)
    return replace(_going_on(put_in, closing), followed=followed, synthesised=True)


def _bounded(record: InterruptionRecord, wanted: Target) -> Target | str:
    """The target up to where it repeats the claim."""
    claim = record.interruption.claim
    if repeats(claim.text, wanted.put_in):
        return "correction quotes the claim"
    followed, answer = before_repeat(claim.text, wanted.followed), before_repeat(claim.text, wanted.answer)
    if repeats(claim.text, wanted.put_in + followed):
        followed = ""  # the claim stands across the seam
    answer = answer if followed == wanted.followed else ""
    whole = (followed, answer) == (wanted.followed, wanted.answer)
    end = wanted.end and whole and (claim.channel == "content" or bool(answer))
    return replace(wanted, followed=followed, answer=answer, end=end)
