"""What is learnt behind a claim, and in its place."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core.policy import Interrupt, Policy
from guard.core.records import InterruptionRecord, Revision
from guard.targets.wording import Target, after, instead, words
from tests.exporters.records import record

POLICY = Policy(name="p", interrupt=Interrupt(unknown="No, who knows."))


def told(way: Any, of: InterruptionRecord) -> Target:
    assert of.closing is not None
    found = way(of, of.closing, POLICY)
    assert isinstance(found, Target)
    return found


def test_behind_the_claim_stands_what_guard_said() -> None:
    found = told(after, record())
    assert found == Target(
        put_in=" No, the capital is Canberra.", followed=" So I say that.", answer="Canberra.", end=True
    )


def test_in_its_place_stands_the_truth() -> None:
    found = told(instead, record(followed="\nSo."))
    assert (found.put_in, found.followed, found.synthesised) == (" The capital is Canberra.", "\nSo.", True)


@pytest.mark.parametrize("known", [0.0, 0.7499])
def test_below_the_threshold_the_policys_words_for_not_knowing_are_the_target(known: float) -> None:
    assert told(after, record(known=known)) == Target(put_in=" No, who knows.", synthesised=True)
    found = told(instead, record(known=known))
    assert (found.put_in, found.followed, found.end) == (" I could not confirm this.", "", False)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"reason": "", "put_in": " No, I do not know that."}, True),
        ({"put_in": " No, who knows."}, True),
        ({"put_in": " No, Sydney is not the capital. I could not confirm this."}, False),
        ({"put_in": " No, who knows.", "correction": "The capital is Canberra."}, True),
        ({"put_in": " No, The capital is Canberra.", "correction": "The capital is Canberra."}, False),
    ],
)
def test_what_followed_is_kept_where_nothing_was_told_that_the_model_does_not_know(
    changes: dict[str, Any], kept: bool
) -> None:
    found = told(after, record(**{"known": 0.1, "correction": ""} | changes))
    assert (found.followed == " So I say that.") is kept
    assert found.end is kept
    assert found.synthesised is not kept


def test_a_claim_across_the_seam_ends_the_target() -> None:
    found = told(after, record(put_in=" No, it is", followed=" Sydney. Ok."))
    assert (found.followed, found.answer, found.end) == ("", "", False)


def test_a_reasoning_without_an_answer_has_no_end() -> None:
    assert not told(after, record(answer="")).end
    assert told(after, record(channel="content", answer="")).end


EDIT = Revision(label="place", correction="It is Canberra.")


@pytest.mark.parametrize(
    ("revised", "behind", "instead_"),
    [
        (EDIT, " No, Sydney is not the capital. It is Canberra.", " It is Canberra."),
        (Revision(reason="Canberra is."), " No, Canberra is. The capital is Canberra.", " The capital is Canberra."),
        (
            Revision(correction=""),
            " No, Sydney is not the capital. I could not confirm this.",
            " I could not confirm this.",
        ),
        (Revision(reason="", correction=""), " No, who knows.", " I could not confirm this."),
    ],
)
@pytest.mark.parametrize("correct", ["interrupt", "retract"])
def test_a_reviewers_words_stand_alone(revised: Revision, behind: str, instead_: str, correct: str) -> None:
    of = record(revised=revised, correct=correct)
    assert told(after, of) == Target(put_in=behind, synthesised=True)
    assert told(instead, of) == Target(put_in=instead_, synthesised=True)


@pytest.mark.parametrize("revised", [Revision(), Revision(label="x"), Revision(correction="The capital is Canberra.")])
def test_an_edit_that_changes_nothing_is_none(revised: Revision) -> None:
    assert told(after, record(revised=revised)) == told(after, record())
    assert told(instead, record(revised=revised)) == told(instead, record())
    assert not words(record(revised=revised)).edited


def test_a_reviewers_truth_is_not_told_to_a_model_that_does_not_know() -> None:
    unknown: dict[str, Any] = {"known": 0.1, "correction": "", "put_in": " No, who knows.", "revised": EDIT}
    assert told(after, record(**unknown)) == Target(put_in=" No, who knows.", synthesised=True)
    assert told(instead, record(**unknown)).put_in == " I could not confirm this."


def test_a_reviewers_words_may_not_quote_the_claim() -> None:
    of = record(revised=Revision(correction="It is not true that it is Sydney."))
    assert of.closing is not None
    assert after(of, of.closing, POLICY) == "correction quotes the claim"
