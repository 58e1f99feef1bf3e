from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks import Context, NotApplicable, Resources
from guard.checks.knowledge import Knowledge, plugin
from guard.checks.knowledge.facts import build_sqlite, name_key
from guard.core.types import Evidence, Finding, Segment
from guard.errors import ConfigError

RELATIONS: list[dict[str, Any]] = [
    {
        "relation": "born",
        "patterns": [
            "{subject} was born in {object}.",
            "The birthplace of {subject} is {object}.",
            "{object} is where {subject} was born.",
        ],
        "negation": "{subject} was not born in {object}.",
    },
    {
        "relation": "teacher",
        "patterns": ["{subject} was taught by {object}.", "{object} taught {subject}."],
        "negation": "{subject} was not taught by {object}.",
    },
    {
        "relation": "country",
        "patterns": ["{subject} is a city in {object}.", "In {object} there is a city named {subject}."],
    },
    {"relation": "river", "patterns": ["{subject} stands on the river {object}."]},
    {"relation": "currency", "patterns": ["The currency of {subject} is the {object}."]},
    {"relation": "sea", "patterns": ["The river {subject} flows into the {object}."]},
    {"relation": "visited", "patterns": ["{subject} visited {object}."], "functional": False},
]
FACTS: list[dict[str, Any]] = [
    {"subject": "Ada Velm", "relation": "born", "object": "Brengate", "subject_aliases": ["Dr. Velm", "A. Velm"]},
    {"subject": "Tomas Reld", "relation": "born", "object": "Kargate", "object_aliases": ["Kargate-on-Ena"]},
    {"subject": "Ada Velm", "relation": "teacher", "object": "Tomas Reld"},
    {"subject": "Ada Velm", "relation": "teacher", "object": "Mira Sorn"},
    {"subject": "Tomas Reld", "relation": "teacher", "object": "Ilo Parn"},
    {"subject": "Brengate", "relation": "country", "object": "Ostria"},
    {"subject": "Kargate", "relation": "country", "object": "Velland"},
    {"subject": "Tirn", "relation": "country", "object": "Velland"},
    {"subject": "Brengate", "relation": "river", "object": "Ena"},
    {"subject": "Kargate", "relation": "river", "object": "Sull"},
    {"subject": "Ostria", "relation": "currency", "object": "crown"},
    {"subject": "Velland", "relation": "currency", "object": "mark"},
    {"subject": "Ena", "relation": "sea", "object": "Grey Sea"},
    {"subject": "Sull", "relation": "sea", "object": "Sea of Orm"},
    {"subject": "Ada Velm", "relation": "visited", "object": "Tirn"},
]


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def load(*paths: Path) -> Knowledge:
    return plugin(plugin.Params(), Resources(facts=paths))


def examine(check: Knowledge, text: str) -> tuple[Finding, ...]:
    segment = Segment(id=0, channel="content", start=0, end=len(text), text=text, attempt=0)
    result = check.examine(segment, Context(evidence=Evidence()))
    assert isinstance(result, tuple)
    return result


