"""`guard eval`: measures the checks of a policy on labelled reasoning and shows what came out.

Tables for people on standard output, progress on standard error where somebody watches; with `--json` one document.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from guard.cli.eval_files import write_calibration, write_fusion, write_plots, write_predictions
from guard.cli.eval_models import Asked, policy_and_models
from guard.cli.reading import printable
from guard.errors import ConfigError
from guard.evaluation.evaluating import Options, Watch, evaluate
from guard.evaluation.rows import Row, read_files, shape_of

_REASONS = 5
"""Kinds of failure that are told."""

_WIDE = 160
"""Columns of a table that no terminal shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is written beside the tables; None: nothing. `budget` is the calibration's; `fuse`: of all checks together
    rather than of one."""

    as_json: bool = False
    predictions: Path | None = None
    plots: Path | None = None
    calibration: Path | None = None
    fuse: bool = False
    budget: float = 0.5


def measure(
    shape: str,
    files: Sequence[Path],
    policy: str | None,
    facts: Sequence[Path],
    options: Mapping[str, Any],
    wanted: Wanted,
    asked: Asked,
) -> None:
    """Evaluate, write and show. Raises ConfigError where something cannot be read, played or written."""
    how = Options(shape=shape_of(shape), **options)
    loaded, models = policy_and_models(policy, facts, asked)
    calibrated = [use.check for use in loaded.policy.checks if use.calibration is not None]
    if wanted.fuse and wanted.calibration is None:
        raise ConfigError("--fuse says what --calibrate is to write; name its file with --calibrate FILE")
    if wanted.calibration is not None and calibrated and not wanted.fuse:
        raise ConfigError(
            f"--calibrate measures a check's own scores: take the calibration of {calibrated[0]!r} out first"
        )
    labelled = read_files(how.shape, list(dict.fromkeys(files)))
    for path in (wanted.predictions, wanted.calibration):
        if path is not None and not path.parent.is_dir():  # said now, not after minutes of work
            raise ConfigError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")
    with _watching() as watch:
        evaluation = evaluate(loaded, labelled, how, watch, models=models)
    if wanted.predictions is not None:
        write_predictions(wanted.predictions, evaluation)
    if wanted.plots is not None:
        write_plots(wanted.plots, evaluation, how.base_rate)
    if wanted.calibration is not None and wanted.fuse:
        write_fusion(wanted.calibration, evaluation, labelled, how, wanted.budget, calibrated)
    elif wanted.calibration is not None:
        write_calibration(wanted.calibration, evaluation, labelled, how, wanted.budget)
    if wanted.as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(evaluation.document)).decode() + "\n")
    else:
        _show(evaluation.document)
    if models is not None:
        _complain(models.failed)


@contextmanager
def _watching() -> Iterator[Watch]:
    """Progress bars on standard error, unless it goes into a file."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:

        def watch(name: str, rows: Sequence[Row]) -> Iterable[Row]:
            return progress.track(rows, description=printable(name).replace("[", "\\["))

        yield watch


def _complain(failed: Counter[str]) -> None:
    """Why models that were asked did not answer, the commonest reasons first."""
    for why, times in failed.most_common(_REASONS):
        print(f"guard: {printable(why)} ({times} times)", file=sys.stderr)


# Tables


def _show(document: Mapping[str, Any]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    base = f"base rate {document['base_rate']:g}" if document["base_rate"] is not None else "base rate as in the data"
    console.print(Text(f"{document['shape']}, policy {document['policy']}, {base}, 95 % intervals over sources"))
    told: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for result in (*document["files"], *document["datasets"]):
        told.setdefault(_content(result), result)  # a file of one dataset is shown once
    for result in told.values():
        console.print()
        console.print(Text(_heading(result), style="bold"), soft_wrap=True)
        console.print(_figures(result))
        if result["checks"]:
            console.print(_checks(result["checks"]))
        for note in result["notes"]:
            console.print(Text(f"note: {note}"))


def _content(result: Mapping[str, Any]) -> tuple[Any, ...]:
    return (result["rows"], result["wrong"], *(figure["value"] for figure in result["figures"].values()))


def _heading(result: Mapping[str, Any]) -> str:
    counts = result["counts"]
    return (
        f"{printable(result['name'])}: {result['rows']} rows, {result['wrong']} wrong, {result['sources']} sources, "
        f"{counts['segments']} segments, {counts['interruptions']} interruptions "
        f"({counts['interruptions_right']} right, {counts['interruptions_false']} false)"
    )


def _figures(result: Mapping[str, Any]) -> Table:
    table = Table()
    table.add_column("figure", no_wrap=True)
    for name in ("", *result["controls"]):
        table.add_column(name, justify="right", no_wrap=True)
    for name, figure in result["figures"].items():
        beside = [control["figures"].get(name) for control in result["controls"].values()]
        if name == "best_f1_upper_bound" and result["best_threshold"] is not None:
            name = f"{name} at {result['best_threshold']:.3g}"
        table.add_row(name, *(_cell(each) for each in (figure, *beside)))
    return table


def _checks(checks: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table()
    heads = (
        "check",
        "flagged",
        "right",
        "precision",
        "interruptions",
        "their precision",
        "ms p50",
        "ms p99",
        "tokens",
        "not run",
    )
    for head in heads:
        table.add_column(head, justify="left" if head in ("check", "not run") else "right")
    for name, check in checks.items():
        figures = check["figures"]
        table.add_row(
            Text(printable(name)),
            str(check["flagged"]),
            str(check["flagged_right"]),
            _cell(figures["precision"]),
            str(check["interruptions"]),
            _cell(figures["interruption_precision"]),
            _number(figures["ms_p50"]["value"]),
            _number(figures["ms_p99"]["value"]),
            str(check["supervisor_tokens"]) if check["supervisor_tokens"] else "-",
            Text(printable(_not_run(check))),
        )
    return table


def _not_run(check: Mapping[str, Any]) -> str:
    told = [f"{kind} ({why}) {n}" for kind in ("not_applicable", "unscanned") for why, n in check[kind].items()]
    told += [f"past deadline {check['past_deadline']}"] if check["past_deadline"] else []
    return ", ".join(told)


def _cell(figure: Mapping[str, float | None] | None) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    if figure["low"] is None:
        return _number(figure["value"])
    return f"{_number(figure['value'])} [dim]\\[{_number(figure['low'])}, {_number(figure['high'])}][/dim]"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if abs(value) >= 0.01 or not value else f"{value:.2g}"
