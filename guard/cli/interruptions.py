"""`guard interruptions ...`: the log, listed, shown and reviewed."""

from __future__ import annotations

from typing import Annotated

import typer

interruptions_app = typer.Typer(help="The log of interruptions.", no_args_is_help=True)

StoreUrl = Annotated[str, typer.Option("--store", help="SQLAlchemy URL of the log.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@interruptions_app.command("list")
def list_(
    store: StoreUrl = "sqlite:///guard.db",
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    outcome: Annotated[str | None, typer.Option(help="corrected, relapsed, abandoned or open.")] = None,
    observed: Annotated[bool, typer.Option("--observed", help="What was flagged and not interrupted instead.")] = False,
    unreviewed: Annotated[bool, typer.Option("--unreviewed", help="Only what nobody has reviewed.")] = False,
    as_json: Json = False,
) -> None:
    """List interruptions, newest first."""
    from guard.cli.reading import list_findings, list_interruptions

    if observed:
        list_findings(store, limit)
    else:
        list_interruptions(store, limit, outcome, unreviewed, as_json)


@interruptions_app.command()
def review(
    keys: Annotated[list[str], typer.Argument(metavar="ID", help="Interruptions' ids; - reads them from stdin.")],
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="confirmed or rejected.")],
    store: StoreUrl = "sqlite:///guard.db",
) -> None:
    """Say whether interruptions were right; only confirmed ones are exported by default."""
    from guard.cli.reading import review_interruptions

    review_interruptions(store, keys, verdict)


@interruptions_app.command()
def show(
    key: Annotated[str, typer.Argument(metavar="ID", help="An interruption's id.")],
    store: StoreUrl = "sqlite:///guard.db",
    tokens: Annotated[bool, typer.Option("--tokens", help="With the model's tokens and their alternatives.")] = False,
) -> None:
    """Show one interruption as JSON."""
    from guard.cli.reading import show_interruption

    show_interruption(store, key, tokens)
