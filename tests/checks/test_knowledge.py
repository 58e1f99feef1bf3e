from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import guard.world
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
    return result if isinstance(result, tuple) else ()


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
        fits=True,
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
def test_what_is_true_unknown_or_not_claimed_is_no_error(check: Knowledge, text: str) -> None:
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
            "The birthplace of Ada Velm, the chemist, is Kargate",
        ),
        ("In Velland there is a city named Brengate, too.", 1.0, "In Velland there is a city named Brengate"),
        ("Kargate is where Ada Velm was born.", 1.0, "Kargate is where Ada Velm was born"),
        ("Ada Velm was born in Kargate and studied in Brengate.", 1.0, "Ada Velm was born in Kargate"),
        ("Ada Velm was born in Tirn.", 1.0, "Ada Velm was born in Tirn"),
        ("Ada Velm was born in Lower Quorn.", 0.9, "Ada Velm was born in Lower Quorn"),
        ("Ada Velm was born in a small hut of the miller.", 0.5, "Ada Velm was born in a small hut of the miller"),
        ("Ada Velm was born in Velland.", 1.0, "Ada Velm was born in Velland"),
        ("Ada Velm was born in Sull.", 1.0, "Ada Velm was born in Sull"),
        ("The currency of Ostria is the talent.", 0.5, "The currency of Ostria is the talent"),
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


OFFICE: list[dict[str, Any]] = [
    {"relation": "ceo", "patterns": ["The CEO of {subject} is {object}.", "{object} is the CEO of {subject}."]},
    {
        "relation": "capital",
        "patterns": ["The capital of {subject} is {object}.", "{object} is the capital of {subject}."],
    },
    {"relation": "founded", "patterns": ["{subject} was founded in {object}."]},
    {"relation": "cost", "patterns": ["{subject} costs {object}.", "{object} is the price of {subject}."]},
    {"subject": "Acme", "relation": "ceo", "object": "Jane Doe"},
    {"subject": "Beta", "relation": "ceo", "object": "John Smith"},
    {"subject": "Australia", "relation": "capital", "object": "Canberra"},
    {"subject": "United States", "relation": "capital", "object": "Washington, D.C."},
    {"subject": "Acme", "relation": "founded", "object": "1984"},
    {"subject": "Basix", "relation": "cost", "object": "10 euros"},
]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    return load(write(tmp_path_factory.mktemp("office") / "facts.jsonl", *OFFICE))


MAY_BE_TRUE = """
The CEO of Acme is Ms. Jane Doe.
The CEO of Acme is Dr. Jane Doe.
The CEO of Acme is J. Doe.
The CEO of Acme is Jane A. Doe.
The CEO of Acme is Jane Doe Jr.
The CEO of Acme is Prof. Dr. Jane Doe.
The CEO of Acme is Doe.
The CEO of Acme is Ms. Doe, a lawyer.
Ms. Jane A. Doe is the CEO of Acme.
J. Doe is the CEO of Acme.
The capital of the United States is Washington DC.
The capital of the United States is Washington D.C.
The capital of the United States is Washington D.C. It is nice.
The capital of the United States is Washington.
The capital of the United States is Washington, DC
Washington D.C. is the capital of the United States.
Washington, D.C., is the capital of the United States.
Many think the capital of Australia is Sydney, but it is Canberra.
People often say the capital of Australia is Sydney, but it is Canberra.
People often believe that Sydney is the capital of Australia, but actually it is Canberra.
It is often said that the capital of Australia is Sydney.
Some believe the capital of Australia is Sydney.
A common misconception is that the capital of Australia is Sydney.
People assume the capital of Australia is Sydney; however, it is Canberra.
The capital of Australia is Sydney, many people think, but it is Canberra.
You might think the capital of Australia is Sydney.
Most people would say that the capital of Australia is Sydney.
She asked: "The CEO of Acme is John Smith."
"The CEO of Acme is John Smith," she said.
Bob said, “The CEO of Acme is John Smith.”
The capital of Australia is Can
The CEO of Acme is Jane Do
The CEO of Acme is Dr
The CEO of Acme is Ms. Ja
The capital of the United States is Wash
Acme was founded in 1984.
Acme was founded in around 1985.
Acme was founded around 1985.
Acme was founded in the 1980s.
Acme was founded in 1980s.
Acme was founded in 19
Acme was founded in 1984 or 1985.
Acme was founded in 1985 or so.
Acme was founded in 1980-85.
Acme was founded in March 1984.
Acme was founded in the year 1984.
Acme was founded in Ohio.
Acme was founded in Ohio in 1984.
Basix costs 10.00 euros.
Basix costs 10 euros.
Basix costs 10 EUR.
Basix costs €10.
Basix costs 10 €.
Basix costs €10.00.
Basix costs 10,00 euros.
Basix costs ten euros.
Basix costs more than 5 euros.
Basix costs about 12 euros.
Basix costs 120 euros a year.
Basix costs 12 dollars.
Basix costs 2 euros more than Foo.
Basix costs 12 euros per month.
Basix costs too much.
Basix costs 1
Basix costs 1,000 cents.
Basix costs 20% more.
The former CEO of Acme is John Smith.
The financial capital of Australia is Sydney.
Former CEO of Acme is John Smith.
The vice-CEO of Acme is John Smith.
""".strip().split("\n")