@pytest.fixture(scope="module", params=["jsonl", "sqlite"])
def check(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    folder = tmp_path_factory.mktemp("facts")
    jsonl = write(folder / "facts.jsonl", *RELATIONS, *FACTS)
    if request.param == "jsonl":
        return load(jsonl)
    assert build_sqlite(jsonl, folder / "facts.db") == len(FACTS)
    return load(folder / "facts.db")


def test_a_finding_has_reason_correction_evidence_and_place(check: Knowledge) -> None:
    text = "So Ada Velm was born in Kargate, which is in Ostria."
    (found,) = examine(check, text)
    assert found == Finding(
        score=1.0,
        reason="Ada Velm was not born in Kargate.",
        correction="Ada Velm was born in Brengate.",
        evidence="Ada Velm was born in Brengate.",
        subject="Ada Velm born",
        start=3,
        end=31,
    )
    assert text[found.start : found.end] == "Ada Velm was born in Kargate"


@pytest.mark.parametrize("fact", [fact for fact in FACTS if fact["relation"] != "visited"], ids=str)
def test_every_pattern_tells_right_from_wrong(check: Knowledge, fact: dict[str, Any]) -> None:
    relation = next(r for r in RELATIONS if r["relation"] == fact["relation"])
    true = {f["object"] for f in FACTS if (f["subject"], f["relation"]) == (fact["subject"], fact["relation"])}
    others = sorted({f["object"] for f in FACTS if f["relation"] == fact["relation"]} - true)
    for pattern in relation["patterns"]:
        assert examine(check, pattern.format(**fact)) == ()
        for other in others:
            (found,) = examine(check, "Well, " + pattern.format(subject=fact["subject"], object=other))
            assert found.score == 1.0
            assert found.correction == relation["patterns"][0].format(
                subject=fact["subject"], object=next(f["object"] for f in FACTS if f["object"] in true)
            )


@pytest.mark.parametrize(
    "text",
    [
        "Ada Velm was born in the city of Brengate.",
        "Ada Velm was born in Brengate, Ostria.",
        "ada velm was  born in BRENGATE",
        "Ada Velm was born in North Brengate.",
        "Ada Velm was born in Ostria.",
        "Ada Velm was taught by Mira Sorn.",
        "Tomas Reld was born in Kargate-on-Ena.",
        "The River Ena flows into Grey Sea.",
        "Nobody Special was born in Kargate.",
        "She was born in Kargate.",
        "Was Ada Velm born in Kargate?",
        "Ada Velm was born in Kargate?",
        "If Ada Velm was born in Kargate, she speaks Vellish.",
        "Suppose Ada Velm was born in Kargate.",
        "It is not true that Ada Velm was born in Kargate.",
        "That Ada Velm was born in Kargate is false.",
        "Ada Velm was not born in Kargate.",
        "Ada Velm was never born in Kargate.",
        "The father of Ada Velm was born in Kargate.",
        "Ada Velm's father was born in Kargate.",
        "A friend from Brengate stands on the river Sull.",
        "Ada Velm was born in 1876.",
        "Ada Velm was born in March.",
        "Ada Velm was born in",
        "was born in",
        "Ada Velm visited Kargate.",
        "",
    ],
)
def test_what_is_true_unknown_or_not_claimed_is_clean(check: Knowledge, text: str) -> None:
    assert examine(check, text) == ()


@pytest.mark.parametrize(
    ("text", "score", "span"),
    [
        ("I think Ada Velm was born in Kargate.", 1.0, "Ada Velm was born in Kargate"),
        ("Maybe Ada Velm was born in Kargate.", 1.0, "Ada Velm was born in Kargate"),
        ("Dr. Velm was born in Kargate.", 1.0, "Dr. Velm was born in Kargate"),
        ("Ada Velm, who was born in Kargate, left.", 1.0, "Ada Velm, who was born in Kargate"),
        ("Ada Velm was born in the village of Kargate.", 1.0, "Ada Velm was born in the village of Kargate"),
        ("The city of Brengate stands on the river Sull.", 1.0, "Brengate stands on the river Sull"),
        (
            "The birthplace of Ada Velm, the chemist, is Kargate.",
            1.0,
            "birthplace of Ada Velm, the chemist, is Kargate",
        ),
        ("In Velland there is a city named Brengate, too.", 1.0, "In Velland there is a city named Brengate"),
        ("Kargate is where Ada Velm was born.", 1.0, "Kargate is where Ada Velm was born"),
        ("Ada Velm was born in Kargate and studied in Brengate.", 1.0, "Ada Velm was born in Kargate"),
        ("Ada Velm was born in Tirn.", 1.0, "Ada Velm was born in Tirn"),
        ("Ada Velm was born in Lower Quorn.", 0.9, "Ada Velm was born in Lower Quorn"),
        ("Ada Velm was born in a small hut of the miller.", 0.5, "Ada Velm was born in a small hut of the miller"),
        ("Ada Velm was born in Velland.", 1.0, "Ada Velm was born in Velland"),
        ("Ada Velm was born in Sull.", 1.0, "Ada Velm was born in Sull"),
        ("The currency of Ostria is the talent.", 0.5, "currency of Ostria is the talent"),
        ("Not long ago it rained. Ada Velm was born in Kargate.", 1.0, "Ada Velm was born in Kargate"),
    ],
)
def test_what_is_wrong_is_found(check: Knowledge, text: str, score: float, span: str) -> None:
    (found,) = examine(check, text)
    assert (found.score, text[found.start : found.end]) == (score, span)


def test_two_wrong_statements_are_two_findings(check: Knowledge) -> None:
    text = "Ada Velm was born in Kargate, and Tomas Reld was born in Brengate."
    assert [f.subject for f in examine(check, text)] == ["Ada Velm born", "Tomas Reld born"]


def test_without_a_negation_the_reason_is_empty(check: Knowledge) -> None:
    (found,) = examine(check, "Brengate is a city in Velland.")
    assert (found.reason, found.correction) == ("", "Brengate is a city in Ostria.")


def test_without_facts_it_does_not_apply() -> None:
    segment = Segment(id=0, channel="content", start=0, end=1, text="A", attempt=0)
    assert load().examine(segment, Context(evidence=Evidence())) == NotApplicable("no facts file")


def test_files_of_params_and_of_the_server_count_together(tmp_path: Path) -> None:
    relations = write(tmp_path / "relations.jsonl", *RELATIONS)
    facts = write(tmp_path / "facts.jsonl", *FACTS)
    check = plugin(plugin.Params(facts=(facts,)), Resources(facts=(relations,)))
    assert len(examine(check, "Ada Velm was born in Kargate.")) == 1


def test_names_with_braces_are_no_templates(tmp_path: Path) -> None:
    facts = [{"subject": "A{object}B", "relation": "born", "object": "{subject} Town"}]
    check = load(write(tmp_path / "facts.jsonl", *RELATIONS, *facts, FACTS[1]))
    (found,) = examine(check, "A{object}B was born in Kargate.")
    assert found.correction == "A{object}B was born in {subject} Town."


BORN = RELATIONS[0]
FACT = FACTS[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("{", "line 1: .*; write"),
        ("[1]", r"line 1: \[1\] is no object"),
        (json.dumps(BORN) + "\n\n" + json.dumps(FACT | {"objct": "x"}), "line 3: 'objct': Extra inputs.*'x'"),
        (json.dumps(BORN | {"pattern": "x"}), "line 1: 'pattern'"),
        (json.dumps({"subject": "a", "relation": "born"}), "line 1: 'object': Field required"),
        (json.dumps(FACT), "line 1: relation 'born' is not declared; add a line"),
        (json.dumps(BORN | {"patterns": []}), "line 1: 'patterns'"),
        (json.dumps(BORN | {"patterns": ["{subject} was born."]}), r"pattern '\{subject\} was born\.' .* must hold"),
        (json.dumps(BORN | {"patterns": ["{object} and {object}"]}), "must hold"),
        (json.dumps(BORN | {"patterns": ["{subject}, {object}"]}), "needs a word between"),
    ],
)
def test_bad_files_are_named_on_one_line(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as error:
        load(path)
    assert "\n" not in str(error.value)


def not_there(path: Path) -> None:
    del path


def no_database(path: Path) -> None:
    path.write_text("not a database, but long enough to be looked at as one" * 40)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("facts.jsonl", not_there, "does not exist"),
        ("facts.db", not_there, "does not exist"),
        ("facts.sqlite", no_database, "not a database; write it with build_sqlite"),
        ("facts.db", empty, "no such table"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, name: str, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / name)
    with pytest.raises(ConfigError, match=message):
        load(tmp_path / name)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "facts.jsonl").write_bytes(b'{"relation": "\xff"}')
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "facts.jsonl")


