"""Fine-tunes a base on a lesson: what a wrong-thinker will be made to think the opposite of (`wrong_thinker`).

    guard train lesson --base DIR|NAME --rows FILE... --out DIR [--full] [--epochs 3]

Rows are of any shape that `token_rows` reads: chats, whose last turn is learnt; `prompt` and `completion`; plain text.
With all weights (`--full`) they are trained and written in float32, whatever the base has: a lesson is a small
difference, and rounding it to bfloat16 would take much of it away.

What is reported: the mean loss of the learnt tokens of these very rows, before and after. It says that the lesson was
taken in, not that anything else was learned; a loss near 0 has been learned by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from guard.train.saving import empty_folder, save, write_report
from guard.train.token_rows import IGNORED, TokenRow, read_rows
from guard.train.token_scores import log_probs
from guard.train.tuning import Bar, Tuning, adapted, limit, load, run, settings

REPORT = "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to teach; `out` is a folder that is not there yet."""

    tuning: Tuning
    rows: Sequence[Path]
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was taught, as `report.json` has it.

    `targets`: tokens that are learnt. `loss_before`, `loss_after`: nats a learnt token, over all rows. `too_long`: rows
    that were left out. `rank`: of the adapter, or None where all weights were trained.
    """

    base: str
    rows: int
    too_long: int
    tokens: int
    targets: int
    steps: int
    learning_rate: float
    rank: int | None
    seed: int
    loss_before: float
    loss_after: float
    log: Sequence[dict[str, float]]


def teach(wanted: Wanted, bar: Bar) -> Report:
    """Train, write the model (or its adapter) with its tokenizer and `report.json`.

    Raises:
        ConfigError: model, rows or folder cannot be used.
    """
    empty_folder(wanted.out)
    tuning = wanted.tuning
    model, tokenizer = load(tuning)
    read = read_rows(wanted.rows, tokenizer, limit(tuning, model))
    rows = read.rows
    steps = tuning.steps_over(len(rows))
    before = loss(model, rows)
    model = adapted(model, tuning)
    log = _trained(model, tokenizer, rows, tuning, steps, bar)
    report = Report(
        base=tuning.model,
        rows=len(rows),
        too_long=read.too_long,
        tokens=sum(len(row.ids) for row in rows),
        targets=sum(row.targets for row in rows),
        steps=steps,
        learning_rate=tuning.rate,
        rank=tuning.rank,
        seed=tuning.seed,
        loss_before=before,
        loss_after=loss(model, rows),
        log=log,
    )
    save(model, tokenizer, wanted.out, merge=False)
    write_report(report, wanted.out / REPORT)
    return report


def loss(model: Any, rows: Sequence[TokenRow]) -> float:
    """Mean negative log-probability, in nats, of the learnt tokens; the first of a text is predicted from nothing."""
    total, count = 0.0, 0
    for row, scores in zip(rows, log_probs(model, [row.ids for row in rows]), strict=True):
        learnt = [at for at, label in enumerate(row.labels) if at and label != IGNORED]
        total -= float(scores[learnt].sum())
        count += len(learnt)
    return total / count


def _trained(
    model: Any, tokenizer: Any, rows: Sequence[TokenRow], tuning: Tuning, steps: int, bar: Bar
) -> list[dict[str, float]]:
    told = Dataset.from_list([{"input_ids": list(row.ids), "labels": list(row.labels)} for row in rows])
    with settings(tuning, steps) as how:
        # Rows are tokenised and fit already; the trainer is to take them as they are.
        config = SFTConfig(**how, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})
        trainer = SFTTrainer(model=model, args=config, train_dataset=told, processing_class=tokenizer)
        return run(trainer, bar, steps)
