"""Direct preference optimisation (DPO, Rafailov et al. 2023): the correction over what was interrupted.

    guard export preference --tokenizer MODEL --out pairs.jsonl
    guard train preference --model MODEL --rows pairs.jsonl --out FOLDER

TRL's DPOTrainer, given token ids: from text it would put an end token behind every chosen and rejected text, and an
unfinished one would teach the model to stop there. `prompt`, `chosen` and `rejected` are encoded here instead, nothing
is added, and a pair whose tokens merge across the border of prompt and answer is left out and counted.

Rewards are DPO's: beta times what training added to the log-probability of a text. A pair counts as right where the
chosen text's reward is larger, so before training none is; `preferred` is the share of pairs whose chosen text has the
larger log-probability itself. Training lowers that of chosen texts too, quite often: look at both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from guard.errors import ConfigError
from guard.train.saving import save, writable, write_report
from guard.train.token_rows import lines
from guard.train.token_scores import log_probs
from guard.train.tuning import Bar, Tuning, limit, load, lora, run, settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to train on; `beta`: how dear it is to leave the model that was begun with."""

    tuning: Tuning
    rows: Sequence[Path]
    out: Path
    beta: float = 0.1
    merge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Token ids of a prompt and its two answers."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewards:
    """Means over the pairs; `chosen` and `rejected` are rewards, `accuracy` and `preferred` shares, log-probabilities
    natural and of whole texts."""

    accuracy: float
    chosen: float
    rejected: float
    preferred: float
    log_prob_chosen: float
    log_prob_rejected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was trained on and what it did; `left_out` says why, and how often."""

    model: str
    method: str
    beta: float
    pairs: int
    left_out: Mapping[str, int]
    steps: int
    learning_rate: float
    seed: int
    losses: Sequence[Mapping[str, float]]
    before: Rewards
    after: Rewards


def train(wanted: Wanted, bar: Bar) -> Report:
    """Train, write model and `report.json` into the folder, and say what it did.

    Raises:
        ConfigError: rows or model cannot be used.
    """
    tuning = wanted.tuning
    writable(wanted.out, tuning, merge=wanted.merge)
    model, tokenizer = load(tuning)
    left_out: Counter[str] = Counter()
    pairs = read_pairs(wanted.rows, tokenizer, limit(tuning, model), left_out)
    steps = tuning.steps_over(len(pairs))
    start = totals(model, pairs)
    # Without its adapter an adapted model is the one that was begun with.
    reference = None if tuning.rank else deepcopy(model)
    with settings(tuning, steps) as how:
        config = DPOConfig(max_length=None, beta=wanted.beta, **how)
        trainer = ready_trainer(model, reference, tokenizer, pairs, config, tuning)
        losses = run(trainer, bar, steps)
    report = Report(
        model=tuning.model,
        method=tuning.method,
        beta=wanted.beta,
        pairs=len(pairs),
        left_out=dict(left_out),
        steps=steps,
        learning_rate=tuning.rate,
        seed=tuning.seed,
        losses=losses,
        before=rewards(start, start, wanted.beta),
        after=rewards(start, totals(trainer.model, pairs), wanted.beta),
    )
    save(trainer.model, tokenizer, wanted.out, merge=wanted.merge)
    write_report(report, wanted.out / "report.json")
    return report


class _Ready(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer over pairs that are token ids already."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def ready_trainer(
    model: Any, reference: Any, tokenizer: Any, pairs: Sequence[Pair], config: DPOConfig, tuning: Tuning
) -> DPOTrainer:
    """TRL's trainer over the pairs as they are; it puts the adapter on the model itself."""
    data = Dataset.from_list([_ids(pair) for pair in pairs])
    more = {"train_dataset": data, "processing_class": tokenizer, "peft_config": lora(tuning)}
    return _Ready(model, reference, config, **more)


def read_pairs(files: Sequence[Path], tokenizer: Any, most: int | None, left_out: Counter[str]) -> list[Pair]:
    """The pairs of the files; what cannot be used is counted. Raises ConfigError: a bad row, or none is left."""
    found = [_pair(told, where, tokenizer) for where, told in lines(files)]
    pairs = []
    for pair in found:
        if pair is None:
            left_out["tokens merge across the border"] += 1
        elif most is not None and len(pair.prompt) + max(len(pair.chosen), len(pair.rejected)) > most:
            left_out[f"longer than {most} tokens"] += 1
        else:
            pairs.append(pair)
    if not pairs:
        why = ", ".join(f"{count} {why}" for why, count in left_out.items()) or "there are no rows"
        raise ConfigError(f"{', '.join(map(str, files))!r}: no pair to learn from ({why})")
    return pairs


def totals(model: Any, pairs: Sequence[Pair]) -> torch.Tensor:
    """[pairs, 2]: the log-probability of each chosen and each rejected text behind its prompt."""
    rows = [pair.prompt + answer for pair in pairs for answer in (pair.chosen, pair.rejected)]
    starts = [len(pair.prompt) for pair in pairs for _ in range(2)]
    found = log_probs(model, rows)
    return torch.stack([each[start:].sum() for each, start in zip(found, starts, strict=True)]).view(-1, 2)


def rewards(start: torch.Tensor, now: torch.Tensor, beta: float) -> Rewards:
    """Of the totals that were begun with and those that are."""
    chosen, rejected = (beta * (now - start)).unbind(1)
    return Rewards(
        accuracy=_mean(chosen > rejected),
        chosen=_mean(chosen),
        rejected=_mean(rejected),
        preferred=_mean(now[:, 0] > now[:, 1]),
        log_prob_chosen=_mean(now[:, 0]),
        log_prob_rejected=_mean(now[:, 1]),
    )


def _mean(values: torch.Tensor) -> float:
    return float(values.double().mean())


def _ids(pair: Pair) -> dict[str, Sequence[int]]:
    return {"prompt_ids": pair.prompt, "chosen_ids": pair.chosen, "rejected_ids": pair.rejected}


def _pair(told: Mapping[str, Any], where: str, tokenizer: Any) -> Pair | None:
    texts = [told.get(name) for name in ("prompt", "chosen", "rejected")]
    if not all(isinstance(text, str) and text for text in texts):
        raise ConfigError(f"{where}: `prompt`, `chosen` and `rejected` must be text: export the rows with --tokenizer")
    prompt, chosen, rejected = map(str, texts)
    if chosen == rejected:
        raise ConfigError(f"{where}: `chosen` and `rejected` are the same")
    before = _encoded(prompt, tokenizer)
    whole = list(_behind(before, (prompt + chosen, prompt + rejected), tokenizer))
    return Pair(prompt=before, chosen=whole[0], rejected=whole[1]) if all(whole) else None


def _behind(before: tuple[int, ...], texts: Sequence[str], tokenizer: Any) -> Iterator[tuple[int, ...]]:
    """The tokens of each text behind these; none where it does not begin with them."""
    for text in texts:
        ids = _encoded(text, tokenizer)
        yield ids[len(before) :] if ids[: len(before)] == before else ()


def _encoded(text: str, tokenizer: Any) -> tuple[int, ...]:
    """As TRL reads it, which is what the rows are written for, but never with two start tokens."""
    begun = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    return tuple(tokenizer(text, add_special_tokens=not begun)["input_ids"])
