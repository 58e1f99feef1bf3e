"""A claim found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.targets.repeats import before_repeat, places, repeats

CLAIM = " It is Sydney."
TEXTS = st.text(alphabet="itIT SYsydney.ßé\u0301\n,12*_`是首", max_size=24)


@pytest.mark.parametrize("text", ["It is Sydney.", "so it  is\nSYDNEY!", "«It is Sydney»"])
def test_case_spacing_and_outer_punctuation_do_not_count(text: str) -> None:
    assert repeats(CLAIM, text)
    assert places(CLAIM, text)


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (CLAIM, "so _It is Sydney_, yes"),
        (CLAIM, "It is **Sydney**."),
        (" It is **Sydney**.", "It is Sydney"),
        (" So 2 * 3 = 7.", "so 2 * 3 = 7"),
        (" 1. It is Sydney.", "2. It is Sydney."),
        ("\n- It is Sydney.", "It is Sydney."),
        ("悉尼是首都。", "因此悉尼是首都，对。"),
        ("東京は首都です。", "やはり東京は首都ですよ。"),
        ("Sydney 是首都。", "因此Sydney 是首都，对。"),
        (" 1.", "1."),
    ],
)
def test_marks_list_markers_and_scripts_without_spaces_do_not_hide_it(claim: str, text: str) -> None:
    assert repeats(claim, text)
    assert places(claim, text)
    assert not repeats(claim, before_repeat(claim, text))


@pytest.mark.parametrize(("claim", "text"), [("Cafe\u0301 is closed.", "Café is closed."), ("Strasse", "Straße")])
def test_another_spelling_of_the_same_characters_is_the_same(claim: str, text: str) -> None:
    assert repeats(claim, text)
    assert repeats(text, claim)
    assert before_repeat(claim, f"So. {text}") in ("", "So.")


@pytest.mark.parametrize("text", ["", "It is Sydneys", "Bit is Sydney", "It was Sydney", "It is, Sydney"])
def test_what_does_not_repeat_it(text: str) -> None:
    assert not repeats(CLAIM, text)
    assert before_repeat(CLAIM, text) == text


def test_the_text_ends_before_the_repetition() -> None:
    assert before_repeat(CLAIM, "Well. It is Sydney. Yes.") == "Well."
    assert places(CLAIM, "It is Sydney. It is Sydney.") == [(0, 12), (14, 26)]


def test_a_claim_of_no_words_is_nowhere() -> None:
    assert not repeats("...", "...")
    assert before_repeat("...", "a ... b") == "a ... b"


@given(TEXTS, TEXTS)
def test_what_is_left_never_repeats_the_claim(claim: str, text: str) -> None:
    left = before_repeat(claim, text)
    assert text.startswith(left)
    assert not repeats(claim, left)
