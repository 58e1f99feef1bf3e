"""`guard train corrections | preference | distill | elasticity`: fine-tuning on what was exported, and its undoing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.progress import bar
from guard.cli.train_files import PREMISES, demand_objects
from guard.cli.train_reports import corrections_said, distill_said, elasticity_said, preference_said
from guard.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from guard.train.tuning import Tuning

Model = Annotated[str, typer.Option(help="The model to train: a folder or a hub name, in safetensors.")]
Rows = Annotated[list[Path], typer.Option(help="Exported rows, JSON lines; may be repeated.")]
Out = Annotated[Path, typer.Option(help="Folder to write: model or adapter, tokenizer, report.json.")]
Lora = Annotated[int | None, typer.Option(min=1, help="Rank of the LoRA adapter to train; without it, 16.")]
Full = Annotated[bool, typer.Option("--full", help="Train all weights instead of an adapter.")]
Merge = Annotated[bool, typer.Option("--merge", help="Write the model with the adapter merged into it.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimizer steps; without it, as --epochs says.")]
Epochs = Annotated[float, typer.Option(min=0.01, max=10_000, help="How often each row is gone through.")]
Rate = Annotated[
    float | None, typer.Option(min=1e-12, help="Learning rate; without it, 2e-4, and 2e-5 for all weights.")
]
Batch = Annotated[int, typer.Option(min=1, help="Rows of a batch.")]
Accumulate = Annotated[int, typer.Option(min=1, help="Batches of a step.")]
MaxLength = Annotated[
    int | None, typer.Option(min=2, help="Longer rows are left out, in tokens; without it, the model's context.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same rows in the same order.")]
Dtype = Annotated[str, typer.Option(help="Precision of the weights: auto, float32 or bfloat16.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]

REPLAY = (
    "Ordinary data, for the share that the other two leave (0.5 unless told); needed unless that is 0. Rows of "
    "`messages`, `prompt`/`completion`, `text` or exported token rows; may be repeated."
)
KEEP_SHARE = 0.05


def corrections(
    model: Model,
    rows: Rows,
    out: Out,
    clean: Annotated[
        list[Path] | None, typer.Option(help="Reviewed good transcripts, rows as for --replay; may be repeated.")
    ] = None,
    replay: Annotated[list[Path] | None, typer.Option(help=REPLAY)] = None,
    corrections_share: Annotated[float, typer.Option(help="Share of all rows that are corrections.")] = 0.5,
    clean_share: Annotated[float, typer.Option(help="Share that is clean; the rest is replay.")] = 0.0,
    lora: Lora = None,
    full: Full = False,
    merge: Merge = False,
    steps: Steps = None,
    epochs: Epochs = 1.0,
    learning_rate: Rate = None,
    batch: Batch = 8,
    accumulate: Accumulate = 1,
    max_length: MaxLength = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Fine-tune on corrections, the bad prefix masked (TRL's SFTTrainer)."""
    demand_objects(rows, clean, replay)
    with with_extra():
        from guard.train.corrections import Wanted, train
    how = tuning_of(model, lora, full, steps, epochs, learning_rate, batch, accumulate, max_length, seed, dtype, device)
    wanted = Wanted(
        tuning=how,
        rows=rows,
        clean=clean or (),
        replay=replay or (),
        corrections_share=corrections_share,
        clean_share=clean_share,
        out=out,
        merge=merge,
    )
    report = train(wanted, bar)
    for warning in report.warnings:
        print(f"guard: {warning}", file=sys.stderr)
    print(corrections_said(report))
    print(f"written: {out}")


