"""Stretches and tokens, against definitions that count one character after the other."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from guard.evaluation.stretches import Stretch, Tokens, length, merged, overlap, touches

STRETCHES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda p: (min(p), max(p))), max_size=6)
TEXTS = st.text(alphabet="ab1 .,é\n_-", max_size=30)


def characters(stretches: list[Stretch]) -> set[int]:
    return {at for start, end in stretches for at in range(start, end)}


@given(STRETCHES)
def test_merging_keeps_the_characters_and_nothing_touches(stretches: list[Stretch]) -> None:
    found = list(merged(stretches))
    assert characters(found) == characters(stretches)
    assert all(start < end for start, end in found)
    assert all(left[1] < right[0] for left, right in pairwise(found))
    assert length(found) == len(characters(stretches))


@given(STRETCHES, STRETCHES)
def test_an_overlap_is_the_characters_that_both_have(left: list[Stretch], right: list[Stretch]) -> None:
    assert overlap(merged(left), merged(right)) == len(characters(left) & characters(right))


@given(st.tuples(st.integers(0, 30), st.integers(0, 30)), STRETCHES)
def test_touching_is_sharing_a_character(stretch: Stretch, others: list[Stretch]) -> None:
    assert touches(stretch, merged(others)) is bool(characters([stretch]) & characters(others))


@given(TEXTS, STRETCHES)
@example("abc de", [(0, 1), (2, 3)])
def test_tokens_are_in_a_stretch_that_has_a_character_of_theirs(text: str, stretches: list[Stretch]) -> None:
    tokens = [set(range(*match.span())) for match in re.finditer(r"\w+|[^\w\s]", text)]
    counted = Tokens(text)
    assert len(counted) == len(tokens)
    for stretch in stretches:
        assert counted.within(stretch) == sum(bool(token & characters([stretch])) for token in tokens)
    assert counted.outside(merged(stretches)) == sum(not token & characters(stretches) for token in tokens)
