"""`guard train ...`: what is trained from labelled text, on a model of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.progress import bar
from guard.cli.train_files import demand_objects
from guard.cli.train_lessons import caution, lesson, probe_no, wrong_thinker
from guard.cli.train_mix import mix
from guard.cli.train_tuning import corrections, distill, elasticity, preference
from guard.errors import MissingExtra

if TYPE_CHECKING:
    from guard.train.probe import Report

train_app = typer.Typer(help="Train on labelled text, and on the log.", no_args_is_help=True)
for command in (corrections, preference, distill, elasticity, lesson, wrong_thinker, caution, probe_no, mix):
    train_app.command()(command)


@train_app.command()
def probe(
    model: Annotated[str, typer.Option(help="The policy model: a directory or a hub name.")],
    spans: Annotated[list[Path], typer.Option(help="Labelled answers, JSON lines; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Safetensors file to write.")],
    layer: Annotated[
        int | None, typer.Option(help="Hidden layer, 0 the embedding; without it, that at 3/4 depth.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=100, help="Parts to cross-validate in, by source.")] = 5,
    dtype: Annotated[str, typer.Option(help="Precision to load the model in: auto or a torch name.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Train a probe: tells from a local model's hidden states where it is making something up."""
    demand_objects(spans)
    try:
        from guard.train.probe import Wanted
        from guard.train.probe import train as fit
    except ModuleNotFoundError as error:
        raise MissingExtra(f"training needs {error.name!r}: pip install 'premise-guard[local]' numpy") from None
    wanted = Wanted(model=model, spans=spans, out=out, layer=layer, folds=folds, dtype=dtype, device=device)
    print(said(fit(wanted, bar)))
    print(f"written: {out}")


def said(report: Report) -> str:
    """The report in a few lines."""
    found = report.figures
    skipped = f", {report.skipped} empty or too long left out" if report.skipped else ""
    return "\n".join(
        (
            f"{report.answers} answers of {report.sources} sources{skipped}; "
            f"{report.made_up} of {report.tokens} tokens made up; layer {report.layer}",
            "AUROC on sources not trained on:",
            f"  tokens      {found.tokens:.3f}   by place in the answer alone {found.token_place:.3f}",
            f"  statements  {found.statements:.3f}   by place alone {found.place:.3f}, by length {found.length:.3f}",
            f"              {found.in_place:.3f}   against statements of the same place",
        )
    )
