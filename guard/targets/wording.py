"""What is to be learnt from an interruption: guard's words and the model's, never the claim.

Knows records and a policy's wording; knows neither messages nor templates. Where a reviewer would have guard say
something else, that is the target, and nothing behind it: what followed stood behind other words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

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

    @property
    def texts(self) -> tuple[str, str, str]:
        """All of it, in order."""
        return self.put_in, self.followed, self.answer

    @property
    def said(self) -> tuple[str, str]:
        """What it says in the open channel and in the answer, whoever wrote it."""
        return (self.put_in + self.followed).strip(), self.answer.strip()


def after(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target | str:
    """The target behind the claim: "No, ..." and what followed. Or why there is none."""
    return _bounded(record, _message(record, closing, policy))


def instead(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target | str:
    """The target in the claim's place: the true statement and what followed. Or why there is none."""
    return _bounded(record, _statement(record, closing, policy))


def uncut(record: InterruptionRecord) -> Target:
    """What the model wrote behind the claim, or what it would have written where there is more of that."""
    cut = record.interruption
    followed = cut.discarded.get(cut.claim.channel, "")
    answer = cut.discarded.get("content", "") if cut.claim.channel == "reasoning" else ""
    if len((followed + answer).strip()) < len((record.counterfactual or "").strip()):
        # A check that answers at once leaves a word or two of what was cut off.
        followed, answer = record.counterfactual or "", ""
    return Target(put_in="", followed=followed, answer=answer)


def does_not_know(record: InterruptionRecord) -> bool:
    """Whether it was measured that the model does not know the truth."""
    return record.known is not None and record.known < KNOWS


class Words(NamedTuple):
    """What is said of a claim: guard's words, or a reviewer's in their place (`edited`)."""

    reason: str
    correction: str
    edited: bool


def words(record: InterruptionRecord) -> Words:
    """What is to be said of the record's claim. An edit that changes nothing is none."""
    cut, revised = record.interruption, record.revised
    said = (cut.reason, cut.correction)
    if revised is None:
        return Words(*said, edited=False)
    reason = cut.reason if revised.reason is None else revised.reason
    correction = cut.correction if revised.correction is None else revised.correction
    return Words(reason, correction, edited=(reason, correction) != said)


def _message(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target:
    cut, said = record.interruption, words(record)
    claim, finding = cut.claim.text, Finding(score=1, reason=said.reason, correction=said.correction)
    if does_not_know(record):
        # A correction of what the model does not know would teach it to guess.
        unknown = joined(claim, word(policy.interrupt.unknown, finding, claim))
        if said.edited or not _left_open(cut, unknown):
            return Target(put_in=unknown, synthesised=True)
    if cut.correct == "interrupt" and not said.edited:
        return _going_on(cut.put_in, closing)
    message = joined(claim, interruption_text(policy, finding, claim))
    if said.edited or not said.correction:
        # What followed stood behind other words.
        return Target(put_in=message, synthesised=True)
    return _reworded(message, closing)


def _statement(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target:
    cut, said = record.interruption, words(record)
    claim, finding = cut.claim.text, Finding(score=1, reason=said.reason, correction=said.correction)
    doubt = lead(claim) + word(policy.retract.unknown, finding, claim)
    if does_not_know(record) and (said.edited or said.correction):
        return Target(put_in=doubt, synthesised=True)
    if cut.correct == "retract" and not said.edited:
        return _going_on(cut.put_in, closing)
    true = said.correction.strip()
    statement = lead(claim) + true if true else doubt
    return Target(put_in=statement, synthesised=True) if said.edited else _reworded(statement, closing)


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
