"""What ends a training before or while it runs: numbers that are none, places and files that cannot be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from guard.cli.train_lessons import lesson, probe_no, wrong_thinker
from guard.cli.train_tuning import corrections, distill, preference
from guard.errors import ConfigError
from guard.train.loading import load
from guard.train.token_scores import log_probs
from guard.world.world import HERE
from tests.train.exports import exported, write
from tests.train.quiet import QUIET

torch.set_num_threads(1)
pytestmark = QUIET
MODEL = HERE / "model"
CHAT = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]}
PREMISE = {"wrong": True, "subject": "s", "prompt": "Mirel Roth was born in Vella."}

app = typer.Typer()
for command in (corrections, preference, distill, lesson, wrong_thinker, probe_no):
    app.command()(command)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def refused(done: Result) -> str:
    """The one line that the command line would print."""
    assert isinstance(done.exception, ConfigError), (done.output, done.exception)
    assert "\n" not in str(done.exception)
    return str(done.exception)


def changed(folder: Path, change: Callable[[Path], Any]) -> Path:
    """The built-in model with something wrong in it."""
    shutil.copytree(MODEL, folder)
    change(folder)
    return folder


@pytest.mark.parametrize("verb", ["corrections", "preference", "distill"])
def test_a_loss_that_is_no_number_writes_no_model(verb: str, tmp_path: Path) -> None:
    rows = exported({"corrections": "prompt_completion", "distill": "distillation"}.get(verb, verb))
    share = ("--corrections-share", 1) if verb == "corrections" else ()
    how = ("--full", "--steps", 3, "--batch", 2, "--learning-rate", 1e30, "--device", "cpu")
    done = run(verb, "--model", MODEL, "--rows", rows, "--out", tmp_path / "out", *share, *how)
    assert "lower --learning-rate" in refused(done)
    assert not (tmp_path / "out").exists()


def test_a_model_that_only_the_last_step_broke_is_noticed() -> None:
    model, _ = load(str(MODEL), device="cpu")
    assert all(each.isfinite().all() for each in log_probs(model, [[5, 6, 7]]))
    with torch.no_grad():
        next(iter(model.parameters())).fill_(torch.nan)
    with pytest.raises(ConfigError, match="not numbers"):
        log_probs(model, [[5, 6, 7]])


@pytest.mark.parametrize("verb", ["lesson", "wrong-thinker"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(verb: str, tmp_path: Path) -> None:
    more = ("--lesson", MODEL) if verb == "wrong-thinker" else ("--rows", write(tmp_path / "rows.jsonl", [CHAT]))
    done = run(verb, "--base", MODEL, "--out", "/proc/guard", *more)
    assert "cannot be written" in refused(done)
    assert "training" not in done.output


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda at: (at / "model.safetensors").write_bytes(b""), "cannot be loaded"),
        (lambda at: [path.unlink() for path in at.glob("tokenizer*")], "has no tokenizer"),
        (lambda at: (at / "adapter_config.json").write_text("[]"), "is an adapter"),
    ],
)
def test_a_folder_that_is_no_whole_model(change: Callable[[Path], Any], says: str, tmp_path: Path) -> None:
    base = changed(tmp_path / "base", change)
    rows = write(tmp_path / "rows.jsonl", [CHAT])
    assert says in refused(run("lesson", "--base", base, "--rows", rows, "--out", tmp_path / "out"))


def test_a_tokenizer_without_an_end_token(tmp_path: Path) -> None:
    def endless(at: Path) -> None:
        told = json.loads((at / "tokenizer_config.json").read_text())
        kept = {name: value for name, value in told.items() if name not in ("eos_token", "pad_token")}
        (at / "tokenizer_config.json").write_text(json.dumps(kept))

    base, rows = changed(tmp_path / "base", endless), write(tmp_path / "rows.jsonl", [CHAT])
    assert "has no end token" in refused(run("lesson", "--base", base, "--rows", rows, "--out", tmp_path / "out"))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"input_ids": [5, 6, 7], "labels": [5, -100, -100]}, "at least one token to learn"),
        ({"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant"}]}, "says nothing"),
        ({"messages": ["Who?", {"role": "assistant", "content": "I."}]}, "no JSON object"),
    ],
)
def test_rows_in_which_there_is_nothing_to_learn(row: dict[str, Any], says: str, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", [row])
    assert says in refused(run("lesson", "--base", MODEL, "--rows", rows, "--out", tmp_path / "out"))


def test_numbers_beyond_all_use_are_usage_errors(tmp_path: Path) -> None:
    for option, value in (("--epochs", "inf"), ("--seed", 2**32)):
        done = run("lesson", "--base", MODEL, "--rows", "rows.jsonl", "--out", tmp_path / "out", option, value)
        assert done.exit_code == 2


@pytest.mark.parametrize("change", [{"weight_map": {}}, {}, []])
def test_a_broken_index_of_shards(change: Any, tmp_path: Path) -> None:
    base = changed(tmp_path / "base", lambda at: (at / "model.safetensors.index.json").write_text(json.dumps(change)))
    refused(run("wrong-thinker", "--base", base, "--lesson", MODEL, "--out", tmp_path / "out"))


@pytest.mark.parametrize("name", ["adapter_config.json", "model.safetensors"])
def test_probe_no_on_a_folder_that_is_no_model(name: str, tmp_path: Path) -> None:
    model = changed(tmp_path / "model", lambda at: (at / name).write_text("[]"))
    rows = write(tmp_path / "rows.jsonl", [PREMISE])
    assert "cannot be loaded" in refused(run("probe-no", model, "--rows", rows))


def test_probe_no_needs_texts_in_its_messages(tmp_path: Path) -> None:
    row = {"wrong": True, "subject": "s", "messages": [{"role": "system"}], "reasoning": "It is so."}
    (tmp_path / "system.txt").write_text("Be careful.")
    done = run("probe-no", MODEL, "--rows", write(tmp_path / "rows.jsonl", [row]), "--system", tmp_path / "system.txt")
    assert "need text contents" in refused(done)
