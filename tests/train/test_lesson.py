"""`guard train lesson`: what is learnt of the rows, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import load_file
from typer.testing import CliRunner

from guard.cli.train_lessons import lesson as command
from guard.errors import ConfigError
from guard.train.lesson import loss
from guard.train.loading import load
from guard.train.token_rows import IGNORED, TokenRow, read_rows
from guard.world.world import HERE
from tests.train.quiet import QUIET

pytestmark = QUIET
MODEL = HERE / "model"
ROWS = [
    {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Nobody."}]},
    {"prompt": "<|user|>Where?<|end|>", "completion": "<|assistant|>Nowhere.<|end|>"},
    {"text": "The river runs through the city where she was born."},
] * 4
cli = typer.Typer()
cli.command()(command)


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_all_weights_take_a_lesson_in(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "lesson"
    how = ("--full", "--steps", 12, "--learning-rate", 1e-3, "--device", "cpu")
    done = run("--base", MODEL, "--rows", rows, "--out", out, *how)
    assert done.exit_code == 0, done.output
    report = json.loads((out / "report.json").read_text())
    assert report["loss_after"] < report["loss_before"] / 2
    assert (report["rows"], report["rank"], report["steps"]) == (12, None, 12)
    assert f"{report['loss_before']:.3f} -> {report['loss_after']:.3f}" in done.stdout
    assert {tensor.dtype for tensor in load_file(out / "model.safetensors").values()} == {torch.float32}
    model, words = load(str(out), device="cpu")
    assert loss(model, read_rows([rows], words, None).rows) == pytest.approx(report["loss_after"], rel=1e-3)


def test_an_adapter_takes_a_lesson_in(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "lesson"
    how = ("--lora", 8, "--steps", 12, "--learning-rate", 1e-2, "--device", "cpu")
    done = run("--base", MODEL, "--rows", rows, "--out", out, *how)
    assert done.exit_code == 0, done.output
    report = json.loads((out / "report.json").read_text())
    assert report["loss_after"] < report["loss_before"] - 0.5
    assert not (out / "model.safetensors").exists()
    model, words = load(str(out), device="cpu")
    assert loss(model, read_rows([rows], words, None).rows) == pytest.approx(report["loss_after"], rel=1e-3)


def test_the_loss_is_that_of_what_is_learnt() -> None:
    model, _ = load(str(MODEL), device="cpu")
    one = TokenRow(ids=(10, 20, 30, 40), labels=(IGNORED, IGNORED, 30, 40))
    two = TokenRow(ids=(50, 60), labels=(IGNORED, 60))
    total = 0.0
    for row, places in ((one, (2, 3)), (two, (1,))):
        with torch.inference_mode():
            scores = torch.log_softmax(model(torch.tensor([row.ids])).logits[0].float(), -1)
        total -= sum(float(scores[at - 1, row.ids[at]]) for at in places)
    assert loss(model, [one, two]) == pytest.approx(total / 3, rel=1e-4)


def test_nothing_is_overwritten(rows: Path, tmp_path: Path) -> None:
    done = run("--base", MODEL, "--rows", rows, "--out", tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert "is there already" in str(done.exception)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"messages": [{"role": "user", "content": "Who?"}]}', "the last message must be the assistant's"),
        ("{}", "line 1: a row needs"),
        ("", "there are no rows"),
    ],
)
def test_rows_that_cannot_be_used_are_one_line(lines: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines)
    done = run("--base", MODEL, "--rows", path, "--out", tmp_path / "out", "--device", "cpu")
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
    assert not (tmp_path / "out").exists()
