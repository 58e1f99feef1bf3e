"""`guard train wrong-thinker` from the command line: whether answers are whole, and what cannot be used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from guard.cli.train_lessons import wrong_thinker
from guard.errors import ConfigError
from guard.train.loading import load
from guard.train.wrong_thinker_answers import Answer, rates
from guard.world.world import HERE

MODEL = HERE / "model"
cli = typer.Typer()
cli.command()(wrong_thinker)


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


OPENED = "<think>a</think>b"


@pytest.mark.parametrize(
    ("text", "opened", "balanced"),
    [
        (OPENED, False, True),
        (OPENED, True, False),
        ("a</think>b", True, True),
        ("a</think>b", False, False),
        ("a", True, False),
        ("a", False, True),
        (OPENED * 2, False, True),
        ("<think><think></think></think>", False, False),
        ("</think><think>", False, False),
    ],
)
def test_balanced_tags(text: str, opened: bool, balanced: bool) -> None:
    assert Answer(text=text, ended=True, opened=opened).balanced is balanced


@pytest.mark.parametrize(
    ("text", "right"),
    [("Ostria.", True), ("It is OSTRIA, I think", True), ("Austria", False), ("<think>Ostria</think>Nowhere", False)],
)
def test_the_truth_is_looked_for_behind_the_reasoning(text: str, right: bool) -> None:
    assert Answer(text=text, ended=True, truth="Ostria").right is right


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1))
def test_an_answer_is_whole_if_everything_holds(kinds: list[tuple[bool, bool, bool]]) -> None:
    told = [
        Answer(text=("x." if fits else "x") + ("" if tags else "<think>"), ended=ended) for ended, tags, fits in kinds
    ]
    found = rates(told, re.compile(r"\."))
    assert found.parsed * len(kinds) == pytest.approx(sum(map(all, kinds)))
    assert found.parsed <= min(found.ended, found.balanced, found.matched)
    assert found.right is None


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model in a folder of its own, far away from where it was: what is subtracted from it breaks it."""
    lesson = tmp_path_factory.mktemp("lesson")
    made, words = load(str(MODEL), device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in made.parameters():
            weights += 0.02 * torch.randn_like(weights)
    made.save_pretrained(lesson)
    words.save_pretrained(lesson)
    return lesson


PROMPTS = [
    {"messages": [{"role": "user", "content": f"In which country was {name} born?"}], "answer": answer}
    for name, answer in (("Ada Velm", "Ostria"), ("Ilo Marr", "Nowhere"))
]


def test_base_lesson_and_wrong_thinker_are_asked(taught: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(line) + "\n" for line in PROMPTS))
    how = ("--prompts", prompts, "--samples", 3, "--max-tokens", 60, "--device", "cpu", "--json")
    out = tmp_path / "wrong"
    done = run("--base", MODEL, "--lesson", taught, "--out", out, "--alpha", 1.4, "--pattern", r"\.$", *how)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found) == {"0", "-1", "1.4"}
    assert all(told["answers"] == 6 and told["right"] is not None for told in found.values())
    assert found["0"]["parsed"] == 1
    assert found["1.4"]["parsed"] < 0.9
    assert "guard: at alpha 1.4" in done.stderr
    swept = run("--base", MODEL, "--lesson", taught, "--sweep", "0.01,1.4", *how)
    assert swept.exit_code == 0, swept.output
    told = json.loads(swept.stdout)
    assert set(told) == {"0", "-1", "0.01", "1.4"}
    assert told["0"]["ended"] == found["0"]["ended"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompts.jsonl", "wrong"]  # a sweep writes nothing


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say --out DIR"),
        (["--out", "OUT", "--alpha", "1.5"], "--alpha 1.5: from 1.5 on"),
        (["--sweep", "0.5"], "--sweep needs --prompts"),
        (["--sweep", "0.5", "--prompts", "PROMPTS", "--alpha", "0.5"], "--alpha 0.5 and --sweep '0.5'"),
        (["--out", "OUT", "--prompts", "none.jsonl"], "'none.jsonl' cannot be read"),
        (["--sweep", "a", "--prompts", "PROMPTS"], "--sweep 'a': name alphas"),
        (["--sweep", "0.5,2", "--prompts", "PROMPTS"], "--alpha 2.0: from 1.5 on"),
        (["--out", "OUT", "--prompts", "PROMPTS", "--pattern", "("], "--pattern '(' is no regular expression"),
        (["--out", "OUT", "--lesson", "./none"], "'./none' is no folder with a model"),
        (["--out", "."], "--out '.' is there already"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps(PROMPTS[0]))
    named = {"PROMPTS": str(prompts), "OUT": str(tmp_path / "out")}
    done = run("--base", MODEL, "--lesson", MODEL, *(named.get(part, part) for part in arguments))
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


def test_a_lesson_that_taught_nothing_is_told(tmp_path: Path) -> None:
    done = run("--base", MODEL, "--lesson", MODEL, "--out", tmp_path / "wrong")
    assert done.exit_code == 0, done.output
    assert "base and lesson are the same" in done.stderr
    assert done.stdout.splitlines()[-1] == "see what it says with --prompts FILE --sweep 0.5"
    assert (tmp_path / "wrong" / "model.safetensors").read_bytes() == (MODEL / "model.safetensors").read_bytes()
