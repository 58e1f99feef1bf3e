"""`guard interruptions ...`: the log, listed, shown and reviewed."""

from __future__ import annotations

from typing import Annotated

import typer

from guard.errors import ConfigError

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
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID... VERDICT]", help="Ids (- reads them from stdin), then confirmed or rejected."),
    ] = None,
    store: StoreUrl = "sqlite:///guard.db",
    reviewer: Annotated[str | None, typer.Option(help="Who judges.  [default: $USER]")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to be asked about, where no ID is named.")] = 20,
) -> None:
    """Say whether guard was right; without ids, be asked about one statement after the other."""
    if not words:
        from guard.cli.reviewing import review_queue

        review_queue(store, reviewer, limit)
        return
    from guard.cli.reading import review_interruptions

    if len(words) == 1:
        raise ConfigError(f"{words[0]!r} stands alone: name ids and then confirmed or rejected, or nothing to be asked")
    review_interruptions(store, words[:-1], words[-1], reviewer)


@interruptions_app.command()
def show(
    key: Annotated[str, typer.Argument(metavar="ID", help="An interruption's or a statement's id.")],
    store: StoreUrl = "sqlite:///guard.db",
    tokens: Annotated[bool, typer.Option("--tokens", help="With the model's tokens and their alternatives.")] = False,
) -> None:
    """Show one interruption as JSON."""
    from guard.cli.reading import show_interruption

    show_interruption(store, key, tokens)
