"""The parts of `guard transcripts`: tools, look-ups, exact criteria, rubrics, questions, the journal, the estimate."""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.checks.knowledge.facts import name_key
from guard.core.types import ToolCall
from guard.errors import ConfigError
from guard.settings import WORLD
from guard.train.transcripts.caller import Tokens
from guard.train.transcripts.costs import Prices, bill, estimate
from guard.train.transcripts.exact import EXACT, Matter, admits
from guard.train.transcripts.generator import Transcript, noted
from guard.train.transcripts.journal import Journal
from guard.train.transcripts.library import Library
from guard.train.transcripts.questions import Question, asked, read_questions
from guard.train.transcripts.rubric import read_rubric, shipped
from guard.train.transcripts.tools import ARITHMETIC, Toolbox, exactly
from guard.world.world import Premise, load_world

FACTS = Library([WORLD / "facts.jsonl"])
KNOWN = load_world()
PERSON = KNOWN.group("known", "train")[0]
CITY = KNOWN.facts["born", PERSON]
OTHER = next(city for city in KNOWN.objects["born"] if city != CITY)


def call(name: str, arguments: Any) -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(index=0, id="call_0", name=name, arguments=text)


# Tools


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("12 * (3 + 4)", "84"),
        ("9.125 * 3", "27.375"),
        ("2^100", str(2**100)),
        ("-1/8", "-0.125"),
        ("1/3", "1/3 (about 0.3333333333)"),
        ("15% * 80", "12"),
    ],
)
def test_sums_are_worked_out_exactly(expression: str, answer: str) -> None:
    assert Toolbox(None).run(call("arithmetic", {"expression": expression})) == answer


@given(st.fractions(max_denominator=10**6))
def test_digits_are_the_number(value: Fraction) -> None:
    said = exactly(value)
    assert Fraction(said.partition(" ")[0]) == value


@given(st.text(), st.text(), st.booleans())
def test_whatever_a_model_calls_is_answered(name: str, arguments: str, withheld: bool) -> None:
    tools = Toolbox(FACTS, withheld=withheld)
    for tried in (call(name, arguments), call("arithmetic", arguments), call("lookup", {"name": arguments})):
        assert tools.run(tried)
    assert tools.run(call("arithmetic", {"expression": arguments}))


@pytest.mark.parametrize(
    "arguments", ["", "{", "[1]", '{"expression": 1}', '{"expr": "1"}', '{"expression": "1", "x": 2}', "[" * 10_000]
)
def test_arguments_that_are_none_are_told_so(arguments: str) -> None:
    assert Toolbox(None).run(call("arithmetic", arguments)).startswith("error: the arguments must be one JSON object")


def test_a_look_up_tells_the_facts_unless_they_are_withheld() -> None:
    told = Toolbox(FACTS).run(call("lookup", {"name": PERSON.upper()}))
    assert f"{PERSON} was born in {CITY}." in told
    assert told.count(".") == 2
    assert Toolbox(FACTS, withheld=True).run(call("lookup", {"name": PERSON})) == f"Nothing is known of {PERSON!r}."
    assert Toolbox(None).definitions == [ARITHMETIC]
    assert "there is no such tool" in Toolbox(None).run(call("lookup", {"name": PERSON}))


# The library


@given(st.sampled_from(sorted(KNOWN.facts)), st.data())
def test_a_statement_is_right_where_the_world_says_so(key: tuple[str, str], data: st.DataObject) -> None:
    relation, subject = key
    object_ = data.draw(st.sampled_from(KNOWN.objects[relation]))
    phrasing = data.draw(st.integers(0, len(KNOWN.relations[relation].patterns) - 1))
    premise = Premise(relation=relation, subject=subject, object=object_)
    right = KNOWN.truth(premise) == premise
    assert FACTS.read(KNOWN.state(premise, phrasing)) == ("right" if right else "wrong")
    assert FACTS.read(f"No, {KNOWN.deny(premise)}") == ("wrong" if right else "right")
    assert FACTS.read(KNOWN.state(premise, phrasing), [subject]) == "wrong"
    assert FACTS.read(KNOWN.relations[relation].unknown.format(subject=subject)) == "admits"


@given(st.lists(st.sampled_from([PERSON, CITY, "who", "is", "Xyz", "?", "the"]), max_size=8))
def test_names_are_found_where_they_stand(words: list[str]) -> None:
    found = FACTS.named_in(" ".join(words))
    assert {name_key(name) for name in found} == {name_key(name) for name in {PERSON, CITY} & set(words)}
    assert len(found) <= 2


