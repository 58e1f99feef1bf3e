"""`guard train probe-no`: how surely a model says "No" behind a wrong premise, and whether a fine-tune undid it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.train_caution import Json, Log, counted
from guard.cli.train_files import PREMISES
from guard.cli.train_reports import figure
from guard.cli.train_tuning import Device, with_extra
from guard.errors import ConfigError

if TYPE_CHECKING:
    from guard.train.probe_no_rows import Row


def probe_no(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A folder (model or adapter) or a hub name.")
    ] = None,
    rows: Annotated[Path | None, typer.Option(help=PREMISES)] = None,
    store: Log = None,
    save_rows: Annotated[
        Path | None,
        typer.Option(help="JSONL file for the rows that --store's reviewed log gives; MODEL may then be left out."),
    ] = None,
    system: Annotated[Path | None, typer.Option(help="Text file: measure under this system prompt as well.")] = None,
    word: Annotated[str, typer.Option(help="The word that takes a statement back.")] = "No",
    baseline: Annotated[Path | None, typer.Option(help="An earlier --json report; exit 1 if it is worse now.")] = None,
    max_drop: Annotated[float, typer.Option(min=0, max=1, help="How much may be lost since.")] = 0.05,
    batch: Annotated[int, typer.Option(min=1, help="Texts read at a time.")] = 32,
    dtype: Annotated[str, typer.Option(help="Precision to load the model in: auto or a torch name.")] = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure P("No") behind right and wrong premises: what a later fine-tune may undo."""
    from guard.cli.reading import print_json

    if (rows is None) == (store is None):
        raise ConfigError("say where the premises are: --rows FILE, or --store URL of the log")
    if save_rows is not None and store is None:
        raise ConfigError(f"--save-rows {str(save_rows)!r} needs --store URL: it writes what the log gives")
    if model is None and (save_rows is None or system or baseline):
        raise ConfigError("name the MODEL to measure; to write rows alone, say --store URL --save-rows FILE")
    skipped: Counter[str] = Counter()
    found = _premises(rows, store, save_rows, skipped)
    if model is None:
        _passed_over(skipped)
        return
    told = _text(system, "--system") if system is not None else ""
    before = _report(baseline) if baseline is not None else None
    with with_extra():
        from guard.train.loading import load
        from guard.train.probe_no import examine, fallen
        from guard.train.probe_no_rows import probes
    loaded, tokenizer = load(model, dtype=dtype, device=device)
    plain = probes(found, tokenizer)
    under = probes(found, tokenizer, told) if system is not None else None
    report = {"model": model, **examine(loaded, tokenizer, plain, under, word=word, batch=batch)}
    print_json(report) if as_json else print("\n".join(_shown(report)))
    _passed_over(skipped)
    lost = fallen(report, before, max_drop) if before is not None else []
    for line in lost:
        print(f"guard: {line}", file=sys.stderr)
    if lost:
        raise typer.Exit(1)


def _premises(rows: Path | None, store: str | None, save: Path | None, skipped: Counter[str]) -> list[Row]:
    """The rows of the file or of the log, written to `save` where one is named."""
    from guard.train.probe_no_rows import logged, read_rows, save_rows

    found = read_rows(rows) if rows is not None else _from_log(str(store), lambda records: logged(records, skipped))
    if not found:
        raise ConfigError(f"there are no premises in {str(rows or store)!r} ({counted(skipped)} passed over)")
    if save is not None:
        save_rows(found, save)
        print(f"guard: {len(found)} rows written: {save}", file=sys.stderr)
    return found


def _passed_over(skipped: Counter[str]) -> None:
    if skipped:
        print(f"guard: passed over: {counted(skipped)}", file=sys.stderr)


def _from_log(url: str, read: Callable[[Iterable[Any]], Iterable[Any]]) -> list[Any]:
    from guard.cli.reading import existing

    store = existing(url)

    async def run() -> list[Any]:
        await store.open()
        try:
            return list(read(store.iter_interruptions()))
        finally:
            await store.close()

    return asyncio.run(run())


def _text(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{option} {str(path)!r} cannot be read: {error}") from None


def _report(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(_text(path, "--baseline"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--baseline {str(path)!r} is not JSON: {error}") from None
    if not isinstance(told, dict) or not {"rows_hash", "word", "plain"} <= told.keys():
        raise ConfigError(f"--baseline {str(path)!r} is no report that probe-no --json wrote")
    return told


def _shown(report: Mapping[str, Any]) -> Sequence[str]:
    """The report in a few lines."""
    plain, word = report["plain"], report["word"]
    lines = [
        f"{plain['n_wrong']} wrong and {plain['n_right']} right premises about {report['subjects']} subjects",
        f"{'':14}{f'P({word}) wrong':>30}{f'P({word}) right':>30}{'AUC':>30}",
    ]
    for side in ("plain", "system", "difference"):
        if side in report:
            cells = "".join(f"{_figure(report[side][name]):>30}" for name in ("p_wrong", "p_right", "auc"))
            lines.append(f"{side:14}{cells}")
    return lines


def _figure(told: Mapping[str, Any]) -> str:
    if told["value"] is None:
        return "-"
    between = ", ".join(map(figure, told["interval"] or ()))
    return figure(told["value"]) + (f" [{between}]" if between else "")
