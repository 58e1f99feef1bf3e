from __future__ import annotations

import pytest

from guard.core.resume import OPENING, Join, Seam, joined, lead

TOLD = "The quick brown fox jumps over the lazy dog."
NEXT = " And then it sleeps for a very long time."


def pad(text: str) -> str:
    """As much text as has to be seen before a re-asked answer is let through."""
    return text + "." * OPENING


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("", ""),
        ("word", ""),
        (" \n word", " \n "),
        ("\n- item", "\n- "),
        ("12. item", "12. "),
        ("12.5 x", ""),
        ("-x", ""),
    ],
)
def test_lead_is_the_white_space_and_marker_of_a_claim(claim: str, expected: str) -> None:
    assert lead(claim) == expected


def test_joined_puts_one_space_unless_there_is_white_space() -> None:
    assert [joined(before, "x") for before in ("", "a", "a ", "a\n")] == ["x", " x", "x", "x"]


def test_nothing_is_held_where_nothing_was_delivered_and_no_stop_string_can_straddle() -> None:
    assert not Seam().needed
    assert not Seam(written="text", stops=["x"]).needed
    assert not Seam(written="", stops=["END"]).needed
    assert Seam(written="text", stops=["END"]).needed
    assert Seam(delivered="text").needed


def test_the_opening_of_a_re_asked_answer_is_held_until_enough_has_come() -> None:
    seam = Seam(delivered=TOLD)
    assert seam.join(NEXT, final=False) is None
    assert seam.join(NEXT, final=True) == Join()
    assert seam.join(pad(NEXT), final=False) == Join()


def test_an_overlap_is_dropped() -> None:
    assert Seam(delivered=TOLD).join(" over the lazy dog." + NEXT, final=True) == Join(skip=19)


def test_a_chance_agreement_is_no_overlap() -> None:
    assert Seam(delivered=TOLD).join("lazy dog. Then", final=True) == Join()


def test_a_restart_is_skipped_to_where_it_passes_what_was_delivered() -> None:
    assert Seam(delivered=f"  {TOLD} ").join(f"\n{TOLD}{NEXT}", final=True) == Join(skip=1 + len(TOLD))


def test_a_restart_that_has_not_passed_yet_is_held_however_long_it_is() -> None:
    long = TOLD * 9
    seam = Seam(delivered=long)
    assert seam.join(long[:300], final=False) is None
    assert seam.join(long[:300], final=True) == Join(astray=True)


def test_a_restart_that_says_something_else_is_astray() -> None:
    assert Seam(delivered=TOLD).join(pad(TOLD[:30]), final=False) == Join(astray=True)


def test_a_short_delivery_that_is_said_again_is_skipped_and_one_that_is_not_is_kept() -> None:
    assert Seam(delivered="Yes.").join("Yes. It is.", final=True) == Join(skip=4)
    assert Seam(delivered="Yes.").join("Yet another.", final=True) == Join()


def test_white_space_alone_delivered_is_not_doubled() -> None:
    assert Seam(delivered="\n").join(" \nText", final=True) == Join(skip=2)


def test_a_stop_string_across_the_splice_is_completed() -> None:
    seam = Seam(written="some text EN", stops=["END", "x"])
    assert seam.join("D", final=False) is None
    assert seam.join("D of it", final=False) == Join(stopped=True)
    assert seam.join("ds well", final=False) == Join()


def test_a_stop_string_on_one_side_of_the_splice_is_the_upstreams_affair() -> None:
    seam = Seam(written="END of the first part, E", stops=["END"])
    assert seam.join("xx END", final=False) == Join()


def test_a_stop_string_is_looked_for_behind_what_is_skipped() -> None:
    seam = Seam(delivered=TOLD + " EN", written=TOLD + " EN", stops=["END"])
    assert seam.join(pad(f"{TOLD} END"), final=False) == Join(skip=len(TOLD) + 3, stopped=True)
