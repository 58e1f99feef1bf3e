"""Every text whole, one character at a time and in random cuts: the segments are the same."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core import segmenter
from guard.core.policy import Unit
from guard.core.segmenter import CLOSERS, LIMIT, Segmenter


def ends(parts: list[str], unit: Unit = "sentence", seen: str = "") -> list[int]:
    """The boundaries of a text that comes in these parts."""
    cutter = Segmenter(unit, seen)
    found = [end for part in parts for end in cutter.feed(part)]
    last = cutter.flush()
    return found if last is None else [*found, last]


def cut(text: str, unit: Unit = "sentence", seen: str = "") -> list[str]:
    """The segments of a text; it is cut in every way that a table can afford, and nothing may differ."""
    whole = ends([text], unit, seen)
    assert ends(list(text), unit, seen) == whole
    assert ends([text[i : i + 7] for i in range(0, len(text), 7)], unit, seen) == whole
    offsets = [0, *(end - len(seen) for end in whole)]
    return [text[a:b] for a, b in pairwise(offsets)]


SENTENCES: dict[str, list[str]] = {
    "": [],
    "   \n  ": [],
    "One. Two": ["One.", " Two"],
    "It is 3.14 today. Then 2.0 more.": ["It is 3.14 today.", " Then 2.0 more."],
    "Use x.y here. ok": ["Use x.y here.", " ok"],
    "v1.2.3. done": ["v1.2.3.", " done"],
    "Dr. Smith met J. R. Smith at 5 p.m. yesterday. He left.": [
        "Dr. Smith met J. R. Smith at 5 p.m. yesterday.",
        " He left.",
    ],
    "e.g. this. And etc. more": ["e.g. this.", " And etc. more"],
    "U.S. policy is. fine": ["U.S. policy is.", " fine"],
    "Neither did I. He went.": ["Neither did I.", " He went."],
    "1. First item\n2. Second item.\n- third": ["1. First item", "\n2. Second item.", "\n- third"],
    " a. choice one. iv. choice two.": [" a. choice one.", " iv. choice two."],
    "- 1. nested marker. End": ["- 1. nested marker.", " End"],
    "See No. 5 for it. No. It is not.": ["See No. 5 for it.", " No.", " It is not."],
    "see fig. 3. and fig. it": ["see fig. 3.", " and fig.", " it"],
    "see fig.           3 there": ["see fig.", "           3 there"],
    "No.": ["No."],
    "Why?! Because.": ["Why?!", " Because."],
    "Wait... what? Hi… you": ["Wait...", " what?", " Hi…", " you"],
    'He said "No." Then (really!) left.': ['He said "No."', " Then (really!)", " left."],
    "**Bold.** Next *em.* z": ["**Bold.**", " Next *em.*", " z"],
    "这是一。那是二！对吗？好": ["这是一。", "那是二！", "对吗？", "好"],
    "他说「对。」然后": ["他说「对。」", "然后"],
    "Line one\n\nline two\n": ["Line one", "\n\nline two"],
    "```python\nx = 1.\ny = 2\n```\nAfter. More": ["```python\nx = 1.\ny = 2\n```", "\nAfter.", " More"],
    "Text:\n```\na. b\n```\nEnd.": ["Text:", "\n```\na. b\n```", "\nEnd."],
    "```\nopen. fence\nnever closed": ["```\nopen. fence\nnever closed"],
    "~~~~\n```\ncode. a\n~~~\nb\n~~~~\nEnd.": ["~~~~\n```\ncode. a\n~~~\nb\n~~~~", "\nEnd."],
    "```\n``` not a close\nx. y\n```\nz": ["```\n``` not a close\nx. y\n```", "\nz"],
    ". . .": [".", " .", " ."],
    "!!!!!!!!!!!! So": ["!!!!!!!!!!!!", " So"],
}


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences(text: str) -> None:
    assert cut(text) == SENTENCES[text]


PARAGRAPHS = {
    "P one.\nline two. more\n\nPara two\n \nthree": ["P one.\nline two. more", "\n\nPara two", "\n \nthree"],
    "one line": ["one line"],
    "\n\na\n\n\n\nb": ["\n\na", "\n\n\n\nb"],
    "a\n            b\n\nc": ["a\n            b", "\n\nc"],
    "```\na\n\nb\n```\nc\n\nd": ["```\na\n\nb\n```", "\nc", "\n\nd"],
}


@pytest.mark.parametrize("text", PARAGRAPHS)
def test_paragraphs(text: str) -> None:
    assert cut(text, "paragraph") == PARAGRAPHS[text]


def test_the_unit_whole_is_one_segment_that_ends_with_the_text() -> None:
    assert cut("A. B.\n\nC.  ", "whole") == ["A. B.\n\nC."]
    assert cut("  \n", "whole") == []


def test_a_whole_that_goes_on_after_a_flush_is_a_second_segment() -> None:
    cutter = Segmenter("whole")
    cutter.feed("A. ")
    assert (cutter.flush(), cutter.start) == (2, 2)
    cutter.feed("B.")
    assert (cutter.flush(), cutter.flush()) == (5, None)


def test_white_space_left_by_a_flush_belongs_to_the_next_segment() -> None:
    cutter = Segmenter()
    cutter.feed("A b  ")
    assert (cutter.flush(), cutter.flush()) == (3, None)
    assert cutter.feed("Cut. D") == [9]


def test_what_was_seen_before_only_moves_the_offsets() -> None:
    assert cut("One. Two", seen="Earlier text.") == ["One.", " Two"]


def test_a_fence_that_was_seen_open_is_still_open() -> None:
    assert cut("x. y\n```\nmore. z", seen="Look:\n```py\n") == ["x. y\n```", "\nmore.", " z"]


def test_a_fence_that_was_seen_closed_is_closed() -> None:
    assert cut("So. y", seen="~~~\na\n```\n~~~\n") == ["So.", " y"]


def test_a_marker_in_the_middle_of_a_seen_line_opens_no_fence() -> None:
    assert cut("```\nSo. y", seen="so ") == ["```", "\nSo.", " y"]


def test_a_clause_ends_where_punctuation_does_not_come() -> None:
    clause = "the number goes on, "
    pieces = cut(clause * 30)
    assert all(piece.endswith(",") for piece in pieces[:-1])


def test_a_forced_split_prefers_a_conjunction_to_a_space() -> None:
    text = "word " * 30 + "therefore " + "word " * 60
    assert cut(text)[0] == "word " * 29 + "word"


def test_a_forced_split_falls_back_to_a_space_and_then_to_the_limit() -> None:
    assert {len(piece) for piece in cut("wordy " * 200)[:-1]} <= {317, 318, 319}
    assert cut("x" * 700) == ["x" * 320, "x" * 320, "x" * 60]
    assert cut(" " * 400 + "x")[0] == " " * 320


def test_a_long_fence_is_split_between_lines() -> None:
    line = "value = call(1, 2)\n"
    pieces = cut("```\n" + line * 40 + "```\n")
    assert all(piece.endswith(")") for piece in pieces[:-1])
    assert cut("```\n" + "y" * 400)[0] == "```"


def test_a_split_prefers_full_width_clauses() -> None:
    assert cut("一二三，四五" * 100)[0].endswith("，")


BITS = [*"aI5 .!?…\n\t。！\"')`~-*,;:，A", "```\n", "No. ", "Dr. ", "word " * 9]
ALPHABET = st.lists(st.sampled_from(BITS), max_size=300).map("".join)
UNITS: tuple[Unit, ...] = ("sentence", "paragraph", "whole")


@settings(deadline=None, max_examples=150)
@given(text=ALPHABET, data=st.data(), unit=st.sampled_from(UNITS), seen=st.sampled_from(["", "A. ", "```\n", "x"]))
def test_a_boundary_depends_on_the_text_alone(text: str, data: Any, unit: Unit, seen: str) -> None:
    points = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    parts = [text[a:b] for a, b in pairwise([0, *points, len(text)])]
    whole = ends([text], unit, seen)
    assert ends(parts, unit, seen) == whole
    assert ends(list(text), unit, seen) == whole


@settings(deadline=None, max_examples=150)
@given(text=ALPHABET | st.text(max_size=900), unit=st.sampled_from(UNITS))
def test_segments_partition_the_text(text: str, unit: Unit) -> None:
    found = ends([text], unit)
    assert found == sorted(set(found))
    assert (found[-1] if found else 0) == len(text.rstrip()) or not text[found[-1] if found else 0 :].strip()


@settings(deadline=None, max_examples=100)
@given(parts=st.lists(ALPHABET | st.text(alphabet="ab .\n`", max_size=3000), max_size=4))
def test_no_segment_is_longer_than_the_limit_and_its_closers(parts: list[str]) -> None:
    for unit in ("sentence", "paragraph"):
        found = ends(parts, unit)
        sizes = [b - a for a, b in pairwise([0, *found])]
        assert max(sizes, default=0) <= LIMIT[unit] + 2 * CLOSERS


class Counting:
    """A pattern that counts the characters it looks at."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.seen = 0

    def search(self, text: str, position: int = 0) -> re.Match[str] | None:
        found = self.pattern.search(text, position)
        self.seen += (found.end() if found else len(text)) - position
        return found


@pytest.mark.parametrize("size", [1, 3, 100_000])
@pytest.mark.parametrize("text", ["a word and 3.5 more, no. 7. ", "x", "```\ncode. \n", ". "])
def test_scanning_is_a_bounded_number_of_looks_a_character(
    text: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, newline = Counting(segmenter._CANDIDATE), Counting(segmenter._NEWLINE)
    monkeypatch.setattr(segmenter, "_CANDIDATE", candidate)
    monkeypatch.setattr(segmenter, "_NEWLINE", newline)
    long = text * (30_000 // len(text))
    ends([long[i : i + size] for i in range(0, len(long), size)])
    assert candidate.seen + newline.seen <= 12 * len(long)
