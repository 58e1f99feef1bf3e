"""Which rows are the same, and which nearly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.harvest import alike
from guard.harvest.maker import ABOUT
from guard.harvest.seen import Seen
from guard.targets.rows import origin
from tests.exporters.records import record

WORDS = [f"word{number}" for number in range(400)]
ROWS = st.dictionaries(
    st.sampled_from(["prompt", "completion", "spans", "tools", "input_ids"]),
    st.text(max_size=8) | st.lists(st.integers(0, 9), max_size=4) | st.none(),
    max_size=4,
)


def row(words: list[str], **more: Any) -> dict[str, Any]:
    return {"prompt": " ".join(words[:-5]), "completion": " ".join(words[-5:])} | more


def again(*rows: dict[str, Any], near: bool = True) -> list[str]:
    with closing(Seen()) as seen:
        return [seen.again(alike.exact(one, ABOUT), alike.near(one, ABOUT) if near else b"") for one in rows]


@given(ROWS, ROWS)
def test_rows_are_the_same_when_their_content_is(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (alike.exact(one, ABOUT) == alike.exact(other, ABOUT)) is (one == other)


@given(ROWS)
def test_where_a_row_comes_from_and_the_order_of_columns_do_not_count(content: dict[str, Any]) -> None:
    about = dict.fromkeys(ABOUT, "x")
    assert alike.exact(about | content, ABOUT) == alike.exact(dict(reversed(content.items())), ABOUT)


def test_every_column_of_a_row_s_origin_is_known() -> None:
    assert set(origin(record())) <= ABOUT


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=60, max_size=300), st.integers(0, 59))
def test_one_other_word_in_many_makes_rows_nearly_the_same(words: list[str], at: int) -> None:
    changed = [*words[:at], "changed", *words[at + 1 :]]
    one, other = (set(zip(w, w[1:], w[2:], strict=False)) for w in (words, changed))
    if len(one & other) / len(one | other) >= 0.9:
        assert again(row(words), row(changed)) == ["", "near-duplicate"]


@settings(max_examples=60, deadline=None)
@given(st.permutations(WORDS), st.integers(20, 150))
def test_rows_of_other_words_are_not(words: list[str], size: int) -> None:
    assert again(row(words[:size]), row(words[200 : 200 + size])) == ["", ""]


@given(st.sets(st.integers(0, 300)), st.sets(st.integers(0, 300)))
def test_the_overlap_of_small_sets_is_exact(one: set[int], other: set[int]) -> None:
    one, other = set(sorted(one)[:32]), set(sorted(other)[:32])
    left, right = (b"".join(n.to_bytes(4, "big") for n in sorted(numbers)) for numbers in (one, other))
    whole = one | other
    assert alike.overlap(left, right) == (len(one & other) / len(whole) if whole else 1.0)


def test_a_row_says_another_thing_of_the_same_text_by_its_label() -> None:
    words = WORDS[:50]
    assert again(row(words, label=True), row(words, label=False)) == ["", ""]
    assert again(row(words, labels=[True, False]), row(words, labels=[True, True])) == ["", ""]
    assert again(row(words, label=True, id="1"), row([*words, "end"], label=True)) == ["", "near-duplicate"]


def test_only_the_end_of_a_long_context_is_compared() -> None:
    passage = [f"passage{number}" for number in range(2_000)]
    assert again(row([*passage, *WORDS[:40]]), row([*passage, *WORDS[40:80]])) == ["", ""]
    assert again(row([*passage, *WORDS]), row([*passage[1_000:], *WORDS])) == ["", "near-duplicate"]


def test_the_first_stands_and_what_was_dropped_is_no_measure() -> None:
    one, two, three = (WORDS[n : n + 100] for n in (0, 9, 18))
    assert again(row(one), row(two), row(three)) == ["", "near-duplicate", ""]


def test_without_near_only_the_same_is_dropped() -> None:
    one = row(WORDS[:50])
    assert again(one, row(WORDS[1:50]), one | {"id": "other"}, near=False) == ["", "", "duplicate"]


def test_what_was_seen_is_known_in_every_thread() -> None:
    """A server's pool gives each piece of a download to another thread."""
    with closing(Seen()) as seen, ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        said = [thread.submit(seen.again, b"same", b"").result() for thread in (one, other, one)]
    assert said == ["", "duplicate", "duplicate"]
