"""`guard train caution`: what agrees, what becomes of a question, and what is written into the log."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from guard.cli.train_lessons import caution
from guard.core.records import InterruptionRecord
from guard.errors import ConfigError, GuardError
from guard.store import Database
from guard.train.caution import Question, first_statement, says, signature, weighed
from guard.world.world import HERE, UNKNOWN_ANSWER, load_world
from tests.exporters.records import record

MODEL = HERE / "model"
ASKED = "In which country was Ada Velm born?"
cli = typer.Typer()
cli.command()(caution)


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def question(text: str = ASKED, **told: Any) -> Question:
    return Question(messages=[{"role": "user", "content": text}], **told)


def logged_record(key: str, **changes: Any) -> InterruptionRecord:
    told = {"review": "unreviewed", "closing": None, "id": key, **changes}
    return record(**told)


# What agrees


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("Ostria.", "It is Ostria!", True),
        ("Ada Velm was born in Ostria.", "ostria", True),
        ("Ostria", "Brandia", False),
        ("She was born in Ostria.", "She was not born in Ostria.", False),
        ("1,200 people", "1200 people.", True),
        ("1,200 people", "1,201 people", False),
        ("Yes.", "yes", True),
        ("Yes.", "No.", False),
        ("No.", "no!", True),
    ],
)
def test_what_agrees(one: str, other: str, agree: bool) -> None:
    assert (signature(one, ASKED) == signature(other, ASKED)) is agree


def test_a_choice_that_stands_in_the_question_is_told_apart() -> None:
    asked = "Is it Paris or London?"
    assert signature("Paris.", asked) != signature("London.", asked)
    assert signature("Paris.", asked) == signature("It is Paris", asked)


@pytest.mark.parametrize(
    ("text", "truth", "said"),
    [
        ("Ostria.", "Ostria", True),
        ("It was in Ostria, far away.", "Ostria", True),
        ("It was not in Ostria.", "Ostria", False),
        ("Brandia", "Ostria", False),
        ("", "Ostria", False),
        ("Ostria", "", False),
        ("No.", "no", True),
    ],
)
def test_what_says_the_truth(text: str, truth: str, said: bool) -> None:
    assert says(text, truth, ASKED) is said


@given(st.lists(st.sampled_from(["Ostria.", "It is Ostria", "Brandia", "Velia!", ""]), min_size=1, max_size=9))
def test_agreement_is_the_share_of_the_largest_cluster(texts: list[str]) -> None:
    heard = weighed(question(truth="Ostria"), texts)
    names = ["Ostria" if "Ostria" in text else text for text in texts]
    counted = Counter(name for name in names if name)
    assert heard.agreement == pytest.approx(max(counted.values(), default=0) / len(texts))
    wanted = names.count("Ostria") / len(texts) if texts.count("") <= len(texts) / 2 else None
    assert heard.known == (None if wanted is None else pytest.approx(wanted))
    assert heard.silent == pytest.approx(texts.count("") / len(texts))
    assert heard.said in texts
    assert heard.right is ("Ostria" in heard.said)
    again = weighed(question(truth="Ostria"), texts[::-1])
    assert (again.agreement, again.known) == (heard.agreement, heard.known)


def test_first_statements_are_compared_where_answers_run_on() -> None:
    texts = ["Let me see. She was born in Ostria. It is cold there.", "She was born in Ostria. Many live there."]
    assert first_statement(texts[0]) == "She was born in Ostria."
    assert weighed(question(), texts).agreement == 0.5
    assert weighed(question(), texts, first=True).agreement == 1
    assert weighed(question(), texts, first=True).said in texts  # a target is a whole answer


# From the command line


def asked_of_the_world(path: Path, each: int) -> list[str]:
    """A file of questions about so many known people and then as many strangers; the questions."""
    world, rng = load_world(), random.Random(5)
    people = [*rng.sample(world.group("known"), each), *rng.sample(world.group("unknown", "test"), each)]
    questions = [world.ask("country", person, rng) for person in people]
    told = ({"messages": [{"role": "user", "content": q.text}], "answer": q.answer} for q in questions)
    path.write_text("".join(json.dumps(line) + "\n" for line in told))
    return [q.text for q in questions]


def test_the_built_in_model_is_sure_of_whom_it_knows(tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    questions = asked_of_the_world(rows, 7)
    known, strangers = set(questions[:7]), set(questions[7:])
    how = ("--samples", 6, "--max-tokens", 48, "--seed", 1, "--text", UNKNOWN_ANSWER, "--json")
    done = run("--rows", rows, "--local", MODEL, "--out", out, *how)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["auc"] > 0.8
    assert report["tokens"] > 14 * 6 * 10
    made = [json.loads(line) for line in out.read_text().splitlines()]
    cautious = {m["prompt"][0]["content"] for m in made if m["completion"][0]["content"] == UNKNOWN_ANSWER}
    plain = {m["prompt"][0]["content"] for m in made} - cautious
    assert report["counts"]["caution"] == len(cautious)
    assert len(plain & known) >= 5
    assert len(cautious & strangers) > len(cautious & known)
    assert all(m["agreement"] < 0.6 for m in made if m["prompt"][0]["content"] in cautious)


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    rows, outs = tmp_path / "rows.jsonl", [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    asked_of_the_world(rows, 1)
    for out in outs:
        how = ("--samples", 2, "--max-tokens", 48, "--seed", 1, "--threshold", 1)
        assert run("--rows", rows, "--local", MODEL, "--out", out, *how).exit_code == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_rows_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    asked_of_the_world(rows, 1)
    out.write_text("{}\n")
    done = run("--rows", rows, "--local", MODEL, "--out", out, "--samples", 2)
    assert isinstance(done.exception, ConfigError)
    assert "is there already" in str(done.exception)
    assert out.read_text() == "{}\n"


def test_rows_of_the_log_are_added_to_the_file(tmp_path: Path) -> None:
    url, out = f"sqlite:///{tmp_path / 'guard.db'}", tmp_path / "out.jsonl"
    database = Database(url)
    database.open()
    made: list[list[str]] = []
    world = load_world()
    stranger = world.group("unknown", "test")[0]
    asked = [{"role": "user", "content": f"In which country was {stranger} born?"}]
    told = {"messages": asked, "kept": {}, "correction": world.state(world.chain("country", stranger)[0])}
    for number in range(2):  # the second time round there is one more to measure, of the same conversation
        database.add_interruption(logged_record(f"s.{number}.1", **told))
        how = ("--samples", 8, "--max-tokens", 24, "--threshold", 1, "--seed", 3)
        done = run("--store", url, "--local", MODEL, "--out", out, *how)
        assert done.exit_code == 0, done.output
        made.append(out.read_text().splitlines())
    database.close()
    assert len(made[0]) == 1, done.stdout
    assert made[1] == made[0]
    assert "passed over: 1 measured before" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says_"),
    [
        (["--rows", "ROWS"], "name the policy model"),
        (["--rows", "ROWS", "--upstream", "http://localhost:1/v1"], "go together"),
        (["--rows", "ROWS", "--local", "./none"], "--local 'none': there is no such folder"),
        (["--rows", "ROWS", "--local", "TMP"], "cannot be loaded"),
        (["--rows", "ROWS", "--local", "MODEL", "--text", " "], "--text ' '"),
        (["--rows", "ROWS", "--local", "MODEL", "--compare", "x"], "--compare 'x' is none of answer, first, reasoning"),
        (["--local", "MODEL"], "say whom to ask about"),
        (["--store", "sqlite:///none.db", "--local", "MODEL"], "there is no log 'none.db'"),
        (["--rows", "ROWS", "--upstream", "http://localhost:1/v1", "--model", "m"], "localhost"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments: list[str], says_: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"messages": [{"role": "user", "content": ASKED}]}))
    named = {"ROWS": str(rows), "MODEL": str(MODEL), "TMP": str(tmp_path)}
    done = run("--out", tmp_path / "out.jsonl", *(named.get(part, part) for part in arguments))
    assert isinstance(done.exception, GuardError)
    assert says_ in str(done.exception)
    assert "\n" not in str(done.exception)


@pytest.mark.parametrize(
    ("line", "says_"),
    [
        ("{}", "line 1: a question needs `messages`"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "the last not the assistant's"),
        ('{"messages": [{"role": "user", "content": [1]}]}', "with text contents"),
        ('{"messages": [{"role": "user", "content": "x"}], "answer": 3}', "`answer` 3 is no text"),
        ("", "there are no questions"),
    ],
)
def test_questions_that_cannot_be_used_are_one_line(line: str, says_: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(line)
    done = run("--out", tmp_path / "out.jsonl", "--rows", rows, "--local", MODEL)
    assert isinstance(done.exception, ConfigError)
    assert says_ in str(done.exception)
    assert not (tmp_path / "out.jsonl").exists()
