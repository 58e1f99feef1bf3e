"""Fine-tunes a policy model on its own corrections: the bad prefix is context, the correction is learnt.

    guard export prompt_completion --tokenizer MODEL --out rows.jsonl
    guard train corrections --model MODEL --rows rows.jsonl --replay ordinary.jsonl --out FOLDER

Supervised fine-tuning with TRL's SFTTrainer on rows whose labels are -100 on everything up to the end of the flagged
claim, so that no gradient comes from it. What the share of corrections is good for was measured on the closed world
(three seeds): half corrections, half ordinary data and some 500 steps teach it; a *later* fine-tuning without any
correction rows undoes it in 10 to 20 steps, 5 % of them hold it and 20 % hold it better (KEEP_ALIVE).

Masking is not unlearning: a claim that is never a target can still become more probable, because what is learnt about
the words around it spills over. So its log-probability is measured before and after, beside that of the corrections.
The claim is read off the row: it is the last segment, as guard's segmenter cuts it, of the unfinished turn before the
first target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from guard.core.segmenter import Segmenter
from guard.errors import ConfigError
from guard.train.saving import save, writable, write_report
from guard.train.shares import Kind, Reached, drawn
from guard.train.token_rows import IGNORED, Read, TokenRow, read_rows
from guard.train.token_scores import log_probs
from guard.train.tuning import Bar, Tuning, adapted, limit, load, run, settings

MEASURED = 512
"""Rows of each kind that the log-probabilities before and after are measured on, drawn by the seed."""

LEAST = 0.05
KEEP_ALIVE = (
    "corrections are {share:.1%} of the rows: on the closed world, 60 steps of other training with 5 % corrections "
    'left P("No" | wrong premise) at 0.50 of 0.83, with 20 % at 0.70, with none at 0.01'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to train on. `rows`: corrections; `clean`: reviewed good transcripts; `replay`: ordinary data, which gets
    what the other two shares leave. Shares are of rows."""

    tuning: Tuning
    rows: Sequence[Path]
    clean: Sequence[Path] = ()
    replay: Sequence[Path] = ()
    corrections_share: float = 0.5
    clean_share: float = 0.0
    out: Path
    merge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Mean natural log-probabilities a token over `rows` correction rows, of what is learnt and of the masked claim."""

    rows: int
    targets: float
    claims: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was trained on and what it did. `too_long`: rows left out, by kind, because the end would be cut off."""

    model: str
    method: str
    steps: int
    learning_rate: float
    seed: int
    read: Mapping[str, int]
    too_long: Mapping[str, int]
    shares: Mapping[str, Reached]
    losses: Sequence[Mapping[str, float]]
    before: Scores
    after: Scores
    warnings: Sequence[str]


def train(wanted: Wanted, bar: Bar) -> Report:
    """Train, write model and `report.json` into the folder, and say what it did.

    Raises:
        ConfigError: files, shares or model cannot be used.
    """
    tuning = wanted.tuning
    shares = asked(wanted)
    writable(wanted.out, tuning, merge=wanted.merge)
    model, tokenizer = load(tuning)
    read = _read(wanted, tokenizer, limit(tuning, model))
    # An epoch draws each correction once.
    steps = tuning.steps_over(len(read["corrections"].rows) / wanted.corrections_share)
    kinds = {name: Kind(rows=one.rows, share=shares[name]) for name, one in read.items()}
    mixture = drawn(kinds, steps * tuning.rows_a_step, tuning.seed)
    probed = sample(read["corrections"].rows, tuning.seed)
    before = scores(model, tokenizer, probed)
    model = adapted(model, tuning)
    losses = fine_tune(model, tokenizer, mixture.rows, tuning, steps, bar)
    report = Report(
        model=tuning.model,
        method=tuning.method,
        steps=steps,
        learning_rate=tuning.rate,
        seed=tuning.seed,
        read={name: len(one.rows) for name, one in read.items()},
        too_long={name: one.too_long for name, one in read.items()},
        shares=mixture.reached,
        losses=losses,
        before=before,
        after=scores(model, tokenizer, probed),
        warnings=[KEEP_ALIVE.format(share=wanted.corrections_share)] if wanted.corrections_share < LEAST else [],
    )
    save(model, tokenizer, wanted.out, merge=wanted.merge)
    write_report(report, wanted.out / "report.json")
    return report