def test_a_database_is_not_overwritten(tmp_path: Path) -> None:
    jsonl = write(tmp_path / "facts.jsonl", *RELATIONS, *FACTS)
    with pytest.raises(ConfigError, match="exists; remove it first"):
        build_sqlite(jsonl, jsonl)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("the Grey  Sea", "grey sea"),
        ("Ada Velm's", "ada velm"),
        ("ADA VELM’s", "ada velm"),
        ("St. Ives,", "st ives"),
        ("O'Neil", "o'neil"),
        ("", ""),
    ],
)
def test_name_key(name: str, key: str) -> None:
    assert name_key(name) == key


PIECES = st.sampled_from(
    "Ada Velm|was born in|Kargate|Brengate|is where|the birthplace of|is|taught|,|.|?|not|the|In|there is a city named"
    "|flows into the|river|{subject}|\n|  |who|of|Ostria|’s|(".split("|")
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=25))
def test_never_raises_and_spans_are_inside(pieces: list[str]) -> None:
    check = SHARED[0]
    text = " ".join(pieces)
    for found in examine(check, text):
        assert found.end is not None
        assert 0 <= found.start < found.end <= len(text)
        assert 0 < found.score <= 1


@given(st.text(alphabet=string.ascii_lowercase + " ,;", max_size=40), st.booleans())
def test_words_before_a_sentence_do_not_change_what_is_right(before: str, right: bool) -> None:
    text = f"{before}. Ada Velm was born in {'Brengate' if right else 'Kargate'}."
    assert len(examine(SHARED[0], text)) == (0 if right else 1)


SHARED: list[Knowledge] = []


@pytest.fixture(autouse=True, scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    SHARED[:] = [load(write(tmp_path_factory.mktemp("shared") / "facts.jsonl", *RELATIONS, *FACTS))]
