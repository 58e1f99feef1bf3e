"""What in a session is right and what is wrong, segment by segment.

Knows session records and what reviewers made of them; knows no format. Rules:

- Reviewers have the last word: an interrupted segment is wrong where they confirm the interruption, one that guard let
  pass, flagged or not, where they reject that.
- What is flagged and nobody has looked at is wrong for those who asked for `unreviewed`, or where a `trusted` check
  flagged it; else nobody can say.
- What no check flagged and nobody has looked at is right where a check that had something to check it against says so,
  and every check that was to look did.
- Where reviewers disagree nobody can say, nor of a segment that says again what stands flagged elsewhere in the turn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from guard.core.records import Review
from guard.core.types import Segment, Summary, Verdict
from guard.targets.repeats import repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A segment, and whether it is wrong; None where nobody can say. `cut`: it was interrupted, so that what stands
    behind it was written behind a correction."""

    segment: Segment
    wrong: bool | None
    cut: bool
    verdicts: tuple[Verdict, ...]

    @property
    def flagged(self) -> bool:
        """Whether any check flagged it."""
        return any(verdict.status == "flagged" for verdict in self.verdicts)


def labelled(
    session: str,
    choice: Summary,
    reviews: Mapping[str, Review],
    *,
    unreviewed: bool = False,
    trusted: Collection[str] = (),
) -> list[Labelled]:
    """The segments of a choice that are on record, in the order they were written. `reviews` by subject."""
    given: dict[int, list[Verdict]] = {}
    for verdict in choice.verdicts:
        given.setdefault(verdict.segment, []).append(verdict)
    segments = sorted(choice.segments, key=lambda segment: segment.id)
    cuts = [segment.id for segment in segments if _was_cut(given.get(segment.id, ()))]
    reviewed = _of_cuts(f"{session}.{choice.choice}", cuts, choice.interruptions, reviews)
    found = []
    for segment in segments:
        verdicts = tuple(given.get(segment.id, ()))
        subject = f"{session}.{choice.choice}#{segment.id}"
        cut = segment.id in reviewed
        review = reviewed[segment.id] if cut else reviews.get(subject, "unreviewed")
        wrong = _unjudged(verdicts, unreviewed, trusted) if review == "unreviewed" else _judged(review, cut)
        found.append(Labelled(segment=segment, wrong=wrong, cut=cut, verdicts=verdicts))
    return _apart(found)


def claims(segments: Sequence[Labelled]) -> list[str]:
    """The statements that are never to be taken for right."""
    return [each.segment.text for each in segments if each.wrong or (each.flagged and each.wrong is None)]


def _was_cut(verdicts: Sequence[Verdict]) -> bool:
    return any(verdict.disposition == "interrupted" for verdict in verdicts)


def _of_cuts(name: str, cuts: Sequence[int], count: int, reviews: Mapping[str, Review]) -> dict[int, Review]:
    """What reviewers made of each interrupted segment. Where an interruption fell with text that a later one discarded,
    nothing says which is whose: then they have to agree."""
    numbered: list[Review] = [reviews.get(f"{name}.{number}", "unreviewed") for number in range(1, count + 1)]
    if len(cuts) != count:
        agreed: Review = numbered[0] if len(set(numbered)) == 1 else "disputed"
        numbered = [agreed] * len(cuts)
    return dict(zip(cuts, numbered, strict=True))


def _judged(review: Review, cut: bool) -> bool | None:
    """What a review of guard's decision, to interrupt or to let pass, says of the segment."""
    return None if review == "disputed" else (review == "confirmed") is cut


def _unjudged(verdicts: Sequence[Verdict], unreviewed: bool, trusted: Collection[str]) -> bool | None:
    flagging = {verdict.check for verdict in verdicts if verdict.status == "flagged"}
    if flagging:
        return True if unreviewed or flagging & set(trusted) else None
    statuses = {verdict.status for verdict in verdicts}
    return False if "clean" in statuses and "unscanned" not in statuses else None


def _apart(segments: Sequence[Labelled]) -> list[Labelled]:
    wrong = claims(segments)
    return [
        replace(each, wrong=None)
        if each.wrong is False and any(repeats(claim, each.segment.text) for claim in wrong)
        else each
        for each in segments
    ]
