"""What differs between a recorded choice and its replay, as values. Drives nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from guard.core.types import Interruption, Summary, Verdict
from guard.evaluation.replaying_recorded import Recorded, acting

Kind = Literal["more", "less", "reworded", "observed", "otherwise", "undecided"]
"""A claim is interrupted that was not; is not that was; is in another manner or other words; or ends at a limit, comes
too late, stops the answer where it did not. `observed`: it is interrupted neither way, and a policy that only observes
flags it in one of the two. `undecided`: a check that would decide cannot run here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A decision that differs.

    Attributes:
        segment: the claim's number in the recording, or None where it was no segment there.
        check: whose finding decides now; of `less`, whose finding had.
        was, now: what guard wrote or did; "" for nothing.
        interruption: the recorded one that is gone or reworded, or "".
        behind: recorded interruptions of the choice that came later: what becomes of them is not known.
    """

    kind: Kind
    choice: int
    segment: int | None
    check: str
    claim: str
    was: str = ""
    now: str = ""
    interruption: str = ""
    behind: int = 0


def compared(recorded: Recorded, now: Summary | None, numbers: Mapping[int, int | None]) -> Iterator[Change]:
    """What differs where the text does not: limits, late and observed verdicts, and how the choice ends.

    `numbers` are the recorded numbers of the new segments; `now` is None where the new session does not end.
    """
    was, after = _end(recorded.summary), "does not end" if now is None else _end(now)
    if now is not None:
        yield from _disposed(recorded, now, numbers)
    if was != after:
        choice = recorded.summary.choice
        yield Change(kind="otherwise", choice=choice, segment=None, check="", claim="", was=was, now=after)


def _disposed(recorded: Recorded, now: Summary, numbers: Mapping[int, int | None]) -> Iterator[Change]:
    before = {v.segment: v for v in acting(recorded.summary)}
    after = {(-1 - v.segment if (n := numbers.get(v.segment)) is None else n): v for v in acting(now)}
    texts = {s.id: s.text for s in now.segments}
    for number in sorted(before.keys() | after.keys()):
        old, new = before.get(number), after.get(number)
        if (old and old.disposition) == (new and new.disposition):
            continue
        acted = new or old
        assert acted is not None
        yield Change(
            kind=_kind(old, new),
            choice=recorded.summary.choice,
            segment=number if number >= 0 else None,
            check=acted.check,
            claim=texts.get(acted.segment, "") if new else recorded.text(number),
            was=old.disposition if old else "",
            now=new.disposition if new else "",
        )


def _kind(old: Verdict | None, new: Verdict | None) -> Kind:
    return "observed" if {each.disposition for each in (old, new) if each} == {"observed"} else "otherwise"


def where(made: Interruption) -> tuple[object, ...]:
    """The claim's place."""
    return made.claim.channel, made.claim.start, made.claim.end, made.claim.tool


def told(made: Interruption) -> tuple[object, ...]:
    """What decides how the model goes on; the reason is told where a turn is asked for again or a call is answered."""
    return made.correct, made.put_in, made.reason, made.correction


def words(made: Interruption) -> str:
    """The manner and what guard wrote, for people."""
    return f"{made.correct}: {made.put_in.strip() or made.reason}"


def _end(summary: Summary) -> str:
    return "client left" if summary.client_left else summary.finish_reason or "error"