def asked(wanted: Wanted) -> dict[str, float]:
    """The share of each kind. Raises ConfigError where they cannot be had."""
    corrections, clean = wanted.corrections_share, wanted.clean_share
    rest = round(1 - corrections - clean, 9)
    if not (0 < corrections <= 1 and 0 <= clean < 1 and rest >= 0):
        raise ConfigError(f"--corrections-share {corrections!r} and --clean-share {clean!r} are no shares of one whole")
    for option, share, files in (("--clean", clean, wanted.clean), ("--replay", rest, wanted.replay)):
        if share and not files:
            raise ConfigError(f"a share of {share:g} is left to {option}: name its files, or change the shares")
        if files and not share:
            raise ConfigError(f"{option} {str(files[0])!r} would never be drawn: the other shares leave it nothing")
    return {"corrections": corrections, "clean": clean, "replay": rest}


def fine_tune(
    model: Any, tokenizer: Any, rows: Sequence[TokenRow], tuning: Tuning, steps: int, bar: Bar
) -> list[dict[str, float]]:
    """Train on the rows, one pass, in place; the losses as they were logged."""
    with settings(tuning, steps) as how:
        return run(trainer_of(model, tokenizer, rows, how), bar, steps)


def trainer_of(model: Any, tokenizer: Any, rows: Sequence[TokenRow], how: Mapping[str, Any], **more: Any) -> SFTTrainer:
    """TRL's trainer over rows that are ready: it takes `labels` as they are, and is told to cut nothing."""
    data = Dataset.from_list([{"input_ids": row.ids, "labels": row.labels} for row in rows])
    config = SFTConfig(max_length=None, **how)
    return SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer, **more)


def sample(rows: Sequence[TokenRow], seed: int) -> Sequence[TokenRow]:
    """At most MEASURED of the rows."""
    return rows if len(rows) <= MEASURED else Random(seed).sample(rows, MEASURED)


def scores(model: Any, tokenizer: Any, rows: Sequence[TokenRow]) -> Scores:
    """How probable corrections and claims are to the model."""
    found = log_probs(model, [row.ids for row in rows])
    targets = [each[torch.tensor(row.labels) != IGNORED] for row, each in zip(rows, found, strict=True)]
    claims = [each[claim_start(row, tokenizer) : row.border] for row, each in zip(rows, found, strict=True)]
    return Scores(rows=len(rows), targets=float(torch.cat(targets).mean()), claims=float(torch.cat(claims).mean()))


def claim_start(row: TokenRow, tokenizer: Any) -> int:
    """The token that the masked claim begins at; it ends at the row's border."""
    added = set(tokenizer.get_added_vocab().values())
    opened = next((at for at in range(row.border, 0, -1) if row.ids[at - 1] in added), 0)
    turn = tokenizer.decode(row.ids[opened : row.border], clean_up_tokenization_spaces=False)
    segmenter = Segmenter()
    starts = [0, *segmenter.feed(turn)]
    claim = len(turn) - max(start for start in starts if start < len(turn)) if turn else 0
    at = row.border - 1
    while at > opened and len(tokenizer.decode(row.ids[at : row.border], clean_up_tokenization_spaces=False)) < claim:
        at -= 1
    return at


def _read(wanted: Wanted, tokenizer: Any, most: int | None) -> dict[str, Read]:
    none = Read(rows=(), too_long=0)
    return {
        "corrections": read_rows(wanted.rows, tokenizer, most, tokens_only=True),
        "clean": read_rows(wanted.clean, tokenizer, most) if wanted.clean else none,
        "replay": read_rows(wanted.replay, tokenizer, most) if wanted.replay else none,
    }