@pytest.mark.parametrize("text", MAY_BE_TRUE)
def test_what_may_be_true_is_no_error(office: Knowledge, text: str) -> None:
    assert examine(office, text) == ()


@pytest.mark.parametrize(
    ("text", "score", "span"),
    [
        ("The CEO of Acme is John Smith.", 1.0, "The CEO of Acme is John Smith"),
        ("The CEO of Acme is Dr. John Smith.", 1.0, "The CEO of Acme is Dr. John Smith"),
        ("The CEO of Acme is John A. Smith.", 0.9, "The CEO of Acme is John A. Smith"),
        ("The CEO of Acme is John Doe.", 0.9, "The CEO of Acme is John Doe"),
        ("Dr. John Smith is the CEO of Acme.", 1.0, "Dr. John Smith is the CEO of Acme"),
        ("The current CEO of Acme is John Smith.", 1.0, "The current CEO of Acme is John Smith"),
        ("The capital of Australia is Sydney", 0.9, "The capital of Australia is Sydney"),
        ("Many think it is Perth, but the capital of Australia is Sydney.", 0.9, "the capital of Australia is Sydney"),
        ("Many people know that the capital of Australia is Sydney.", 0.9, "the capital of Australia is Sydney"),
        ('{"answer": "The CEO of Acme is John Smith."}', 1.0, "The CEO of Acme is John Smith"),
        ("Acme was founded in 1985.", 1.0, "Acme was founded in 1985"),
        ("Acme was founded in the year 1985, in Ohio.", 1.0, "Acme was founded in the year 1985"),
        ("Acme was founded in 1985 by Bob.", 1.0, "Acme was founded in 1985"),
        ("Basix costs 12 euros.", 1.0, "Basix costs 12 euros"),
        ("Basix costs 12.50 euros.", 1.0, "Basix costs 12.50 euros"),
        ("Basix costs €12.", 1.0, "Basix costs €12"),
        ("Basix costs 12.", 1.0, "Basix costs 12"),
        ("12 euros is the price of Basix.", 1.0, "12 euros is the price of Basix"),
    ],
)
def test_what_cannot_be_true_is_found(office: Knowledge, text: str, score: float, span: str) -> None:
    (found,) = examine(office, text)
    assert (found.score, text[found.start : found.end], found.fits) == (score, span, True)


def test_a_correction_ends_in_one_full_stop(office: Knowledge) -> None:
    (found,) = examine(office, "The capital of the United States is New York.")
    assert found.correction == "The capital of United States is Washington, D.C."


@pytest.mark.parametrize("text", ["Acme was founded in **1985**.", "Acme, which was founded in 1985, is big."])
def test_a_statement_does_not_fit_where_it_would_break_the_sentence(office: Knowledge, text: str) -> None:
    (found,) = examine(office, text)
    assert not found.fits


def test_the_built_in_world_is_told_exactly() -> None:
    path = Path(guard.world.__file__).parent / "facts.jsonl"
    check = load(path)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    patterns = {line["relation"]: line["patterns"][0] for line in lines if "patterns" in line}
    facts = [line for line in lines if "object" in line]
    for fact, other in zip(facts, [*facts[1:], facts[0]], strict=True):
        said = patterns[fact["relation"]].format(subject=fact["subject"], object=fact["object"])
        assert examine(check, said) == (), said
        others = (f["object"] for f in (other, *facts) if f["relation"] == fact["relation"])
        wrong = next(name for name in others if name != fact["object"])
        (found,) = examine(check, patterns[fact["relation"]].format(subject=fact["subject"], object=wrong))
        assert (found.score, found.correction, found.fits) == (1.0, said, True)