@given(st.text(max_size=600))
def test_any_text_can_be_read(text: str) -> None:
    assert FACTS.read(text) in ("right", "wrong", "admits", "")
    FACTS.named_in(text)


# Exact criteria


def matter(reasoning: str = "", content: str = "", library: Library | None = FACTS, **question: Any) -> Matter:
    turn = {"role": "assistant", "reasoning_content": reasoning, "content": content}
    made = Transcript(messages=[], turn=[turn], tools=[], why="", tokens=Tokens())
    return Matter(question=asked(f"Where was {PERSON} born?", **question), transcript=made, library=library)


RIGHT, WRONG = f"{PERSON} was born in {CITY}.", f"{PERSON} was born in {OTHER}."
UNKNOWN = f"I do not know where {PERSON} was born."
HELD: dict[str, Any] = {"withheld": True}


@pytest.mark.parametrize(
    ("name", "given", "score"),
    [
        ("premises", matter(RIGHT), 1),
        ("premises", matter(WRONG), 0),
        ("premises", matter(f"{RIGHT} {WRONG}"), 0.5),
        ("premises", matter("She was a great painter."), 0),
        ("premises", matter(RIGHT, **HELD), 0),
        ("premises", matter(UNKNOWN, **HELD), 1),
        ("premises", matter("No, I could not confirm this.", **HELD), 1),
        ("premises", matter(f"I do not know, but {WRONG}", **HELD), 0),
        ("premises", matter("I do not know the rest, so it is Torford."), 0),
        ("premises", matter(RIGHT, library=None), None),
        ("premises", matter(""), None),
        ("facts", matter(f"So: {RIGHT}", "It is warm there."), 1),
        ("facts", matter("", f"So: {WRONG}"), 0),
        ("facts", matter(WRONG, library=None), None),
        ("answer", matter(content=f"{CITY}.", answer=CITY), 1),
        ("answer", matter(content=f"{CITY} or {OTHER}.", answer=CITY), 0),
        ("answer", matter(content=CITY), None),
        ("answer", matter(content=CITY, answer=CITY, **HELD), None),
        ("ignorance", matter(content="I do not know.", **HELD), 1),
        ("ignorance", matter(content=CITY, answer=CITY, **HELD), 0),
        ("ignorance", matter(content="I do not know."), 0),
        ("ignorance", matter(content=CITY), 1),
        ("arithmetic", matter("3 + 4 = 7."), 1),
        ("arithmetic", matter("3 + 4 = 7.", "So 7 * 2 = 15."), 0),
        ("tool_results", matter("I use the tool.", "It says so."), 1),
        ("tool_results", matter("I look.\nTool result: 7"), 0),
        ("tool_results", matter("", "<tool_response>7</tool_response>"), 0),
    ],
)
def test_an_exact_criterion(name: str, given: Matter, score: float | None) -> None:
    assert EXACT[name](given).score == score


def test_a_call_of_a_tool_that_there_is_not_is_made_up() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "search", "arguments": "{}"}}]
    turn: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "assistant", "content": "So."},
    ]
    made = Transcript(messages=[], turn=turn, tools=[ARITHMETIC], why="", tokens=Tokens())
    found = EXACT["tool_results"](Matter(question=asked("Q?"), transcript=made))
    assert (found.score, found.why) == (0, "there is no tool 'search'")


@pytest.mark.parametrize("text", ["I don't know.", "I could not confirm this.", "That is not known.", "I'm not sure."])
def test_ignorance_is_admitted_in_several_ways(text: str) -> None:
    assert admits(text)
    assert not admits("Brengate, and I know it.")


# Rubrics and questions


