"""The parts of the grounding check below the model: words, evidence, statements, features, claims, differences."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.checks.grounding.claims import evidence_length, is_claim, question_of
from guard.checks.grounding.difference import Difference, difference
from guard.checks.grounding.features import NAMES, Past, features
from guard.checks.grounding.passages import Index
from guard.checks.grounding.statement import Lexicon, Statement, read
from guard.checks.grounding.telling import bounds, phrases
from guard.checks.grounding.words import is_other_language, number, stem
from guard.core.types import Evidence, Passage

BRIDGE = (
    "The Arlen Bridge was opened in 1932 by Mayor Dora Finch. It is 412 metres long and carries four lanes.\n"
    "Repairs took 15 months and did not close the footpath. Cyclists may use the northern side."
)


def indexed(*texts: str) -> Index:
    return Index([Passage(source="evidence", text=text) for text in texts])


def stated(text: str, *evidence: str) -> tuple[Statement, Index]:
    index = indexed(*(evidence or (BRIDGE,)))
    return read(text, index, Lexicon()), index


def values(text: str, *evidence: str, question: str = "") -> dict[str, float]:
    said, index = stated(text, *evidence)
    asked = frozenset(stem(word) for word in question.lower().split())
    return dict(zip(NAMES, features(said, index, Lexicon(), Past(), asked), strict=True))


def told(text: str, *evidence: str) -> Difference | None:
    said, index = stated(text, *evidence)
    return difference(said, index)


@pytest.mark.parametrize(
    ("one", "other"),
    [("opened", "opening"), ("bridge", "bridges"), ("cities", "city"), ("stopped", "stops"), ("Mayor's", "mayor")],
)
def test_words_of_one_stem_are_the_same(one: str, other: str) -> None:
    assert stem(one.lower()) == stem(other.lower())


@pytest.mark.parametrize(
    ("written", "same"), [("1,000", "1000"), ("12.50", "12.5"), ("007", "7"), ("0", "0"), ("3.0", "3")]
)
def test_numbers_of_one_value_are_the_same(written: str, same: str) -> None:
    assert number(written) == same


def test_what_is_copied_is_not_new() -> None:
    found = values("It is 412 metres long and carries four lanes.")
    assert found["novel"] == found["numbers_new"] == found["bigrams"] == found["pairs"] == 0
    assert found["best"] == pytest.approx(1)
    assert found["number_pair"] == 1


def test_new_words_numbers_and_names_are_counted() -> None:
    found = values("The Arlen Bridge was painted green in 1987 by Otto Brandt.")
    assert found["novel_n"] == 5  # painted, green, 1987, Otto, Brandt
    assert found["numbers_new"] == 1
    assert found["capitals_new"] == 2
    assert 0 < found["best"] < 0.6


def test_a_known_number_beside_the_wrong_thing_stands_alone() -> None:
    assert values("Repairs took 15 months.")["number_pair"] == 1
    assert values("The bridge carries 15 lanes.")["number_pair"] < 0.5


def test_words_that_the_evidence_has_only_apart_are_pairs_apart() -> None:
    assert values("Dora Finch closed the footpath.")["pairs_n"] == 1  # Finch + closed
    assert values("Repairs did not close the footpath.")["pairs_n"] == 0


def test_a_number_may_be_spelt_out() -> None:
    assert values("It carries 4 lanes and the repairs took fifteen months.")["number_words_new"] == 0
    assert values("It carries 4 lanes.")["numbers_new"] == 0
    assert values("Repairs took eleven months.")["number_words_new"] == 1


def test_denials_and_opposites_are_seen_against_the_best_sentence() -> None:
    assert values("Repairs took 15 months and did close the footpath.")["denial_lost"] == 1
    assert values("The Arlen Bridge was not opened in 1932.")["denied_alone"] == 1
    assert values("The north side is open.", "The north side is closed on Sundays.")["opposed"] == 1


def test_a_record_is_read_field_by_field() -> None:
    record = json.dumps({"name": "Taco Hut", "attributes": {"WiFi": None, "OutdoorSeating": False, "HasTV": True}})
    found = values("Taco Hut has outdoor seating.", record)
    assert found["record"] == 1
    assert found["field_no"] == found["no_alone"] == 1
    assert values("Taco Hut has no outdoor seating.", record)["no_alone"] == 0


def test_opening_hours_may_be_said_the_other_way() -> None:
    record = json.dumps({"hours": {"Monday": "11:0-21:30"}})
    assert values("On Monday it is open from 11 am to 9:30 pm.", record)["numbers_new"] == 0


@pytest.mark.parametrize("broken", ['{"a": ', "[1, 2", "{not json}", "[" * 2000, '{"a":' * 200 + "1" + "}" * 200])
def test_what_only_looks_like_json_is_text(broken: str) -> None:
    assert not indexed(broken).is_record


def test_a_list_marker_and_a_citation_are_no_part_of_a_statement() -> None:
    bare, marked = stated("Repairs took 15 months.")[0], stated("\n7. Repairs took 15 months (Passage 2).")[0]
    assert [word.stem for word in bare.words] == [word.stem for word in marked.words]


@pytest.mark.parametrize(
    "text",
    [
        "Sure!",
        "Here is a summary of the passages:",
        "What would you like to know?",
        "1.",
        "## History",
        "**Opening hours**",
        "```python",
        "(Passage 2)",
        "The passages do not mention who built it.",
        "Based on the given context, I cannot answer that.",
        "Let me know if you need more.",
        "Okay, so I need to figure out which of the two ferries the visitor could have taken that evening.",
        "Wait, let me check the second passage again.",
        "Hmm, I think I have overlooked something about the timetable.",
        "",
    ],
)
def test_what_states_nothing_about_the_world_is_no_claim(text: str) -> None:
    assert not is_claim(text)


@pytest.mark.parametrize(
    "text",
    [
        "It opened in 1932.",
        "* 1 egg",
        "There is no toll.",
        "\n3. Preheat the oven to 400 degrees.",
        "He may not run again.",
    ],
)
def test_what_states_something_is_a_claim(text: str) -> None:
    assert is_claim(text)


def test_a_number_that_differs_is_told() -> None:
    found = told("Repairs took 18 months and did not close the footpath.")
    assert found is not None
    assert (found.said, found.right) == ("18", "15")
    assert found.unit.text in BRIDGE


def test_a_name_that_differs_is_told() -> None:
    found = told("The Arlen Bridge was opened in 1932 by Mayor Nora Finch.")
    assert found is not None
    assert (found.said, found.right) == ("Nora", "Dora")


@pytest.mark.parametrize(
    "text",
    [
        "Repairs took 15 months and did not close the footpath.",  # so it is
        "Repairs took fifteen months and did not close the footpath.",  # the same number
        "Repairs took 15-18 months and did not close the footpath.",  # a range
        "Workers needed 18 months for something else entirely.",  # another statement
        "Reparations took 15 months and did not close the footpath.",  # no number or name
        "Nothing here has one.",
    ],
)
def test_what_is_not_certain_is_no_difference(text: str) -> None:
    assert told(text) is None


def test_what_the_user_wrote_is_never_the_right_value() -> None:
    index = Index([Passage(source="user", text=BRIDGE)])
    assert difference(read("Repairs took 18 months and did not close the footpath.", index, Lexicon()), index) is None


@pytest.mark.parametrize(
    ("text", "told_of"),
    [
        ("Strangely the Arlen Bridge has a roof by Otto Lindqvist and 15 golden lions.", ["Otto Lindqvist"]),
        ("It has a copper-plated roof and golden lions.", ["copper-plated roof", "golden lions"]),
        ("It has a roof of 77 Zurich tiles, given by Ida.", ["77 Zurich tiles", "Ida"]),
        ("It carries four lanes.", []),
    ],
)
def test_phrases_are_runs_of_new_words_as_written_names_and_numbers_first(text: str, told_of: list[str]) -> None:
    said, _ = stated(text)
    assert phrases(said) == told_of


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("\n\n2. It is long (Passage 1).", "It is long"),
        ("  It is long. ", "It is long."),
        ("- a", "a"),
        ("", ""),
        ("(Passage 1)", "(Passage 1)"),
    ],
)
def test_the_bounds_are_those_of_the_statement_itself(text: str, inner: str) -> None:
    start, end = bounds(text)
    assert text[start:end] == inner


def test_of_a_message_that_brings_material_along_only_the_ends_are_the_question() -> None:
    long = "Answer from this:\n" + BRIDGE * 4 + "\nHow long is it?"
    asked = question_of(Evidence(question=long))
    assert asked == "Answer from this:\nHow long is it?"
    own = Evidence(passages=(Passage(source="user", text=long),), question=long)
    assert evidence_length(own) > 700
    short = Evidence(passages=(Passage(source="user", text="How long is it?"),), question="How long is it?")
    assert evidence_length(short) == 0


@pytest.mark.parametrize(
    "text",
    [
        "Die Brücke ist nicht mit dem Auto zu erreichen.",
        "La tour est dans le centre des affaires.",
        "这座桥于一九三二年开通。",
    ],
)
def test_other_languages_are_recognised(text: str) -> None:
    assert is_other_language(text)


@pytest.mark.parametrize(
    "text", ["The bridge is in the north.", "412 m", "", "Café in El Paso, La Mesa and Des Moines is open."]
)
def test_english_is_not_another_language(text: str) -> None:
    assert not is_other_language(text)


TEXTS = st.text(max_size=200) | st.sampled_from(
    [BRIDGE, '{"a": [1, null, {"b": true}]}', "1/2 3.4.5 ½ ’s n't", "İ\u0130ß"]
)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.lists(TEXTS, max_size=4))
def test_any_text_beside_any_evidence_gives_finite_features(text: str, evidence: list[str]) -> None:
    said, index = stated(text, *(evidence or [""]))
    found = features(said, index, Lexicon(), Past(), frozenset())
    assert len(found) == len(NAMES)
    assert all(abs(value) < 1e6 for value in found)
    difference(said, index)
    start, end = bounds(text)
    assert 0 <= start <= end <= len(text)


@given(st.permutations([BRIDGE, "The ferry costs 3 pounds.", "Dora Finch was born in Arlen. She rode a bicycle."]))
@settings(deadline=None)
def test_the_order_of_the_evidence_does_not_matter(order: Sequence[str]) -> None:
    text = "Dora Finch was born in 1932 and the ferry carries bicycles."
    assert values(text, *order) == values(
        text, BRIDGE, "The ferry costs 3 pounds.", "Dora Finch was born in Arlen. She rode a bicycle."
    )


def test_evidence_given_twice_counts_once() -> None:
    text = "Dora Finch was born in 1932."
    assert values(text, BRIDGE, BRIDGE) == values(text, BRIDGE)


@pytest.mark.parametrize("text", ["\n\n  Repairs took 18 months.", "Repairs  took\n18   months. "])
def test_white_space_does_not_matter(text: str) -> None:
    assert values(text) == values("Repairs took 18 months.")


def test_a_number_of_another_thing_is_a_difference() -> None:
    """412 is in the evidence, but of metres."""
    found = told("Repairs took 412 months and did not close the footpath.")
    assert found is not None
    assert (found.said, found.right) == ("412", "15")


def test_a_comma_behind_a_number_is_no_part_of_it() -> None:
    found = told("Repairs took 18, and did not close the footpath.", "Repairs took 15, and did not close the footpath.")
    assert found is not None
    assert (found.said, found.right) == ("18", "15")
