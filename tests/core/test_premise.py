"""When a text says again what a finding is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.premise import builds_on, premise, tokens


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Kargate", "So in Kargate, she ..."),
        ("Kargate", "that is KARGATE."),
        ("Ada Velm", "Hence Ada Velm's house"),
        ("1200", "which makes 1,200 in all"),
        ("1,200.0", "which makes 1200."),
        ("7", "and 7 of them"),
        ("0.50", "a half is .5 here"),
        ("007", "agent 7"),
        ("5+5", "as 5 + 5 shows"),
        ("5*5", "as 5 × 5 shows"),
        ("10/2", "since 10 ÷ 2 is"),
        ("the 46", "since the 46 boxes"),
        ("don’t know", "we don’t know"),
        ("-3", "down to -3"),
    ],
)
def test_the_same_words_and_numbers_are_seen(subject: str, text: str) -> None:
    assert builds_on(tokens(text), premise(subject))


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Kargate", "So in Kargates"),
        ("Ada Velm", "Ada and Velm"),
        ("Ada Velm", "Velm Ada"),
        ("46", "460 and 4 and 6 and 46.5"),
        ("46.5", "46"),
        ("12", "x12 is a name"),
        ("5+5", "5 and 5"),
        ("5+5", "5 - 5"),
        ("Kargate", ""),
    ],
)
def test_anything_else_is_not(subject: str, text: str) -> None:
    assert not builds_on(tokens(text), premise(subject))


@pytest.mark.parametrize("subject", ["", " ", "...", "it", "No", "the", "some of the people", "ab", "x y", "+"])
def test_what_every_text_says_shows_nothing(subject: str) -> None:
    assert premise(subject) == []
    assert not builds_on(tokens(f"so {subject} it is"), premise(subject))


@given(st.text(max_size=30), st.text(max_size=60))
def test_any_subject_is_found_where_it_is_said_on_its_own(subject: str, text: str) -> None:
    said = premise(subject)
    assert builds_on(tokens(subject), said) is bool(said)
    assert builds_on(tokens(f"{text}\n; {subject} ;\n{text}"), said) >= bool(said)


@given(st.integers(0, 10**9))
def test_a_number_is_one_however_it_is_written(number: int) -> None:
    assert tokens(f"{number:,}") == tokens(str(number)) == tokens(f"{number}.00") == tokens(f"0{number}")
