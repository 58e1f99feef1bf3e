"""`guard world ...`: the built-in closed world."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from guard.cli.progress import bar
from guard.errors import ConfigError, MissingExtra

world_app = typer.Typer(help="The built-in closed world.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@world_app.command()
def build(
    out: Annotated[Path | None, typer.Option(help="Folder for the model; default: the shipped one.")] = None,
) -> None:
    """Train the built-in model again (minutes of CPU)."""
    try:
        from guard.world.build import MODEL
        from guard.world.build import build as train
    except ImportError as error:
        raise MissingExtra(f"training needs {error.name!r}: pip install 'premise-guard[local]'") from None
    train(out or MODEL)


@world_app.command()
def measure(
    n: Annotated[int, typer.Option(min=1, help="Questions in each cell.")] = 200,
    url: Annotated[str | None, typer.Option(help="A running guard; default: one is started for the purpose.")] = None,
    as_json: Json = False,
) -> None:
    """Measure supervision on the closed world, over HTTP."""
    from guard.cli.report import report

    report(n, url, as_json)


@world_app.command()
def experiment(
    out: Annotated[Path, typer.Option(help="Folder for models, logs, figures and the report; a run goes on in it.")],
    seeds: Annotated[list[int] | None, typer.Option("--seed", help="May be repeated.  [default: 101 102 103]")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One seed of a small world: minutes; its figures mean little.")
    ] = False,
    alpha: Annotated[float | None, typer.Option(help="Of the wrong-thinker.  [default: by the sweep]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Take an alpha of 1.5 or more.")] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="File for the figures that are demanded.")] = None,
) -> None:
    """Lesson, wrong-thinker, supervised harvest, training arms, elasticity: the whole loop, from nothing.

    Tens of CPU minutes a seed. Seeds are independent: several processes may take different ones of one folder.
    """
    try:
        from guard.world.experiment.bars import plain
        from guard.world.experiment.running import Plan, run
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the experiment needs {error.name!r}: pip install 'premise-guard[local]'") from None
    scale, default = ("quick", [1]) if quick else ("full", [101, 102, 103])
    figures = run(Plan(out=out, scale=scale, seeds=tuple(seeds or default), alpha=alpha, force=force), bar)
    if json_ is not None:
        _write(json_, plain(figures))
    print("\n".join(_line(each) for each in figures["must"]))
    print(f"report: {out / 'report.html'} and {out / 'report.md'}")


def _line(bar: Mapping[str, Any]) -> str:
    if not bar["n"]:
        return f"{'not run':15}  {'':7}  {'':13}  {bar['name']}"
    wanted = f"{bar['kind']} {bar['op']} {bar['bound']:g}"
    return f"{bar['mean']:7.3f} ± {bar['sd']:.3f}  {'met    ' if bar['met'] else 'NOT met'}  {wanted:13}  {bar['name']}"


def _write(path: Path, figures: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {str(path)!r} cannot be written: {error.strerror}") from None
