"""TRL's KTO trainer on the rows of `unpaired_preference` that `guard export` writes from a served log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from transformers import AutoTokenizer
from trl import KTOConfig, KTOTrainer
from typer.testing import CliRunner

from guard.cli import app
from guard.train.loading import load
from guard.train.tuning import Tuning, settings
from tests.train.exports import MODEL, exports, rows_of
from tests.train.quiet import QUIET

pytestmark = QUIET


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kto") / "unpaired_preference.jsonl"
    store = f"sqlite:///{exports() / 'guard.db'}"
    named = ("--store", store, "--out", str(out), "--tokenizer", str(MODEL), "--unreviewed")
    done = CliRunner().invoke(app, ["export", "unpaired_preference", *named])
    assert done.exit_code == 0, done.output
    return out


def test_right_and_wrong_part(file: Path, tmp_path: Path) -> None:
    rows = rows_of(file)
    assert {row["label"] for row in rows} == {True, False}
    tokenizer: Any = AutoTokenizer.from_pretrained(MODEL)
    model, _ = load(str(MODEL), device="cpu")
    reference, _ = load(str(MODEL), device="cpu")
    data = load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path))
    data = data.select_columns(["prompt", "completion", "label"])
    with settings(Tuning(model="", batch=4, learning_rate=1e-4, rank=None), 6) as how:
        config = KTOConfig(max_length=None, per_device_eval_batch_size=len(rows), **how)
        trainer = KTOTrainer(model, reference, config, train_dataset=data, processing_class=tokenizer)
        read = list(trainer.train_dataset)
        trainer.train()
    for row, seen in zip(rows, read, strict=True):
        assert tokenizer.decode(seen["prompt_ids"]) == row["prompt"]
        end = "" if row["completion"].endswith(tokenizer.eos_token) else tokenizer.eos_token
        assert tokenizer.decode(seen["completion_ids"]) == row["completion"] + end
    losses = [told["loss"] for told in trainer.state.log_history if "loss" in told]
    assert len(losses) == 6
    assert torch.isfinite(torch.tensor(losses)).all()
    moved = _gained(model, reference, read)
    right, wrong = (
        [gain for gain, row in zip(moved, rows, strict=True) if row["label"] is good] for good in (True, False)
    )
    assert sum(right) / len(right) > sum(wrong) / len(wrong)


def _gained(model: Any, reference: Any, rows: list[dict[str, Any]]) -> list[float]:
    """By how much the log-probability of each completion rose."""
    return [_total(model, row) - _total(reference, row) for row in rows]


@torch.no_grad()
def _total(model: Any, row: dict[str, Any]) -> float:
    ids = torch.tensor([[*row["prompt_ids"], *row["completion_ids"]]])
    logs = model(ids).logits[0, :-1].log_softmax(-1)
    first = len(row["prompt_ids"]) - 1
    return float(logs[range(first, ids.shape[1] - 1), ids[0, first + 1 :]].sum())
