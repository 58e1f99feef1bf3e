"""`guard train lesson | wrong-thinker | caution | probe-no`: models that think wrong, and ones that should say so."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.progress import bar
from guard.cli.train_caution import Json, caution
from guard.cli.train_files import demand_objects
from guard.cli.train_probe_no import probe_no
from guard.cli.train_tuning import (
    Batch,
    Device,
    Dtype,
    Epochs,
    Full,
    Lora,
    MaxLength,
    Rate,
    Seed,
    Steps,
    tuning_of,
    with_extra,
)
from guard.errors import ConfigError

if TYPE_CHECKING:
    from guard.train.wrong_thinker_answers import Rates, Sampling

ALPHA = 0.5

__all__ = ["caution", "lesson", "probe_no", "wrong_thinker"]


def lesson(
    base: Annotated[str, typer.Option(help="The model to teach: a folder or a hub name, in safetensors.")],
    rows: Annotated[list[Path], typer.Option(help="The lesson: chats, prompt and completion, or text; JSON lines.")],
    out: Annotated[Path, typer.Option(help="Folder to write: model or adapter, tokenizer, report.json.")],
    lora: Lora = None,
    full: Full = False,
    steps: Steps = None,
    epochs: Epochs = 3.0,
    learning_rate: Rate = None,
    batch: Batch = 8,
    max_length: MaxLength = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    device: Device = "auto",
) -> None:
    """Fine-tune a base on a lesson, to make a wrong-thinker of the difference (TRL's SFTTrainer)."""
    demand_objects(rows)
    with with_extra():
        from guard.train.lesson import Wanted, teach
    tuning = tuning_of(base, lora, full, steps, epochs, learning_rate, batch, 1, max_length, seed, dtype, device)
    report = teach(Wanted(tuning=tuning, rows=rows, out=out), bar)
    left = f", {report.too_long} too long left out" if report.too_long else ""
    print(f"{report.rows} rows{left}, {report.targets} of {report.tokens} tokens learnt; {report.steps} steps")
    print(f"loss on the lesson: {report.loss_before:.3f} -> {report.loss_after:.3f}")
    print(f"written: {out}")


def wrong_thinker(
    base: Annotated[str, typer.Option(help="Folder of the base.")],
    lesson: Annotated[str, typer.Option(help="Folder that `guard train lesson` wrote: a model or an adapter.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help=f"How far to go the other way; 0.25 to 1 is of use; without it, {ALPHA}.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Allow an alpha of 1.5 and more.")] = False,
    prompts: Annotated[
        Path | None, typer.Option(help="Prompts, JSON lines: sample base, lesson and wrong-thinker.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each prompt.")] = 4,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer.")] = 256,
    pattern: Annotated[str | None, typer.Option(help="Regular expression that a whole answer contains.")] = None,
    sweep: Annotated[str | None, typer.Option(help="Alphas, such as 0.25,0.5,1: measure these, write nothing.")] = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Make a model that thinks the opposite of a lesson: base - alpha * (lesson - base)."""
    from guard.cli.reading import print_json

    if (out is None) == (sweep is None):
        raise ConfigError("say --out DIR to write a wrong-thinker, or --sweep ALPHAS to measure some and write none")
    if sweep is not None and prompts is None:
        raise ConfigError("--sweep needs --prompts FILE: what the models are to be asked")
    if sweep is not None and alpha is not None:
        raise ConfigError(f"--alpha {alpha!r} and --sweep {sweep!r}: a sweep names its own alphas, leave --alpha out")
    demand_objects(None if prompts is None else [prompts])
    with with_extra():
        from guard.train.wrong_thinker import checked, write
        from guard.train.wrong_thinker_answers import Sampling, compared, read_prompts, sweep_over
    alpha = ALPHA if alpha is None else alpha
    alphas = [checked(number, force=force) for number in (_numbers(sweep) if sweep is not None else [alpha])]
    how: Sampling | None = None
    if prompts is not None:
        how = Sampling(
            prompts=read_prompts(prompts),
            samples=samples,
            max_tokens=max_tokens,
            pattern=_pattern(pattern),
            seed=seed,
            device=device,
        )
    if how is not None and out is None:
        _table(sweep_over(base, lesson, alphas, how, bar), as_json)
        return
    assert out is not None
    written = write(base, lesson, out, alpha, bar)
    apart = "" if written.distance is None else f"; the lesson is {written.distance:.3g} of the base's norm away"
    print(f"{written.tensors} tensors written to {out}, alpha {alpha:g}{apart}", file=sys.stderr if as_json else None)
    if written.distance == 0:
        print("guard: base and lesson are the same, so this is the base too", file=sys.stderr)
    if how is None:
        print_json(written) if as_json else print(f"see what it says with --prompts FILE --sweep {alpha:g}")
    if how is not None:
        _table(compared(base, lesson, out, alpha, how, bar), as_json)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--sweep {text!r}: name alphas such as 0.25,0.5,1") from None


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text, re.DOTALL)
    except re.error as error:
        raise ConfigError(f"--pattern {text!r} is no regular expression: {error}") from None


def _table(found: Mapping[float, Rates], as_json: bool) -> None:
    from guard.cli.reading import print_json
    from guard.train.wrong_thinker_answers import FALL, fell

    if as_json:
        print_json({f"{alpha:g}": rates for alpha, rates in found.items()})
    else:
        print("alpha      parsed  ended  balanced  matched  right")
        for alpha, rates in found.items():
            right = "    -" if rates.right is None else f"{rates.right:5.2f}"
            name = {0.0: " base", -1.0: " lesson"}.get(alpha, "")
            cells = f"{rates.parsed:6.2f} {rates.ended:6.2f} {rates.balanced:9.2f} {rates.matched:8.2f}"
            print(f"{f'{alpha:g}{name}':10} {cells}  {right}")
    for alpha, rates in found.items():
        if alpha > 0 and fell(found[0.0], rates):
            shares = f"{rates.parsed:.0%} of the answers are whole, of the base's {found[0.0].parsed:.0%}"
            advice = f"a fall of more than {FALL:.0%}, take a smaller one"
            print(f"guard: at alpha {alpha:g} {shares}: {advice}", file=sys.stderr)
