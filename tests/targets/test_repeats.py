"""A claim found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.targets.repeats import before_repeat, places, repeats

CLAIM = " It is Sydney."
TEXTS = st.text(alphabet="itIT SYsydney.ßé\n,12", max_size=24)


@pytest.mark.parametrize("text", ["It is Sydney.", "so it  is\nSYDNEY!", "«It is Sydney»"])
def test_case_spacing_and_outer_punctuation_do_not_count(text: str) -> None:
    assert repeats(CLAIM, text)
    assert places(CLAIM, text)


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
