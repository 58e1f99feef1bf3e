from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from guard.core.resume import OPENING, PREFILLED, Join, Seam, joined, lead

TOLD = "The quick brown fox jumps over the lazy dog."
NEXT = " And then it sleeps for a very long time."
LONG = " ".join(f"word{n}" for n in range(60))


def join(seam: Seam, text: str, cuts: Sequence[int] = ()) -> Join:
    """How an attempt's first characters join, fed in these pieces and then ended."""
    points = [0, *cuts, len(text)]
    for start, end in pairwise(points):
        if (found := seam.feed(text[start:end])) is not None:
            return found
    return seam.end()


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


def every_cut(text: str) -> list[list[int]]:
    """Whole, by character, and in pieces around the length that is held."""
    return [[], list(range(1, len(text))), [3, 50], [OPENING - 1], [OPENING], [OPENING + 1]]


@pytest.mark.parametrize(
    ("delivered", "said", "expected"),
    [
        (TOLD, pad(NEXT), Join()),
        (TOLD, " over the lazy dog." + pad(NEXT), Join(skip=19)),
        (TOLD, "lazy dog. Then", Join()),
        (f"  {TOLD} ", f"\n{TOLD}{NEXT}", Join(skip=1 + len(TOLD))),
        (TOLD, pad(TOLD[:30]), Join(astray=True)),
        (TOLD, TOLD[:30], Join(astray=True)),
        ("Yes.", "Yes. It is.", Join(skip=4)),
        ("Yes.", "Yet another.", Join()),
        ("Some. " + LONG, LONG + NEXT, Join(skip=len(LONG))),
        ("Some. " + LONG, LONG, Join(skip=len(LONG))),
        ("Some. " + LONG, LONG[:350] + pad("But no."), Join()),
        (LONG, LONG + NEXT, Join(skip=len(LONG))),
        (LONG, LONG[:300] + pad("Or else."), Join(astray=True)),
        (LONG, LONG[:300], Join(astray=True)),
        (LONG, LONG[:OPENING], Join(astray=True)),
    ],
)
def test_how_a_re_asked_answer_joins_whatever_its_deltas(delivered: str, said: str, expected: Join) -> None:
    assert [join(Seam(delivered=delivered), said, cuts) for cuts in every_cut(said)] == [expected] * 6


def test_the_opening_of_a_re_asked_answer_is_held_until_enough_has_come() -> None:
    seam = Seam(delivered=TOLD)
    assert seam.feed(NEXT) is None
    assert seam.feed("." * OPENING) == Join()


def test_a_repetition_is_held_however_long_it_is() -> None:
    seam = Seam(delivered=LONG)
    assert [seam.feed(part) for part in (LONG[:300], LONG[300:390])] == [None, None]


def test_white_space_alone_delivered_is_nothing_to_join() -> None:
    assert not Seam(delivered="\n").needed


def test_a_stop_string_across_the_splice_is_completed() -> None:
    def seam() -> Seam:
        return Seam(written="some text EN", stops=["END", "x"])

    assert seam().feed("D") is None
    assert seam().end() == Join()
    assert join(seam(), "D of it") == Join(stopped=True)
    assert join(seam(), "D") == Join(stopped=True)
    assert join(seam(), "ds well") == Join()


def test_a_stop_string_on_one_side_of_the_splice_is_the_upstreams_affair() -> None:
    assert join(Seam(written="END of the first part, E", stops=["END"]), "xx END") == Join()


def test_a_stop_string_is_looked_for_behind_what_is_skipped() -> None:
    seam = Seam(delivered=TOLD + " EN", written=TOLD + " EN", stops=["END"])
    assert join(seam, pad(f"{TOLD} END")) == Join(skip=len(TOLD) + 3, stopped=True)


@pytest.mark.parametrize(
    ("delivered", "said", "expected"),
    [
        (TOLD, NEXT, Join()),
        (TOLD, " over the lazy dog. Then", Join()),
        (TOLD, "x", Join()),
        (TOLD, "", Join()),
        (TOLD, TOLD[:20] + "!", Join()),
        (TOLD, TOLD + NEXT, Join(skip=len(TOLD))),
        (TOLD, f" {TOLD}{NEXT}", Join()),
        (TOLD, f" {TOLD[:30]} no more.", Join()),
        ("\n" + TOLD, f"\n{TOLD}{NEXT}", Join(skip=1 + len(TOLD))),
        (TOLD, TOLD[:30] + " no more.", Join(astray=True)),
        (TOLD, TOLD[:30], Join(astray=True)),
        ("Some. " + LONG, LONG + NEXT, Join()),
        (LONG, LONG + NEXT, Join(skip=len(LONG))),
        (LONG, LONG[:300] + "Or else.", Join(astray=True)),
        ("Yes.", "Yes. It is.", Join()),
        ("A long word.", "A long word. More.", Join(skip=12)),
    ],
)
def test_how_an_answer_joins_that_was_to_go_on(delivered: str, said: str, expected: Join) -> None:
    def seam() -> Seam:
        return Seam(delivered=delivered, prefilled=True)

    if not seam().needed:
        assert expected == Join()
        return
    assert [join(seam(), said, cuts) for cuts in every_cut(said)] == [expected] * 6
    assert [join(seam(), said, [cut]) for cut in range(1, len(said))] == [expected] * max(0, len(said) - 1)


def test_few_characters_of_an_answer_that_was_to_go_on_are_held() -> None:
    seam = Seam(delivered=TOLD, prefilled=True)
    assert seam.feed(TOLD[: PREFILLED - 1]) is None
    assert seam.feed("!") == Join()
    assert Seam(delivered=TOLD, prefilled=True).feed("\n" * PREFILLED) == Join()
    assert not Seam(delivered="Yes. No.", prefilled=True).needed


def test_a_stop_string_across_a_prefilled_splice_is_completed() -> None:
    stop = "END OF ALL THAT WAS EVER TO BE SAID"
    seam = Seam(delivered=TOLD + stop[:3], written=stop[:3], stops=[stop], prefilled=True)
    assert join(seam, stop[3:] + pad(""), [5, 25]) == Join(stopped=True)
