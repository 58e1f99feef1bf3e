"""What in a session is right and what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from guard.core.records import Review
from guard.core.types import Segment, Status, Summary, Verdict
from guard.targets.labels import claims, labelled


def choice(*statuses: Any, interruptions: int = 0, texts: tuple[str, ...] = ()) -> Summary:
    """A choice of one segment for each tuple of verdicts, a check each; "cut" is flagged and interrupted."""
    segments, verdicts = [], []
    for number, said in enumerate(statuses):
        text = texts[number] if texts else f" Sentence {number}."
        segments.append(Segment(id=number, channel="content", start=0, end=len(text), text=text, attempt=0))
        for check, each in enumerate([said] if isinstance(said, str) else said):
            status: Status = "flagged" if each == "cut" else each
            made = Verdict(segment=number, check=f"c{check}", version="1", status=status)
            verdicts.append(dataclasses.replace(made, disposition="interrupted") if each == "cut" else made)
    return Summary(
        choice=0,
        finish_reason="stop",
        segments=tuple(segments),
        verdicts=tuple(verdicts),
        text={},
        interruptions=interruptions,
        discarded_tokens=0,
        unscanned=0,
    )


def wrong(of: Summary, reviews: Mapping[str, Review] | None = None, **how: Any) -> list[bool | None]:
    return [each.wrong for each in labelled("s", of, reviews or {}, **how)]


@pytest.mark.parametrize(
    ("verdicts", "label"),
    [
        ("clean", False),
        ("not_applicable", None),
        ("unscanned", None),
        (("clean", "not_applicable"), False),
        (("clean", "unscanned"), None),
        ((), None),
    ],
)
def test_what_no_check_flagged_is_right_where_one_could_tell(verdicts: Any, label: bool | None) -> None:
    assert wrong(choice(verdicts)) == [label]


@pytest.mark.parametrize(
    ("how", "label"),
    [({}, None), ({"unreviewed": True}, True), ({"trusted": ["c1"]}, True), ({"trusted": ["c0"]}, None)],
)
def test_what_is_flagged_is_wrong_for_those_who_trust_it(how: dict[str, Any], label: bool | None) -> None:
    assert wrong(choice(("clean", "flagged")), **how) == [label]


@pytest.mark.parametrize(
    ("review", "cut", "passed"),
    [("confirmed", True, False), ("rejected", False, True), ("disputed", None, None)],
)
def test_a_review_is_of_what_guard_decided(review: Review, cut: bool | None, passed: bool | None) -> None:
    for how in ({}, {"unreviewed": True}, {"trusted": ["c0"]}):
        assert wrong(choice("cut", interruptions=1), {"s.0.1": review}, **how) == [cut]
        for status in ("flagged", "clean", "unscanned"):
            assert wrong(choice(status), {"s.0#0": review}, **how) == [passed]


def test_interruptions_are_numbered_as_they_came() -> None:
    of = choice("cut", "clean", "cut", interruptions=2)
    assert wrong(of, {"s.0.1": "confirmed", "s.0.2": "rejected"}) == [True, False, False]


def test_where_an_interruption_fell_with_its_text_reviews_have_to_agree() -> None:
    of = choice("cut", "cut", interruptions=3)
    assert wrong(of, {"s.0.1": "confirmed", "s.0.2": "rejected", "s.0.3": "confirmed"}, unreviewed=True) == [None, None]
    assert wrong(of, {f"s.0.{n}": "confirmed" for n in (1, 2, 3)}) == [True, True]
    assert wrong(of, unreviewed=True) == [True, True]


def test_what_says_again_what_stands_flagged_is_not_right() -> None:
    of = choice("flagged", "clean", texts=(" It is Sydney.", " Well, it is *Sydney*!"))
    assert wrong(of) == [None, None]
    assert wrong(of, unreviewed=True) == [True, None]
    assert wrong(of, {"s.0#0": "confirmed"}) == [False, False]
    assert wrong(of, {"s.0#0": "rejected"}) == [True, None]
    assert claims(labelled("s", of, {})) == [" It is Sydney."]


def test_a_segment_knows_whether_it_was_cut() -> None:
    cut, seen, clean = labelled("s", choice("cut", "flagged", "clean", interruptions=1), {})
    assert (cut.cut, seen.cut, clean.cut) == (True, False, False)
    assert (cut.flagged, seen.flagged, clean.flagged) == (True, True, False)
