"""Records as a reviewer is shown them: where quotes stand, and text that no UTF-8 can hold."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.types import Finding, Passage, Verdict
from guard.server.console_json import encoded
from guard.server.review import quotes, surest

PASSAGES = (
    Passage(source="user", text="Where was Ada born?"),
    Passage(source="evidence", text="Ada was\n  born in Kargate. (She left.) Ada was born in Kargate."),
    Passage(source="evidence", text="Kargate is in Ostria. She left."),
)


def verdict(*evidence: str) -> Verdict:
    findings = tuple(Finding(score=0.5, evidence=quote) for quote in evidence)
    return Verdict(segment=0, check="c", version="1", status="flagged", findings=findings)


def found(*evidence: str) -> list[tuple[int, str]]:
    places = quotes([verdict(*evidence)], PASSAGES)
    return [(p["passage"], PASSAGES[p["passage"]].text[p["start"] : p["end"]]) for p in places]


@pytest.mark.parametrize(
    ("quote", "place"),
    [
        ("Ada was born in Kargate.", (1, "Ada was born in Kargate.")),  # as it is before otherwise spaced
        ("Ada  was born", (1, "Ada was\n  born")),
        ("  Kargate is in Ostria.\n", (2, "Kargate is in Ostria.")),
        ("(She left.)", (1, "(She left.)")),
        ("She left.", (1, "She left.")),  # the first passage
        ("ada was born", None),
        ("Ada was born.in", None),
        ("", None),
        (" \n", None),
    ],
)
def test_where_a_quote_stands(quote: str, place: tuple[int, str] | None) -> None:
    assert found(quote) == ([] if place is None else [place])


def test_each_quote_is_told_once_and_those_that_stand_nowhere_not() -> None:
    assert found("She left.", "nowhere", " She left.", "Ostria.") == [(1, "She left."), (2, "Ostria.")]
    assert quotes([verdict("She"), verdict("She")], PASSAGES) == [{"passage": 1, "start": 28, "end": 31}]


words = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=4), min_size=1, max_size=6)
spaces = st.sampled_from([" ", "  ", "\n", "\t ", "\u00a0", "\u2028"])


@given(words, words, words, st.data())
def test_a_quote_is_found_however_it_is_spaced(
    before: list[str], quote: list[str], after: list[str], data: st.DataObject
) -> None:
    def spaced(parts: list[str]) -> str:
        return "".join(part + data.draw(spaces) for part in parts)

    passage = Passage(source="evidence", text=spaced(before) + spaced(quote) + spaced(after))
    (place,) = quotes([verdict(" ".join(quote))], [passage])
    assert passage.text[place["start"] : place["end"]].split() == quote


def test_no_passage_makes_the_search_long() -> None:
    """Where every word may begin the quote: a pattern would need minutes, and with it every response that runs."""
    passage = Passage(source="evidence", text="a " * 400_000 + "b")
    assert quotes([verdict("a\n" * 20_000 + "c")], [passage]) == []
    (place,) = quotes([verdict("a\n" * 20_000 + "b")], [passage])
    assert place == {"passage": 0, "start": 760_000, "end": 800_001}


def test_the_surest_finding_counts() -> None:
    assert surest(()) == 0.0
    assert surest([Finding(score=0.2), Finding(score=0.7), Finding(score=0.1)]) == 0.7


json_text = st.text(st.characters(), max_size=8)


@given(st.recursive(json_text | st.none() | st.integers(-9, 9), lambda v: st.lists(v) | st.dictionaries(json_text, v)))
def test_any_text_can_be_sent_and_keeps_its_length(value: object) -> None:
    got = json.loads(encoded({"x": value}))
    assert encoded(got) == encoded({"x": value})


@given(json_text)
def test_a_text_keeps_its_offsets(text: str) -> None:
    got = json.loads(encoded([text + "\ud800"]))[0]
    assert len(got) == len(text) + 1
    assert all(a == b or 0xD800 <= ord(a) <= 0xDFFF for a, b in zip(text, got, strict=False))


def test_dataclasses_and_what_is_no_number_are_json() -> None:
    assert json.loads(encoded({"p": PASSAGES[0]})) == {"p": {"source": "user", "text": "Where was Ada born?"}}
    assert json.loads(encoded([float("nan"), "\ud800"])) == [None, "?"]


@dataclass(frozen=True, slots=True)
class _Broken:
    text: str


def test_a_value_of_ours_with_such_text_is_sent_too() -> None:
    assert json.loads(encoded([_Broken("a\udfffb")])) == [{"text": "a?b"}]
