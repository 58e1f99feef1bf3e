from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.chat.tags import Piece, Start, TagSplitter

TAGS = ("<think>", "</think>")


def split(texts: list[str], start: Start = "undecided") -> list[Piece]:
    splitter = TagSplitter(TAGS, start)
    return [piece for i, text in enumerate(texts) for piece in splitter.feed(text, i)] + splitter.flush()


def joined(pieces: list[Piece]) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for kind, text, _ in pieces:
        if out and out[-1][0] == kind and kind in ("reasoning", "content"):
            text = out.pop()[1] + text
        out.append((kind, text))
    return out


CASES: list[tuple[str, Start, list[tuple[str, str]]]] = [
    ("plain", "undecided", [("content", "plain")]),
    (
        "<think>why</think>so",
        "undecided",
        [("open", "<think>"), ("reasoning", "why"), ("close", "</think>"), ("content", "so")],
    ),
    (
        "\n <think>\nwhy\n</think>\n\nso",
        "undecided",
        [("open", "\n <think>"), ("reasoning", "\nwhy\n"), ("close", "</think>"), ("content", "\n\nso")],
    ),
    ("so <think>why</think>", "undecided", [("content", "so <think>why</think>")]),
    ("<thinking>", "undecided", [("content", "<thinking>")]),
    ("<thi", "undecided", [("content", "<thi")]),
    ("  ", "undecided", [("content", "  ")]),
    ("<think></think>", "undecided", [("open", "<think>"), ("close", "</think>")]),
    ("<think>a </the> b", "undecided", [("open", "<think>"), ("reasoning", "a </the> b")]),
    ("<think>a</thin", "undecided", [("open", "<think>"), ("reasoning", "a</thin")]),
    (
        "<think>a</think>b<think>c</think>",
        "undecided",
        [("open", "<think>"), ("reasoning", "a"), ("close", "</think>"), ("content", "b<think>c</think>")],
    ),
    ("why</think>so", "open", [("reasoning", "why"), ("close", "</think>"), ("content", "so")]),
    (
        "<think>why</think>so",
        "open",
        [("open", "<think>"), ("reasoning", "why"), ("close", "</think>"), ("content", "so")],
    ),
    ("<th", "open", [("reasoning", "<th")]),
    ("<think>why</think>so", "inside", [("reasoning", "<think>why"), ("close", "</think>"), ("content", "so")]),
]


@pytest.mark.parametrize(("text", "start", "wanted"), CASES)
def test_cases_whole_and_char_by_char(text: str, start: Start, wanted: list[tuple[str, str]]) -> None:
    assert joined(split([text], start)) == wanted
    assert joined(split(list(text), start)) == wanted


@given(st.sampled_from(CASES), st.lists(st.integers(0, 60)))
def test_cases_in_random_cuts(case: tuple[str, Start, list[tuple[str, str]]], at: list[int]) -> None:
    text, start, wanted = case
    edges = [0, *sorted(place % (len(text) + 1) for place in at), len(text)]
    parts = [text[a:b] for a, b in pairwise(edges) if a < b]
    assert joined(split(parts, start)) == wanted


@given(
    st.lists(
        st.sampled_from(["<", "<think>", "</think>", "</", "think>", " ", "\n", "a", "<<", "</th"]),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["undecided", "open", "inside"]),
)
def test_nothing_is_lost_and_cuts_do_not_matter(parts: list[str], start: Start) -> None:
    pieces = split(parts, start)
    assert "".join(piece.text for piece in pieces) == "".join(parts)
    assert joined(pieces) == joined(split(["".join(parts)], start))
    for piece in pieces:
        assert piece.mark is None or parts[piece.mark] == piece.text


def marks(parts: list[str], start: Start = "undecided") -> list[Any]:
    return [piece.mark for piece in split(parts, start)]


def test_unchanged_texts_keep_their_mark() -> None:
    assert marks(["<think>", "why", "</think>", "so"]) == [0, 1, 2, 3]
    assert marks(["<", "b>", "bold"]) == [0, 1, 2]  # held, and then no tag after all
    assert marks(["a <", "/b", "c"], "inside") == [None, None, 1, 2]
    assert marks(["<thi", "nk>", "why"]) == [None, 2]
    assert marks(["<think>why", "b"]) == [None, None, 1]


def test_text_is_held_only_while_it_may_be_a_tag() -> None:
    splitter = TagSplitter(TAGS)
    assert splitter.feed("<th") == []
    assert splitter.feed("e") == [Piece("content", "<th"), Piece("content", "e")]
    assert splitter.settled
