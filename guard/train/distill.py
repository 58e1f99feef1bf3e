"""Distils stored distributions into a model: what the interrupted model found possible, not only what it said.

    guard export distillation --tokenizer MODEL --out rows.jsonl
    guard train distill --model MODEL --rows rows.jsonl --out FOLDER [--temperature 1] [--one-hot]

A row is a token row (`input_ids`, `labels`) with `top_ids` and `top_logprobs` beside them: for each target token the
most probable tokens in its place and their natural log-probabilities, nothing for context. Tokens that guard put in are
one-hot, their own id with log-probability 0. `--one-hot` is the control: the same rows, only the tokens themselves.

The loss is that of `distill_loss`: the divergence over the stored outcomes and "any other token".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from torch.nn.functional import cross_entropy

from guard.errors import ConfigError
from guard.train.distill_loss import divergence
from guard.train.distill_rows import Lesson, collated, columns, one_hot, read_lessons, stored_mass
from guard.train.saving import save, writable, write_report
from guard.train.token_rows import IGNORED
from guard.train.tuning import Bar, Tuning, adapted, limit, load, run, settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to learn from. `one_hot`: the tokens of the rows only, the control."""

    tuning: Tuning
    rows: Sequence[Path]
    out: Path
    temperature: float = 1.0
    one_hot: bool = False
    merge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Means a target token, in nats: the divergence above at temperature 1, and the cross-entropy of the tokens."""

    divergence: float
    cross_entropy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was learned from and what it did. `one_hot_targets`: targets whose own token is certain; `stored_mass`: mean
    probability of the stored outcomes."""

    model: str
    method: str
    taught: str
    temperature: float
    rows: int
    too_long: int
    targets: int
    one_hot_targets: int
    stored_mass: float
    steps: int
    learning_rate: float
    seed: int
    losses: Sequence[Mapping[str, float]]
    before: Loss
    after: Loss


class Distiller(transformers.Trainer):  # type: ignore[misc]
    """The trainer with that loss; a mean over the targets of a whole step."""

    def __init__(self, *, temperature: float, **how: Any) -> None:
        super().__init__(**how)
        self._temperature = temperature
        self.model_accepts_loss_kwargs = True  # the division is done here

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean divergence of a batch; `return_outputs` is the trainer's, and not used without evaluation."""
        logits = at_targets(model, inputs)
        each = divergence(logits, inputs["top_ids"], inputs["top_logprobs"], self._temperature)
        return each.sum() / (len(each) if num_items_in_batch is None else num_items_in_batch)


def at_targets(model: Any, batch: Mapping[str, Any]) -> torch.Tensor:
    """[targets, V]: the logits that the batch's targets are predicted from."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    found: torch.Tensor = logits[:, :-1][batch["labels"][:, 1:] != IGNORED]
    return found


def train(wanted: Wanted, bar: Bar) -> Report:
    """Train, write model and `report.json` into the folder, and say what it did.

    Raises:
        ConfigError: rows or model cannot be used.
    """
    tuning = wanted.tuning
    writable(wanted.out, tuning, merge=wanted.merge)
    model, tokenizer = load(tuning)
    lessons, too_long = read_lessons(wanted.rows, tokenizer, limit(tuning, model))
    steps = tuning.steps_over(len(lessons))
    before = measure(model, lessons)
    model = adapted(model, tuning)
    with settings(tuning, steps) as how:
        config = transformers.TrainingArguments(remove_unused_columns=False, **how)
        taught = [one_hot(lesson) for lesson in lessons] if wanted.one_hot else lessons
        trainer = Distiller(
            temperature=wanted.temperature,
            model=model,
            args=config,
            train_dataset=Dataset.from_list([columns(lesson) for lesson in taught]),
            data_collator=collated,
        )
        losses = run(trainer, bar, steps)
    report = Report(
        model=tuning.model,
        method=tuning.method,
        taught="the tokens" if wanted.one_hot else "stored distributions",
        temperature=wanted.temperature,
        rows=len(lessons),
        too_long=too_long,
        targets=sum(lesson.row.targets for lesson in lessons),
        one_hot_targets=sum(told == (0.0,) for lesson in lessons for told in lesson.log_probs),
        stored_mass=stored_mass(lessons),
        steps=steps,
        learning_rate=tuning.rate,
        seed=tuning.seed,
        losses=losses,
        before=before,
        after=measure(model, lessons),
    )
    save(model, tokenizer, wanted.out, merge=wanted.merge)
    write_report(report, wanted.out / "report.json")
    return report


def measure(model: Any, lessons: Sequence[Lesson]) -> Loss:
    """Both losses over all targets. The model is left in the mode it was in. Raises ConfigError: one is no number."""
    totals = torch.zeros(2, dtype=torch.float64)
    training = model.training
    model.eval()
    with torch.no_grad():
        for lesson in lessons:
            batch = {name: value.to(model.device) for name, value in collated([columns(lesson)]).items()}
            logits = at_targets(model, batch)
            labels = batch["labels"][:, 1:]
            totals[0] += float(divergence(logits, batch["top_ids"], batch["top_logprobs"]).sum())
            totals[1] += float(cross_entropy(logits.float(), labels[labels != IGNORED], reduction="sum"))
    model.train(training)
    if not bool(totals.isfinite().all()):
        raise ConfigError("the model's loss is not a number: lower --learning-rate, or another --dtype")
    first, second = (totals / sum(lesson.row.targets for lesson in lessons)).tolist()
    return Loss(divergence=first, cross_entropy=second)
