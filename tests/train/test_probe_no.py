"""`guard train probe-no`: P("No") behind premises, its intervals, its rows, and how it is held against a report."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from guard.cli.train_lessons import probe_no
from guard.errors import ConfigError
from guard.train.loading import load
from guard.train.probe_no import FIGURES, beginnings, examine, fallen, intervals, measure
from guard.train.probe_no_rows import Probe, probes, read_rows
from guard.world.world import HERE, Premise, World, load_world
from tests.backends.tiny_models import tiny, tokenizer

MODEL = HERE / "model"
Model: TypeAlias = tuple[Any, Any]
cli = typer.Typer()
cli.command()(probe_no)


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def world() -> World:
    return load_world()


@pytest.fixture(scope="module")
def built_in() -> Model:
    return load(str(MODEL), device="cpu")


def premises(world: World, count: int) -> list[dict[str, Any]]:
    """For each of so many known people where they were born, right and wrong."""
    rng = random.Random(3)
    rows = []
    for person in rng.sample(world.group("known"), count):
        question = world.ask("country", person, rng)
        truth = world.chain("country", person)[0]
        other = rng.choice([place for place in world.objects["born"] if place != truth.object])
        both = (truth, dataclasses.replace(truth, object=other))
        rows += [_line(world, question.text, premise, wrong=premise != truth) for premise in both]
    return rows


def _line(world: World, question: str, premise: Premise, *, wrong: bool) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"messages": messages, "reasoning": world.state(premise), "wrong": wrong, "subject": premise.subject}


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def rows_file(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("rows") / "rows.jsonl", premises(world, 12))


@pytest.fixture(scope="module")
def taught(rows_file: Path) -> Model:
    """The built-in model after some steps of saying "No" behind these wrong premises and something else behind the
    right ones: a model whose answer is known."""
    model, words = load(str(MODEL), device="cpu")
    rows = probes(read_rows(rows_file), words)
    ids = [words(row.prompt, add_special_tokens=False)["input_ids"] for row in rows]
    no, other = words(" No", add_special_tokens=False)["input_ids"][0], words.eos_token_id
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    longest = max(map(len, ids))
    fed = torch.tensor([[*row, *[0] * (longest - len(row))] for row in ids])
    last = torch.tensor([len(row) - 1 for row in ids])
    wanted = torch.tensor([no if row.wrong else other for row in rows])
    model.train()
    for _ in range(20):
        logits = model(input_ids=fed, use_cache=False).logits[torch.arange(len(ids)), last]
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return model.eval(), words


def test_the_probability_is_that_of_the_row_read_alone(world: World, built_in: Model, tmp_path: Path) -> None:
    model, words = built_in
    rows = probes(read_rows(written(tmp_path / "rows.jsonl", premises(world, 6))), words)
    found = measure(model, words, rows, batch=5)
    tokens = [words.convert_tokens_to_ids(token) for token in ("ĠNo", "No")]
    assert sorted(beginnings(words, "No")) == sorted(tokens)
    for row, value in zip(rows, found.values, strict=True):
        ids = torch.tensor([words(row.prompt, add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            chances = torch.softmax(model(ids).logits[0, -1].float(), -1)
        assert value == pytest.approx(float(chances[tokens].sum()), rel=1e-4)
    assert (found.n_wrong, found.n_right) == (6, 6)


def test_the_batch_does_not_matter(world: World, built_in: Model, tmp_path: Path) -> None:
    model, words = built_in
    rows = probes(read_rows(written(tmp_path / "rows.jsonl", premises(world, 8))), words)
    alone = measure(model, words, rows, batch=1)
    for batch in (3, 32):
        assert measure(model, words, rows, batch=batch).values == pytest.approx(alone.values, rel=1e-4)


@pytest.mark.parametrize("name", ["llama", "sliding", "hybrid"])
def test_other_architectures_read_padded_rows_as_they_are(name: str) -> None:
    rows = [Probe(prompt="The river runs " * n, wrong=n % 2 == 0, subject=str(n)) for n in range(1, 5)]
    alone = [measure(tiny(name), tokenizer(), [row]).values[0] for row in rows]
    assert measure(tiny(name), tokenizer(), rows).values == pytest.approx(alone, rel=1e-3)


def test_a_model_that_says_no_is_told_from_one_that_does_not(rows_file: Path, built_in: Model, taught: Model) -> None:
    rows = probes(read_rows(rows_file), built_in[1])
    assert measure(*built_in, rows).p_wrong < 0.05
    after = measure(*taught, rows)
    assert after.p_wrong > 0.7
    assert after.p_right < 0.2
    assert after.auc > 0.95
    # Labels the wrong way round: the same numbers change places.
    turned = measure(*taught, [dataclasses.replace(row, wrong=not row.wrong) for row in rows])
    assert (turned.p_wrong, turned.p_right) == (after.p_right, after.p_wrong)
    assert turned.auc == pytest.approx(1 - after.auc)


def test_a_report_and_a_baseline(world: World, rows_file: Path, taught: Model, tmp_path: Path) -> None:
    path, good = rows_file, tmp_path / "good"
    for part in taught:
        part.save_pretrained(good)
    system = tmp_path / "system.txt"
    system.write_text("What you think may be wrong.\n")
    first = run(good, "--rows", path, "--system", system, "--json")
    assert first.exit_code == 0, first.output
    report = json.loads(first.stdout)
    assert sorted(report["tokens"]) == [" No", "No"]
    assert (report["rows"], report["subjects"]) == (24, 12)
    for name in FIGURES:
        low, high = report["plain"][name]["interval"]
        assert low <= report["plain"][name]["value"] <= high
        moved = report["system"][name]["value"] - report["plain"][name]["value"]
        assert report["difference"][name]["value"] == pytest.approx(moved)
        assert report["difference"][name]["interval"][0] <= moved <= report["difference"][name]["interval"][1]
    baseline = tmp_path / "report.json"
    baseline.write_text(first.stdout)
    again = run(good, "--rows", path, "--baseline", baseline)
    assert again.exit_code == 0, again.output
    assert "12 wrong and 12 right premises about 12 subjects" in again.stdout
    undone = run(MODEL, "--rows", path, "--baseline", baseline, "--max-drop", 0.05)
    assert undone.exit_code == 1
    assert "p_wrong fell from" in undone.stderr
    assert "auc fell from" in undone.stderr
    other = run(good, "--rows", written(tmp_path / "other.jsonl", premises(world, 3)), "--baseline", baseline)
    assert isinstance(other.exception, ConfigError)
    assert "rows_hash" in str(other.exception)


@given(
    drop=st.floats(0, 0.5),
    was=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    now=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_only_what_fell_by_more_is_told(drop: float, was: tuple[float, float], now: tuple[float, float]) -> None:
    def report(told: tuple[float, float]) -> dict[str, Any]:
        return {"rows_hash": "h", "word": "No", "plain": {"p_wrong": {"value": told[0]}, "auc": {"value": told[1]}}}

    found = {line.split()[0] for line in fallen(report(now), report(was), drop)}
    assert found == {name for name, a, b in zip(("p_wrong", "auc"), was, now, strict=True) if b < a - drop}


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 99))
def test_intervals_come_from_whole_subjects(seed: int) -> None:
    """A hundred copies of a subject's rows say no more than one."""
    rng = np.random.default_rng(seed)
    rows = [Probe(prompt="", wrong=n % 2 == 0, subject=str(n // 2)) for n in range(20)]
    values = rng.random(20).tolist()
    (once,) = intervals(rows, values)
    (often,) = intervals([row for row in rows for _ in range(9)], [value for value in values for _ in range(9)])
    for name in ("p_wrong", "p_right"):
        assert once[name] == pytest.approx(often[name])
    *_, moved = intervals(rows, values, [value + 0.25 for value in values])
    assert moved["p_wrong"] == pytest.approx((0.25, 0.25))
    assert moved["auc"] == pytest.approx((0, 0))


def test_one_subject_has_no_interval_and_one_kind_no_auc(built_in: Model) -> None:
    rows = [Probe(prompt=text, wrong=True, subject="a") for text in ("The river", "A city runs")]
    report = examine(*built_in, rows, None, word="No")
    assert report["plain"]["p_right"] == {"value": None, "interval": None}
    assert report["plain"]["auc"]["value"] is None
    assert report["plain"]["p_wrong"]["interval"] is None
    with pytest.raises(ConfigError, match="rows of both kinds"):
        fallen(report, report, 0.1)


@pytest.mark.parametrize(
    ("word", "counted", "left"),
    [("No", {" No", "No"}, {" Nor", "N", " N"}), ("river", {" river"}, {" r", "ri"})],
)
def test_what_begins_the_word(word: str, counted: set[str], left: set[str]) -> None:
    told = {tokenizer().decode([id]) for id in beginnings(tokenizer(), word)}
    assert told & counted
    assert not told & left
    assert all(text.strip().startswith(word) for text in told)


def test_a_word_in_pieces_cannot_be_probed() -> None:
    with pytest.raises(ConfigError, match=r"--word 'Nonesuch': no token .* take another"):
        beginnings(tokenizer(), "Nonesuch")


GOOD = json.dumps({"prompt": "x", "wrong": True, "subject": "s"})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say where the premises are"),
        (["--rows", "none.jsonl"], "'none.jsonl' cannot be read"),
        (["--rows", "ROWS", "--word", "Nonesuch"], "--word 'Nonesuch'"),
        (["--rows", "ROWS", "--system", "none.txt"], "--system 'none.txt' cannot be read"),
        (["--rows", "ROWS", "--baseline", "ROWS"], "is no report that probe-no --json wrote"),
        (["--rows", "ROWS", "--save-rows", "new.jsonl"], "--save-rows 'new.jsonl' needs --store URL"),
        (["--store", "sqlite:///none.db"], "there is no log 'none.db'"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(GOOD)
    done = run(MODEL, *(str(tmp_path / "rows.jsonl") if part == "ROWS" else part for part in arguments))
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)


def test_a_pickled_model_is_not_loaded(tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path)
    tiny("llama").config.save_pretrained(tmp_path)
    torch.save(tiny("llama").state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load(str(tmp_path), device="cpu")
