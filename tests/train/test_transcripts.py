"""`guard transcripts` end to end: on the closed world with the built-in model, on files, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from transformers import AutoTokenizer
from typer.testing import CliRunner

from guard.cli.transcripts import transcripts, world_questions
from guard.errors import ConfigError
from guard.settings import WORLD
from guard.train.transcripts.tokens import token_row
from guard.world.world import load_world

torch.set_num_threads(1)

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(transcripts)

SCRIPT = """\
models:
  - name: m
    backend: scripted
    answers:
      - when: "born"
        attempts:
          - - reasoning: "Ada Velm was born in Brengate."
            - content: "Brengate."
            - finish: stop
      - when: "long"
        attempts: [[{content: "And so on and"}, {finish: length}]]
      - when: "nothing"
        attempts: [[{reasoning: "Hm."}, {finish: stop}]]
"""
FACTS = """\
{"relation": "born", "patterns": ["{subject} was born in {object}."]}
{"subject": "Ada Velm", "relation": "born", "object": "Brengate"}
"""
RUBRIC = """\
name: small
criteria:
  - {name: right, kind: "exact:answer", ask: It is right.}
  - {name: sums, kind: "exact:arithmetic", ask: Sums are right., weight: 3}
"""


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments)])


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "guard.yaml").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "rubric.yaml").write_text(RUBRIC, encoding="utf-8")
    asked = [
        {"id": "a", "question": "Where was Ada Velm born?", "answer": "Brengate"},
        {"id": "b", "question": "Where was Bela Quist born?", "answer": "Torford"},
        {"id": "c", "question": "Tell me something long.", "answer": "x"},
        {"id": "d", "question": "Tell me nothing.", "answer": "x"},
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    return tmp_path


def on(folder: Path, *more: Any) -> Any:
    given = ("--config", folder / "guard.yaml", "--rubric", folder / "rubric.yaml", "--out", folder / "out")
    return run(folder / "questions.jsonl", *given, *more)


def test_the_closed_world_end_to_end(tmp_path: Path) -> None:
    done = run("--world", "--n", 8, "--out", tmp_path, "--tokenizer", WORLD / "model")
    assert done.exit_code == 0, done.output
    all_, passed = rows(tmp_path / "transcripts.jsonl"), rows(tmp_path / "passed.jsonl")
    report = json.loads((tmp_path / "report.json").read_text())
    world = load_world()
    assert [row["id"] for row in all_] == [str(number) for number in range(8)]
    assert Counter(row["withheld"] for row in all_) == {False: 6, True: 2}
    for row, question in zip(all_, world_questions(8, 0), strict=True):
        asked, answer = row["messages"]
        assert asked["content"].endswith(question.text)
        assert asked["content"].startswith("Notes: ") != question.withheld
        wrong = any(not claim.right for claim in world.claims(answer["reasoning_content"]))
        right = answer["content"].strip(" .") == question.answer
        assert not (row["passed"] and (wrong or not right))  # the world itself agrees with what was passed
        if row["withheld"]:
            assert row["passed"] == (answer["content"] == "I do not know." and "know" in answer["reasoning_content"])
    assert 0 < len(passed) == sum(row["passed"] for row in all_) == report["all"]["passed"]
    assert report["facts_withheld"]["transcripts"] == 2
    assert report["cost"]["generator"]["calls"] == 8
    assert report["token_rows"] == {"written": len(passed), "left_out": {}}
    words = AutoTokenizer.from_pretrained(WORLD / "model")
    for row in passed:
        asked, answer = row["messages"]
        learnt = [token for token in row["labels"] if token != -100]
        assert words.decode(learnt) == f"{answer['reasoning_content']}</think>{answer['content']}<|end|>"
        context = row["input_ids"][: len(row["labels"]) - len(learnt)]
        assert words.decode(context) == f"<|user|>{asked['content']}<|end|><|assistant|><think>"
        assert set(row["scores"].values()) == {1.0}


def test_what_passes_is_exported_with_its_scores_and_the_rest_is_told(folder: Path) -> None:
    done = on(folder, "--price-in", 1, "--price-out", 2)
    assert done.exit_code == 0, done.output
    told = {row["id"]: row for row in rows(folder / "out/transcripts.jsonl")}
    assert [told[name]["passed"] for name in "abcd"] == [True, False, False, False]
    assert told["a"]["overall"] == 1
    assert told["b"]["overall"] == 0.75
    assert [mark["status"] for mark in told["b"]["marks"]] == ["failed", "passed"]
    assert told["c"]["why"] == "it ended with 'length'"
    assert told["d"]["why"] == "it says nothing"
    (row,) = rows(folder / "out/passed.jsonl")
    assert row["messages"] == [
        {"role": "user", "content": "Where was Ada Velm born?"},
        {"role": "assistant", "reasoning_content": "Ada Velm was born in Brengate.", "content": "Brengate."},
    ]
    assert row["scores"] == {"right": 1.0, "sums": 1.0, "overall": 1.0}
    report = json.loads((folder / "out/report.json").read_text())
    assert report["criteria"]["right"] == {
        "passed": 1, "failed": 1, "not_applicable": 0, "unreviewed": 0, "rate": 0.5,
    }  # fmt: skip
    assert report["no_transcript"] == {"it ended with 'length'": 1, "it says nothing": 1}
    spent = report["cost"]["generator"]
    assert spent["estimated"] is True
    assert spent["cost"] == pytest.approx((spent["prompt_tokens"] + 2 * spent["completion_tokens"]) / 1e6, abs=1e-6)
    assert "assumed, nothing is measured yet" in done.stderr
    assert "1 of     4  0.250" in done.stdout


def test_a_second_run_asks_nothing_and_says_the_same(folder: Path) -> None:
    on(folder)
    names = ("journal.jsonl", "transcripts.jsonl", "passed.jsonl")
    before = [(folder / "out" / name).read_bytes() for name in names]
    again = on(folder)
    assert [(folder / "out" / name).read_bytes() for name in names] == before
    assert "0 transcripts to write and 0 to review" in again.stderr
    assert json.loads((folder / "out/report.json").read_text())["this_run"]["generator"]["calls"] == 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.5, 0.77, 0.99])
def test_a_journal_that_ends_anywhere_leads_to_the_same(share: float, folder: Path) -> None:
    on(folder)
    journal, names = folder / "out/journal.jsonl", ("transcripts.jsonl", "passed.jsonl")
    whole, before = journal.read_bytes(), [(folder / "out" / name).read_bytes() for name in names]
    journal.write_bytes(whole[: int(share * len(whole))])
    assert on(folder).exit_code == 0
    assert [(folder / "out" / name).read_bytes() for name in names] == before
    assert sorted(journal.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_the_weighted_mean_must_reach_the_rubrics(folder: Path) -> None:
    kind = {"kind": "exact:premises", "pass_at": 0.5, "ask": "Right."}
    rubric = {"name": "r", "criteria": [{"name": "a", **kind}, {"name": "b", "kind": "exact:facts", "ask": "Right."}]}
    turn = "Ada Velm was born in Brengate. It is warm there."  # half of it is in the facts, none of it against them
    (folder / "facts.jsonl").write_text(FACTS, encoding="utf-8")
    (folder / "guard.yaml").write_text(SCRIPT.replace("Ada Velm was born in Brengate.", turn), encoding="utf-8")
    for pass_at, passes in ((0.75, True), (0.8, False)):
        (folder / "rubric.yaml").write_text(json.dumps(rubric | {"pass_at": pass_at}), encoding="utf-8")
        on(folder, "--facts", folder / "facts.jsonl")
        first = rows(folder / "out/transcripts.jsonl")[0]
        assert [mark["status"] for mark in first["marks"]] == ["passed", "passed"]
        assert (first["overall"], first["passed"]) == (0.75, passes)


def test_another_rubric_reviews_what_is_there_and_other_words_write_anew(folder: Path) -> None:
    on(folder)
    (folder / "rubric.yaml").write_text(RUBRIC.replace("weight: 3", "weight: 1"), encoding="utf-8")
    assert "0 transcripts to write and 2 to review" in on(folder).stderr
    assert json.loads((folder / "out/report.json").read_text())["this_run"]["generator"]["calls"] == 0
    assert "4 transcripts to write and 4 to review" in on(folder, "--temperature", 0.5).stderr
    assert "about" in on(folder, "--samples", 3, "--temperature", 0.5).stderr
    assert len(rows(folder / "out/transcripts.jsonl")) == 12
    assert len(rows(folder / "out/passed.jsonl")) == 3


def test_what_cannot_be_asked_is_left_for_the_next_run(folder: Path) -> None:
    more = {"id": "e", "question": "Something else?"}
    with (folder / "questions.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(more))
    done = on(folder)
    assert done.exit_code == 1
    assert "the script has no answer to 'Something else?' (1 times)" in done.stderr
    assert len(rows(folder / "out/transcripts.jsonl")) == 4
    (folder / "guard.yaml").write_text(SCRIPT.replace('"born"', '"born|else"'), encoding="utf-8")
    assert on(folder).exit_code == 0


def test_more_than_the_budget_needs_a_yes_and_nothing_is_asked_before(folder: Path) -> None:
    refused = on(folder, "--budget-tokens", 100)
    assert isinstance(refused.exception, ConfigError)
    assert "--budget-tokens is 100: say --yes" in str(refused.exception)
    assert (folder / "out/journal.jsonl").read_bytes() == b""
    assert on(folder, "--budget-tokens", 100, "--yes").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("q",), "--out DIR is needed"),
        (("q", "--out", "o"), "name the model that writes"),
        (("q", "--out", "o", "--upstream", "http://localhost:1/v1"), "--upstream URL and --model NAME go together"),
        (("--out", "o", "--config", "guard.yaml"), "name a file of questions, or say --world"),
        (("q", "--world", "--out", "o"), "or say --world, not both"),
        (("none.jsonl", "--out", "o", "--config", "guard.yaml"), "'none.jsonl' cannot be read"),
        (("questions.jsonl", "--out", "o", "--config", "guard.yaml"), "has criteria that a model judges (grounded,"),
        (("questions.jsonl", "--out", "o", "--config", "guard.yaml", "--rubric", "x"), "there is no rubric 'x'"),
        (("questions.jsonl", "--out", "o", "--config", "guard.yaml", "--model", "z"), "--model 'z' is none of"),
        (("--world", "--out", "o", "--retrieval", "x"), "--retrieval 'x' is none of auto, calls, notes"),
        (("--world", "--out", "o", "--facts", "none.jsonl"), "facts file 'none.jsonl' does not exist"),
        (("--world", "--out", "guard.yaml"), "'guard.yaml' cannot be written"),
        (("--world", "--out", "o", "--instructions", "none"), "--instructions 'none' cannot be read"),
        (("--world", "--out", "o", "--tokenizer", "./none"), "--tokenizer './none' cannot be loaded"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    arguments: tuple[str, ...], says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = run(*arguments)
    assert isinstance(done.exception, ConfigError), done.output
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


TEMPLATES = {
    "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<think>{% endif %}": "chat template",
    "{% for m in messages %}{{ '<|assistant|>' if m.role == 'assistant' else '<|user|>' }}{{ m.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}": "chat template leaves reasoning out",
    "{{ raise_exception('no') }}": "chat template",
}


@pytest.mark.parametrize(("template", "why"), TEMPLATES.items())
def test_a_template_that_cannot_write_the_row_is_told(template: str, why: str) -> None:
    words = AutoTokenizer.from_pretrained(WORLD / "model")
    words.chat_template = template
    answer = {"role": "assistant", "reasoning_content": "Ada Velm was born.", "content": "So."}
    assert token_row([{"role": "user", "content": "Who?"}, answer], [], words) == why


def test_control_words_that_a_model_wrote_are_text(tmp_path: Path) -> None:
    words = AutoTokenizer.from_pretrained(WORLD / "model")
    end = words.convert_tokens_to_ids("<|end|>")
    answer = {"role": "assistant", "reasoning_content": "So <|end|> it is.", "content": "It is."}
    row = token_row([{"role": "user", "content": "Who?"}, answer], [], words)
    assert isinstance(row, dict)
    assert [token for token in row["labels"] if token == end] == [end]
    assert row["labels"][-1] == end
