"""The command line: one verb, one call. Heavy parts are imported by the verb that needs them.

An error of the user's is one line on standard error and exit code 2; nothing here prints a traceback for it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from guard import __version__
from guard.cli.interruptions import Json, interruptions_app
from guard.cli.log import archive, export, forget, replay
from guard.cli.train import train_app
from guard.cli.transcripts import transcripts
from guard.cli.world import world_app
from guard.errors import ConfigError, GuardError, MissingExtra

app = typer.Typer(
    help="An OpenAI-compatible endpoint that corrects a model while it is still speaking.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(interruptions_app, name="interruptions")
app.add_typer(world_app, name="world")
app.add_typer(train_app, name="train")

Facts = Annotated[list[Path] | None, typer.Option("--facts", help="Facts file, JSONL or SQLite; may be repeated.")]
Supervisor = Annotated[str | None, typer.Option(help="Base URL of the server of the model that judges.")]
SupervisorModel = Annotated[str | None, typer.Option(help="That model's name there.")]


def main() -> None:
    """Entry point."""
    try:
        app()
    except GuardError as error:
        print(f"guard: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version where it is asked for."""
    if show:
        print(__version__)
        raise typer.Exit


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="A guard.yaml.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port.  [default: 8900]")] = None,
    policy: Annotated[str | None, typer.Option(help="Default policy: a shipped name or a file.")] = None,
    upstream: Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server.")] = None,
    model: Annotated[str | None, typer.Option(help="The upstream's model name.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Its tokenizer: a directory or a hub name.")] = None,
    reasoning: Annotated[str | None, typer.Option(help="auto, field, inline or inline_open.")] = None,
    supervisor: Supervisor = None,
    supervisor_model: SupervisorModel = None,
    facts: Facts = None,
    store: Annotated[str | None, typer.Option(help="URL of the log.  [default: sqlite:///guard.db]")] = None,
    log_format: Annotated[
        str | None, typer.Option(help="json or text.  [default: text on a terminal, else json]")
    ] = None,
) -> None:
    """Serve. With no arguments: the built-in model, its world's facts, SQLite."""
    from guard.cli.serving import Overrides, run, settings_for

    overrides = Overrides(
        host=host,
        port=port,
        policy=policy,
        upstream=upstream,
        model=model,
        tokenizer=tokenizer,
        reasoning=reasoning,
        supervisor=supervisor,
        supervisor_model=supervisor_model,
        facts=tuple(facts or ()),
        store=store,
    )
    run(settings_for(config, overrides), log_format)


@app.command()
def demo(
    question: Annotated[str | None, typer.Option(help="What to ask the built-in model.")] = None,
    policy: Annotated[str, typer.Option(help="Supervision policy.")] = "default",
) -> None:
    """Show one supervised answer in the terminal, the interruption visible as it happens."""
    from guard.cli.demo import show

    show(question, policy)


@app.command()
def check(files: Annotated[list[str], typer.Argument(help="Policies (names or files) and guard.yaml files.")]) -> None:
    """Validate policies and configuration, and run the policies' own cases."""
    from guard.evaluation.cases import check_file

    failures = [problem for file in files for problem in check_file(file, print)]
    for problem in failures:
        print(f"guard: {problem}", file=sys.stderr)
    if failures:
        raise typer.Exit(1)


@app.command()
def probe(
    url: Annotated[str, typer.Argument(metavar="URL", help="Base URL of an OpenAI-compatible server, up to /v1.")],
    model: Annotated[str | None, typer.Option(help="Its model.  [default: the first it lists]")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="Environment variable with its key.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Its tokenizer: a directory or a hub name.")] = None,
    as_json: Json = False,
) -> None:
    """Find out how an upstream continues a partial turn: a few dozen small requests."""
    from guard.cli.probe import probe as examine

    examine(url, model, api_key_env, tokenizer, as_json)


@app.command("eval")
def evaluate(
    shape: Annotated[str | None, typer.Argument(metavar="SHAPE", help="grounded, steps or pairs.")] = None,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="Labelled rows, JSON lines.")] = None,
    policy: Annotated[str | None, typer.Option(help="A shipped policy's name or a file.  [default: default]")] = None,
    facts: Facts = None,
    config: Annotated[Path | None, typer.Option(help="A guard.yaml: its supervisor, facts, default policy.")] = None,
    supervisor: Supervisor = None,
    supervisor_model: SupervisorModel = None,
    upstream: Annotated[
        str | None, typer.Option(help="Base URL of the policy model's server, to ask it again.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The policy model's name there, or in the configuration.")] = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Rows that play at a time where a model is asked.  [default: 4]")
    ] = None,
    as_json: Json = False,
    predictions: Annotated[Path | None, typer.Option(help="JSONL file to write, a line for each row.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for precision-recall and reliability, SVG.")] = None,
    controls: Annotated[bool, typer.Option("--controls", help="Measure what must stay at chance beside it.")] = False,
    base_rate: Annotated[
        float | None, typer.Option(min=0.001, max=0.999, help="Share of wrong rows to reweight to.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Rows of each file, drawn.  [default: all]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    calibrate: Annotated[Path | None, typer.Option(help="JSON file to write: scores to probabilities.")] = None,
    fuse: Annotated[
        bool, typer.Option("--fuse", help="--calibrate writes weights of all the policy's checks.")
    ] = False,
    budget: Annotated[
        float, typer.Option(min=0, help="False interruptions in 1,000 clean tokens that --calibrate may spend.")
    ] = 0.5,
    from_store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="--calibrate from the reviews in this log, without SHAPE and FILE."),
    ] = None,
    check: Annotated[str | None, typer.Option(help="--from-store: the check.  [default: the one with reviews]")] = None,
) -> None:
    """Measure checks on labelled reasoning, through the path that live traffic takes."""
    if from_store is not None:
        if calibrate is None or files or fuse:
            raise ConfigError("--from-store goes with --calibrate FILE, and without SHAPE, FILE and --fuse")
        from guard.cli.eval_reviews import recalibrate_from

        return recalibrate_from(from_store, calibrate, check, budget, seed)
    if shape is None or not files:
        raise ConfigError("name a SHAPE (grounded, steps, pairs) and files of labelled rows, or --from-store URL")
    try:
        from guard.cli.eval import Wanted, measure
        from guard.cli.eval_models import Asked
    except ModuleNotFoundError as error:
        raise MissingExtra(f"measuring needs {error.name!r}: pip install 'premise-guard[local]'") from None
    options = {"controls": controls, "base_rate": base_rate, "limit": limit, "seed": seed}
    wanted = Wanted(
        as_json=as_json, predictions=predictions, plots=plots, calibration=calibrate, fuse=fuse, budget=budget
    )
    asked = Asked(
        config=config,
        upstream=upstream,
        model=model,
        supervisor=supervisor,
        supervisor_model=supervisor_model,
        at_once=at_once,
    )
    try:
        measure(shape, files, policy, facts or (), options, wanted, asked)
    except KeyboardInterrupt:
        print("guard: stopped", file=sys.stderr)
        raise typer.Exit(130) from None


for verb in (export, replay, archive, forget, transcripts):
    app.command()(verb)