def preference(
    model: Model,
    rows: Rows,
    out: Out,
    beta: Annotated[
        float, typer.Option(min=1e-6, max=1000, help="How dear it is to leave the model begun with.")
    ] = 0.1,
    lora: Lora = None,
    full: Full = False,
    merge: Merge = False,
    steps: Steps = None,
    epochs: Epochs = 1.0,
    learning_rate: Rate = None,
    batch: Batch = 8,
    accumulate: Accumulate = 1,
    max_length: MaxLength = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Prefer the correction to what was interrupted (DPO, TRL's DPOTrainer)."""
    demand_objects(rows)
    with with_extra():
        from guard.train.preference import Wanted, train
    how = tuning_of(model, lora, full, steps, epochs, learning_rate, batch, accumulate, max_length, seed, dtype, device)
    report = train(Wanted(tuning=how, rows=rows, out=out, beta=beta, merge=merge), bar)
    print(preference_said(report))
    print(f"written: {out}")


def distill(
    model: Model,
    rows: Rows,
    out: Out,
    temperature: Annotated[float, typer.Option(min=0.1, max=100, help="Softens both distributions.")] = 1.0,
    one_hot: Annotated[
        bool, typer.Option("--one-hot", help="The control: the same rows, only their tokens learnt.")
    ] = False,
    lora: Lora = None,
    full: Full = False,
    merge: Merge = False,
    steps: Steps = None,
    epochs: Epochs = 1.0,
    learning_rate: Rate = None,
    batch: Batch = 8,
    accumulate: Accumulate = 1,
    max_length: MaxLength = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Learn stored top-k distributions over each target token."""
    demand_objects(rows)
    with with_extra():
        from guard.train.distill import Wanted, train
    how = tuning_of(model, lora, full, steps, epochs, learning_rate, batch, accumulate, max_length, seed, dtype, device)
    wanted = Wanted(tuning=how, rows=rows, out=out, temperature=temperature, one_hot=one_hot, merge=merge)
    report = train(wanted, bar)
    print(distill_said(report))
    print(f"written: {out}")


def elasticity(
    model: Model,
    data: Annotated[list[Path], typer.Option(help="What to train on next, JSON lines; may be repeated.")],
    probes: Annotated[Path, typer.Option(help=PREMISES)],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    every: Annotated[int, typer.Option(min=1, help="Steps between measurements.")] = 5,
    word: Annotated[str, typer.Option(help="The word that begins a correction.")] = "No",
    keep: Annotated[list[Path] | None, typer.Option(help="Correction rows to mix back in; may be repeated.")] = None,
    keep_share: Annotated[
        float | None, typer.Option(help=f"Share of all rows that those are; without it, {KEEP_SHARE}.")
    ] = None,
    lora: Lora = None,
    full: Full = False,
    steps: Steps = None,
    epochs: Epochs = 1.0,
    learning_rate: Rate = None,
    batch: Batch = 8,
    accumulate: Accumulate = 1,
    max_length: MaxLength = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Train on something else and measure how fast self-correction decays."""
    if keep_share is not None and not keep:
        raise ConfigError(f"--keep-share {keep_share!r} needs --keep FILE: the correction rows to mix back in")
    demand_objects(data, [probes], keep)
    with with_extra():
        from guard.train.elasticity import Wanted, train
    how = tuning_of(model, lora, full, steps, epochs, learning_rate, batch, accumulate, max_length, seed, dtype, device)
    report = train(
        Wanted(
            tuning=how,
            data=data,
            probes=probes,
            out=out,
            every=every,
            word=word,
            keep=keep or (),
            keep_share=KEEP_SHARE if keep_share is None else keep_share,
        ),
        bar,
    )
    print(elasticity_said(report))
    print(f"written: {out}")


def tuning_of(
    model: str,
    lora: int | None,
    full: bool,
    steps: int | None,
    epochs: float,
    learning_rate: float | None,
    batch: int,
    accumulate: int,
    max_length: int | None,
    seed: int,
    dtype: str,
    device: str,
) -> Tuning:
    """The options that all tuning has in common. Raises ConfigError where two of them exclude each other."""
    from guard.train.tuning import Tuning

    if lora is not None and full:
        raise ConfigError(f"--lora {lora} and --full: an adapter or all weights, leave one of them out")
    return Tuning(
        model=model,
        rank=None if full else lora or 16,
        steps=steps,
        epochs=epochs,
        learning_rate=learning_rate,
        batch=batch,
        accumulate=accumulate,
        max_length=max_length,
        seed=seed,
        dtype=dtype,
        device=device,
    )


@contextmanager
def with_extra() -> Iterator[None]:
    """Says which extra to install where a library is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(f"training needs {error.name!r}: pip install 'premise-guard[train]'") from None
