"""How fast self-correction is unlearnt: trains a model on something else and measures P("No") on the way.

    guard train elasticity --model MODEL --data other.jsonl --probes probes.jsonl --out curve.json
        [--every 5] [--keep rows.jsonl --keep-share 0.05]

Fine-tuned behaviour reverts under further fine-tuning, sooner in larger models (Ji et al. 2024, "Language Models Resist
Alignment", arXiv 2406.06144). On the closed world the skill of 300 to 500 steps was gone after 10 to 20 steps of the
original data, while the AUC fell slowly: what reverts is the readiness to say "No", not the knowledge of when. With
`--keep`, correction rows are a share of all rows, which is what holds it.

The learning rate is constant, so that the curve over steps is not the schedule's. Tokens are those read in training,
padding left out. The half-life is where P("No") behind wrong premises is first at half of what it was before, between
two measurements on a straight line; None where it never was. The model is not saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from guard.errors import ConfigError
from guard.train.corrections import trainer_of
from guard.train.probe_no import measure
from guard.train.probe_no_rows import Probe, probes
from guard.train.probe_no_rows import read_rows as read_probes
from guard.train.saving import open_to_writing, write_report
from guard.train.shares import Kind, Reached, drawn
from guard.train.token_rows import read_rows
from guard.train.tuning import Bar, Tuning, adapted, limit, load, run, settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to train on and what to measure. `every`: steps between measurements; `keep_share`: of all rows."""

    tuning: Tuning
    data: Sequence[Path]
    probes: Path
    out: Path
    every: int = 5
    word: str = "No"
    keep: Sequence[Path] = ()
    keep_share: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A measurement. `of_start`: `p_wrong` over that of step 0, None where that was 0."""

    step: int
    tokens: int
    p_wrong: float
    p_right: float
    auc: float
    of_start: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfLife:
    """Where half of it was left."""

    steps: float
    tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The curve, step 0 first, and how it came about."""

    model: str
    method: str
    steps: int
    learning_rate: float
    seed: int
    word: str
    probes: int
    too_long: Mapping[str, int]
    shares: Mapping[str, Reached]
    losses: Sequence[Mapping[str, float]]
    curve: Sequence[Point]
    half_life: HalfLife | None


def train(wanted: Wanted, bar: Bar) -> Report:
    """Train, measure, write the report to the file, and return it.

    Raises:
        ConfigError: files, shares or model cannot be used, or there is nothing to lose.
    """
    tuning = wanted.tuning
    share = wanted.keep_share if wanted.keep else 0.0
    _usable(wanted)
    model, tokenizer = load(tuning)
    most = limit(tuning, model)
    rows = probes(read_probes(wanted.probes), tokenizer)
    if {row.wrong for row in rows} != {False, True}:
        raise ConfigError(f"--probes {str(wanted.probes)!r}: right and wrong premises are needed")
    data = read_rows(wanted.data, tokenizer, most)
    kinds = {"data": Kind(rows=data.rows, share=1 - share)}
    too_long = {"data": data.too_long}
    if wanted.keep:
        kept = read_rows(wanted.keep, tokenizer, most, tokens_only=True)
        kinds["keep"], too_long["keep"] = Kind(rows=kept.rows, share=share), kept.too_long
    steps = tuning.steps_over(len(data.rows) / (1 - share))
    mixture = drawn(kinds, steps * tuning.rows_a_step, tuning.seed)
    model = adapted(model, tuning)
    meter = Meter(model, tokenizer, rows, wanted)
    with settings(tuning, steps, schedule="constant") as how:
        how |= {"warmup_steps": 0, "include_num_input_tokens_seen": "non_padding"}
        losses = run(trainer_of(model, tokenizer, mixture.rows, how, callbacks=[meter]), bar, steps)
    report = Report(
        model=tuning.model,
        method=tuning.method,
        steps=steps,
        learning_rate=tuning.rate,
        seed=tuning.seed,
        word=wanted.word,
        probes=len(rows),
        too_long=too_long,
        shares=mixture.reached,
        losses=losses,
        curve=meter.curve,
        half_life=half_life(meter.curve),
    )
    write_report(report, wanted.out)
    return report


class Meter(TrainerCallback):  # type: ignore[misc]
    """Measures before the first step, after every so many and after the last; `curve` grows."""

    def __init__(self, model: Any, tokenizer: Any, rows: Sequence[Probe], wanted: Wanted) -> None:
        self._model, self._tokenizer, self._rows, self._wanted = model, tokenizer, rows, wanted
        self.curve: list[Point] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Step 0."""
        self._measure(0, 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Whether it is time, and if so, a point."""
        if state.global_step % self._wanted.every == 0 or state.global_step == state.max_steps:
            self._measure(state.global_step, int(state.num_input_tokens_seen))

    def _measure(self, step: int, tokens: int) -> None:
        training = self._model.training
        self._model.eval()
        found = measure(self._model, self._tokenizer, self._rows, word=self._wanted.word)
        self._model.train(training)
        start = self.curve[0].p_wrong if self.curve else found.p_wrong
        of_start = found.p_wrong / start if start else None
        point = Point(
            step=step, tokens=tokens, p_wrong=found.p_wrong, p_right=found.p_right, auc=found.auc, of_start=of_start
        )
        self.curve.append(point)


def half_life(curve: Sequence[Point]) -> HalfLife | None:
    """Where the curve first is at half of its start, on a straight line between its points; None: nowhere."""
    half = curve[0].p_wrong / 2
    for before, after in pairwise(curve):
        if after.p_wrong <= half < before.p_wrong:
            way = (before.p_wrong - half) / (before.p_wrong - after.p_wrong)
            steps, tokens = (
                getattr(before, name) + way * (getattr(after, name) - getattr(before, name))
                for name in ("step", "tokens")
            )
            return HalfLife(steps=steps, tokens=tokens)
    return None


def _usable(wanted: Wanted) -> None:
    if wanted.out.is_dir():
        raise ConfigError(f"--out {str(wanted.out)!r} is a folder: name a file")
    open_to_writing(wanted.out.parent)
    if wanted.keep and not 0 < wanted.keep_share < 1:
        raise ConfigError(f"--keep-share {wanted.keep_share!r} is no share: give one between 0 and 1")
