"""`clean` is a segment in which a check found something to judge, and it holds; else it answers `not_applicable`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import registry
from guard.checks import Context, NotApplicable, Resources, Result
from guard.core.types import Evidence, Passage, Segment

RECORD = {
    "name": "Blue Door",
    "WiFi": "no",
    "price": 40,
    "status": "shipped",
    "city": "Oakland",
    "rooms": [{"bed": "twin"}, {"bed": "king"}],
    "allergens": ["milk", "soy"],
    "hours": {"Monday": "9:0-17:0", "Tuesday": "9:0-17:0", "Friday": "9:0-17:0"},
}
FACTS = (
    {"relation": "birth_place", "patterns": ["{subject} was born in {object}"]},
    {"relation": "founded", "patterns": ["{subject} was founded in {object}"]},
    {"relation": "speaks", "patterns": ["{subject} speaks {object}"], "functional": False},
    {"subject": "Ada Velm", "relation": "birth_place", "object": "Dundal"},
    {"subject": "Ada Velm", "relation": "speaks", "object": "Vellish"},
    {"subject": "Dundal", "relation": "country", "object": "Ostria"},
    {"subject": "Acme", "relation": "founded", "object": "1984"},
    {"relation": "country", "patterns": ["{subject} is a city in {object}"]},
)
MADE_UP = "Write a short story about it."
INVENTION = "the question asks for invention"


def examined(
    name: str, *texts: str, tmp_path: Path | None = None, asked: str = "", params: dict[str, Any] | None = None
) -> Result:
    """What the check says of the last text, behind the others."""
    cls = registry.plugin("checks", name)
    paths = () if tmp_path is None else (tmp_path / "facts.jsonl",)
    for path in paths:
        path.write_text("".join(json.dumps(line) + "\n" for line in FACTS), encoding="utf-8")
    check = cls(cls.Params.model_validate(params or {}), Resources(facts=paths))
    *before, last = (
        Segment(id=at, channel="content", start=0, end=len(text), text=text, attempt=0) for at, text in enumerate(texts)
    )
    passages = (Passage(source="evidence", text=json.dumps(RECORD)), Passage(source="user", text=asked))
    given = Evidence(passages=passages, question=asked)
    result: Result = check.examine(last, Context(evidence=given, standing=lambda: tuple(before)))
    return result


@pytest.mark.parametrize(
    "text",
    [
        "2 + 3 = 5, so there are five.",
        "So 3 plus 4 is 7.",
        "The sum of 3, 4 and 5 is 12.",
        "48 / 2 = <<48/2=24>>24 clips.",
        "We get 3 * 4 = 12 = 6 + 6.",
        "97 is prime.",
        r"\(7^2 \equiv -1 \pmod{25}\)",
        r"\(f = (x + 1)^2 = x^2 + 2x + 1\)",
        "12 = 3 * 4",
    ],
)
def test_a_sum_that_holds_is_clean(text: str) -> None:
    assert examined("arithmetic", text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Ada Velm was born in Dundal.",
        "She was born in 1912.",
        "Is 2 + 3 = 5?",
        "x = 5",
        "Let $f(x) = 3x + 1$.",
        "Solve x + 3 = 7 for x.",
        "n + 91 is prime.",
        "If 91 is prime, so be it.",
        "It is 3 - 4 pages long.",
        "36 inches = 3 feet",
        "",
    ],
)
def test_what_is_no_sum_is_not_applicable(text: str) -> None:
    assert examined("arithmetic", text) == NotApplicable("no sum")


def test_a_wrong_sum_in_code_is_not_applicable() -> None:
    assert examined("arithmetic", "```\n", "2 + 3 = 6") == NotApplicable("code")


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-3, 3))
def test_a_sum_is_clean_or_flagged_and_never_not_applicable(one: int, other: int, off: int) -> None:
    result = examined("arithmetic", f"We have {one} + {other} = {one + other + off}.")
    assert isinstance(result, tuple)
    if not off:
        assert result == ()


@pytest.mark.parametrize("text", ["Ada Velm was born in Dundal.", "Acme was founded in 1984."])
def test_a_fact_is_clean(tmp_path: Path, text: str) -> None:
    assert examined("knowledge", text, tmp_path=tmp_path) == ()


@pytest.mark.parametrize(
    "text",
    [
        "The weather is fine.",
        "Bo Tarn was born in Dundal.",
        "She was born in Dundal.",
        "Was Ada Velm born in Dundal?",
        "If Ada Velm was born in Dundal, she is from here.",
        "Ada Velm was born in Ostria.",
        "Ada Velm was born in March.",
        "Ada Velm speaks Vellish.",
        "Acme was founded around 1984.",
    ],
)
def test_what_the_facts_say_nothing_about_is_not_applicable(tmp_path: Path, text: str) -> None:
    assert examined("knowledge", text, tmp_path=tmp_path) == NotApplicable("no fact")


def test_what_was_to_be_made_up_is_not_applicable(tmp_path: Path) -> None:
    wrong = "Ada Velm was born in Kargate."
    assert examined("knowledge", wrong, tmp_path=tmp_path, asked=MADE_UP) == NotApplicable(INVENTION)
    assert examined("fields", "It offers free WiFi.", asked=MADE_UP) == NotApplicable(INVENTION)
    two = "The meeting is on Tuesday.", "The meeting is on Thursday."
    assert examined("contradiction", *two, asked=MADE_UP) == NotApplicable(INVENTION)


def test_the_same_said_twice_is_clean() -> None:
    assert examined("contradiction", "The meeting is on Tuesday.", "The meeting is on Tuesday.") == ()


@pytest.mark.parametrize(
    "texts",
    [
        ("The meeting is on Tuesday.",),
        ("The meeting is on Tuesday.", "The dinner is on Friday."),
        ("The meeting is on Tuesday.", "Wait.", "The meeting is on Tuesday."),
        ("The meeting is on Tuesday.", "Nothing else is known."),
    ],
)
def test_what_was_not_spoken_of_before_is_not_applicable(texts: tuple[str, ...]) -> None:
    assert examined("contradiction", *texts) == NotApplicable("nothing to compare")


@pytest.mark.parametrize(
    "text",
    [
        "There is no WiFi.",
        "The price is $40.",
        "The status is shipped.",
        "It is located in Oakland.",
        "It has two rooms.",
        "The allergens are milk and soy.",
        "It is open on Monday from 9 am to 5 pm.",
    ],
)
def test_what_the_record_bears_out_is_clean(text: str) -> None:
    assert examined("fields", text) == ()


@pytest.mark.parametrize(
    "text",
    ["The weather is fine today.", "Is there WiFi?", "If there is WiFi, stay.", "The price is about $40.", ""],
)
def test_what_says_nothing_of_a_field_is_not_applicable(text: str) -> None:
    assert examined("fields", text) == NotApplicable("no field")


@given(st.text(max_size=40))
def test_a_phrase_is_there_or_the_check_is_not_applicable(text: str) -> None:
    result = examined("phrase", text, params={"phrases": [{"text": "a"}]})
    assert isinstance(result, tuple) is ("a" in text.lower())
    assert result == NotApplicable("no phrase") or result