def test_the_shipped_rubrics_load_and_have_what_they_should() -> None:
    assert set(shipped()) == {"general", "closed_world"}
    assert [criterion.name for criterion in read_rubric("general").criteria] == [
        "grounded",
        "complete",
        "admits_ignorance",
        "no_unsupported_premise",
        "corrects_itself_well",
        "answers_the_question",
        "no_fabricated_tool_result",
    ]
    assert not read_rubric("closed_world").judged


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "overall"}, "no criterion may be named 'overall'"),
        ({"kind": "exact:taste"}, "kind is 'judge' or exact: and one of premises"),
        ({"pass_at": 1.5}, "criteria.0.pass_at"),
        ({"passs_at": 1}, "criteria.0.passs_at: Extra inputs"),
        ({"weight": 0}, "criteria.0.weight"),
        ({"ask": ""}, "criteria.0.ask"),
    ],
)
def test_a_rubric_that_cannot_be_used_is_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    criterion = {"name": "a", "kind": "judge", "ask": "Is it?"} | change
    path.write_text(yaml.safe_dump({"name": "r", "criteria": [criterion]}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"r\.yaml") as caught:
        read_rubric(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "holds no question"),
        ("{", "line 1: "),
        ('{"id": "a"}', "line 1: the file: give `question` or `messages`"),
        ('{"question": "Q?", "anwser": "A"}', "anwser"),
        ('{"messages": [{"role": "assistant", "content": "A"}]}', "must be the user's"),
        ('{"question": "Q?"}\n\n{"question": "Q?"}', "two questions have the id"),
    ],
)
def test_questions_that_cannot_be_used_are_one_line(lines: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"q\.jsonl") as caught:
        read_questions(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_question_is_told_by_what_it_asks() -> None:
    assert asked("Q?").id == asked("Q?").id != asked("R?").id
    assert asked("Q?", id="a").digest != asked("Q?", id="a", evidence=("E.",)).digest
    assert isinstance(asked("Q?"), Question)


def test_notes_stand_in_front_on_one_line_or_on_several() -> None:
    assert noted("Q?", []) == "Q?"
    assert noted("Q?", ["A.", "B."]) == "Notes: A. B. Q?"
    assert noted("Q?", ["A.\nB."]) == "Notes:\nA.\nB.\n\nQ?"


# The journal


def written(path: Path, count: int) -> list[str]:
    with Journal(path) as journal:
        for number in range(count):
            journal.add("transcript", f"k{number}", {"n": number, "text": "größer\n"})
    return [f"k{number}" for number in range(count)]


@settings(max_examples=40)
@given(st.integers(0, 400))
def test_a_torn_journal_keeps_every_whole_line_and_grows_on(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        keys = written(path, 4)
        whole = path.read_bytes()
        torn = whole[: min(cut, len(whole))]
        path.write_bytes(torn)
        kept = torn.count(b"\n")
        with Journal(path) as journal:
            assert [key for key in keys if journal.get("transcript", key)] == keys[:kept]
            journal.add("review", "k", {"n": 9})
        with Journal(path) as journal:
            assert journal.get("review", "k") == {"n": 9}
            assert journal.get("transcript", "k") is None
        assert len(path.read_bytes().splitlines()) == kept + 1


def test_the_first_line_of_a_key_counts(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.add("review", "k", {"n": 1})
        journal.add("review", "k", {"n": 2})
        assert journal.get("review", "k") == {"n": 1}
    with Journal(path) as journal:
        assert journal.get("review", "k") == {"n": 1}


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path), pytest.raises(ConfigError, match="being written by another run"):
        Journal(path)
    with Journal(path):
        pass


@pytest.mark.parametrize("line", ["{", "[]", '{"kind": "review"}', "7"])
def test_a_file_that_is_no_journal_is_left_alone(line: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1 is no line of a journal"):
        Journal(path)
    assert path.read_text(encoding="utf-8") == line + "\n"


# Costs

COUNTS = st.builds(Tokens, calls=st.integers(0, 9), prompt=st.integers(0, 10**6), completion=st.integers(0, 10**6))


@given(st.lists(COUNTS, min_size=1, max_size=5), st.lists(COUNTS, min_size=1, max_size=5), st.integers(0, 20))
def test_an_estimate_is_measured_where_it_can_be(made: list[Tokens], reviewed: list[Tokens], left: int) -> None:
    found = estimate(["x" * 40] * left, left, 3, 0, made, reviewed)
    assert found.measured
    assert found.generator == round(left * sum(tokens.total for tokens in made) / len(made))
    assert found.reviewer == round(left * sum(tokens.total for tokens in reviewed) / len(reviewed))


def test_an_estimate_is_assumed_where_nothing_is_there() -> None:
    plain, tools = (estimate(["x" * 400] * 10, 10, 6, rounds, [], []) for rounds in (0, 4))
    assert not plain.measured
    assert (plain.generator, tools.generator) == (10 * 500, 10 * 1000)
    assert plain.reviewer == 10 * 6 * (500 + 900)
    assert estimate([], 0, 6, 0, [], []).total == 0


def test_a_bill_has_money_only_with_prices() -> None:
    spent = {"generator": Tokens(calls=1, prompt=1_000_000, completion=500_000), "reviewer": Tokens()}
    assert "cost" not in bill(spent, {})
    told = bill(spent, {"generator": Prices(read=2, written=4), "reviewer": Prices(read=1, written=1)})
    assert told["cost"] == told["generator"]["cost"] == 4
