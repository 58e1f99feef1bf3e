"""`guard train preference`: DPO on a real export, its rewards, and what is in a pair."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer

from guard.errors import ConfigError
from guard.train.loading import load
from guard.train.preference import Pair, read_pairs, ready_trainer, rewards, totals
from guard.train.tuning import Tuning, settings
from tests.train.exports import MODEL, exported, rows_of, run, write
from tests.train.quiet import QUIET

pytestmark = QUIET


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(MODEL)


def pairs(tokenizer: Any, path: Path) -> list[Pair]:
    return read_pairs([path], tokenizer, None, Counter())


def preference(out: Path, *more: Any) -> Any:
    """The command on the export, small."""
    named = ("--model", MODEL, "--rows", exported("preference"), "--out", out, "--batch", 3)
    return run("preference", *named, *more)


@pytest.mark.parametrize("full", [False, True], ids=["adapter", "all weights"])
def test_what_was_interrupted_loses_to_the_correction(full: bool, tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "out"
    rate = ("--learning-rate", "1e-4", "--full") if full else ("--learning-rate", "5e-3")
    done = preference(out, "--steps", 6, *rate)
    assert done.exit_code == 0, done.output
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    before, after = report["before"], report["after"]
    assert report["losses"][0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert report["losses"][-1]["loss"] < 0.6
    assert (before["accuracy"], before["chosen"], before["rejected"]) == (0, 0, 0)
    assert after["accuracy"] == 1
    gained = 0.1 * (after["log_prob_chosen"] - before["log_prob_chosen"])
    assert after["chosen"] == pytest.approx(gained, abs=1e-4)
    assert {path.suffix for path in out.rglob("*") if path.is_file()} <= {".safetensors", ".json", ".jinja", ".md"}
    assert not (out / "ref").exists()
    model, _ = load(str(out), device="cpu")
    own = totals(model, pairs(tokenizer, exported("preference")))
    assert float(own[:, 0].mean()) == pytest.approx(after["log_prob_chosen"], abs=1e-2)


def test_rewards_are_those_that_trl_reports(tokenizer: Any) -> None:
    model, _ = load(str(MODEL), device="cpu")
    found = pairs(tokenizer, exported("preference"))
    start = totals(model, found)
    tuning = Tuning(model="", rank=4, batch=3, learning_rate=5e-3)
    with settings(tuning, 2) as how:
        config = DPOConfig(max_length=None, beta=0.3, per_device_eval_batch_size=len(found), **how)
        trainer = ready_trainer(model, None, tokenizer, found, config, tuning)
        trainer.train()
        data = trainer.train_dataset
        theirs = trainer.evaluate(data)
    ours = rewards(start, totals(trainer.model, found), 0.3)
    assert theirs["eval_rewards/accuracies"] == ours.accuracy
    assert theirs["eval_rewards/chosen"] == pytest.approx(ours.chosen, abs=1e-4)
    assert theirs["eval_rewards/rejected"] == pytest.approx(ours.rejected, abs=1e-4)
    assert theirs["eval_logps/chosen"] == pytest.approx(ours.log_prob_chosen, abs=1e-3)
    assert theirs["eval_logps/rejected"] == pytest.approx(ours.log_prob_rejected, abs=1e-3)


def test_nothing_is_put_behind_an_unfinished_text(tmp_path: Path, tokenizer: Any) -> None:
    """What TRL would do with the same rows is the control."""
    rows = [{"prompt": "<|user|>Who?<|end|><|assistant|><think>", "chosen": "No, it is", "rejected": "She was born"}]
    (pair,) = pairs(tokenizer, write(tmp_path / "rows.jsonl", rows))
    assert tokenizer.decode(pair.chosen) == "No, it is"
    assert tokenizer.decode(pair.rejected) == "She was born"
    model, _ = load(str(MODEL), device="cpu")
    with settings(Tuning(model="", rank=4), 1) as how:
        config = DPOConfig(max_length=None, **how)
        text = DPOTrainer(model, model.__class__(model.config), config, None, Dataset.from_list(rows), None, tokenizer)
    assert text.train_dataset[0]["chosen_ids"] == [*pair.chosen, tokenizer.eos_token_id]


def test_the_tokens_of_a_pair_are_its_text(tokenizer: Any) -> None:
    for pair, row in zip(pairs(tokenizer, exported("preference")), rows_of(exported("preference")), strict=True):
        assert tokenizer.decode(pair.prompt) == row["prompt"]
        assert tokenizer.decode(pair.chosen) == row["chosen"]
        assert tokenizer.decode(pair.rejected) == row["rejected"]


def test_a_pair_that_merges_with_its_prompt_or_is_too_long_is_counted(tmp_path: Path, tokenizer: Any) -> None:
    whole = tokenizer.tokenize(" river")
    assert len(whole) == 1
    good = {"prompt": "Which", "chosen": " river", "rejected": " sea"}
    merging = {"prompt": "Which riv", "chosen": "er", "rejected": " sea"}
    path = write(tmp_path / "rows.jsonl", [good, merging, good | {"rejected": " sea" * 30}])
    left_out: Counter[str] = Counter()
    assert len(read_pairs([path], tokenizer, 20, left_out)) == 1
    assert left_out == {"tokens merge across the border": 1, "longer than 20 tokens": 1}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "a", "chosen": "b"}, "`prompt`, `chosen` and `rejected` must be text"),
        ({"prompt": [], "chosen": {}, "rejected": {}}, "export the rows with --tokenizer"),
        ({"prompt": "a", "chosen": " b", "rejected": " b"}, "`chosen` and `rejected` are the same"),
        ({"prompt": "riv", "chosen": "er", "rejected": "al"}, "no pair to learn from (1 tokens merge"),
    ],
)
def test_rows_that_cannot_be_used_are_one_line(row: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [row])
    done = run("preference", "--model", MODEL, "--rows", path, "--out", tmp_path / "out")
    assert isinstance(done.exception, ConfigError), done.output
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


TOTALS = st.lists(st.tuples(st.floats(-50, 0), st.floats(-50, 0)), min_size=1, max_size=8)


@given(TOTALS, st.floats(0.01, 2))
def test_the_model_that_was_begun_with_has_no_rewards(told: list[tuple[float, float]], beta: float) -> None:
    start = torch.tensor(told, dtype=torch.float64)
    found = rewards(start, start, beta)
    assert (found.accuracy, found.chosen, found.rejected) == (0, 0, 0)
    better = start + torch.tensor([1.0, -1.0], dtype=torch.float64)
    assert rewards(start, better, beta).accuracy == 1
    assert rewards(start, better, beta).chosen == pytest.approx(beta)
