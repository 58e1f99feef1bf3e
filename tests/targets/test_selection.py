"""Which records are trained on, whatever the format."""

from __future__ import annotations

from typing import Any

import pytest

from guard.targets.selection import select, up_to_missed
from tests.exporters.records import record


@pytest.mark.parametrize("how", [{}, {"unreviewed": True}, {"trusted": ["knowledge"]}])
@pytest.mark.parametrize("review", ["disputed", "rejected"])
def test_nothing_lifts_what_reviewers_rejected_or_disagree_about(review: str, how: dict[str, Any]) -> None:
    assert not list(select([record(review=review)], **how))
    assert list(select([record(review="confirmed")], **how))


@pytest.mark.parametrize(
    ("missed", "followed", "answer", "complete", "uncorrected"),
    [
        ([], " So I say that. It is big.", "Canberra. Yes.", True, 0),
        ([" Elsewhere."], " So I say that. It is big.", "Canberra. Yes.", True, 0),
        ([" It is big."], " So I say that.", "", False, 0),
        (["Yes."], " So I say that. It is big.", "Canberra.", False, 0),
        (["They ask for the capital.", " Nowhere."], " So I say that. It is big.", "Canberra. Yes.", True, 1),
    ],
)
def test_what_reviewers_say_was_missed_ends_what_followed(
    missed: list[str], followed: str, answer: str, complete: bool, uncorrected: int
) -> None:
    of = record(followed=" So I say that. It is big.", answer="Canberra. Yes.")
    closing = up_to_missed(of, missed).closing
    assert closing is not None
    assert (closing.followed, closing.answer) == (followed, answer)
    assert (closing.complete, closing.uncorrected) == (complete, uncorrected)
    assert up_to_missed(record(closing=None), missed) == record(closing=None)
