"""`guard export`, `archive`, `forget`, `replay`: what is made of the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.cli.interruptions import Json, StoreUrl
from guard.errors import MissingExtra

FORMATS = (
    "axolotl, caution, clean, distillation, documents, openai, preference, prompt_completion, spans, stepwise, "
    "unpaired_preference, or a plug-in's."
)
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COND", help='"check=grounding", "score>=0.9", "since=2026-01-31"; all must hold.'),
]


def export(
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help=FORMATS)],
    out: Annotated[Path, typer.Option(help="JSONL file to write, or a folder: a data set with its card.")],
    store: Annotated[
        str | None, typer.Option("--store", help="SQLAlchemy URL of the log.  [default: sqlite:///guard.db]")
    ] = None,
    archive: Annotated[
        str | None, typer.Option("--archive", help="Read this archive instead; reviews of segments are the store's.")
    ] = None,
    where: Where = None,
    tokenizer: Annotated[str | None, typer.Option(help="Render for this model: a directory or a hub name.")] = None,
    unreviewed: Annotated[bool, typer.Option(help="Include what nobody has reviewed (not in clean).")] = False,
    trust: Annotated[
        float, typer.Option(min=0, max=1, help="Reviewed precision from which on a check needs no review of each.")
    ] = 0.9,
    at: Annotated[str | None, typer.Option(help="preference: after the claim (default) or before it.")] = None,
    dedupe: Annotated[str, typer.Option(help="exact, near or none.")] = "exact",
    validation: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the conversations that go to a validation file.")
    ] = 0.0,
    card: Annotated[
        bool | None, typer.Option("--card/--no-card", help="A card beside the rows.  [default: in a folder]")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the texts, for the card.")] = None,
    engine: Annotated[str, typer.Option(help="local, or ray for an --archive on many machines.")] = "local",
    as_json: Json = False,
) -> None:
    """Write the log as training rows of a format."""
    from guard.cli import exporting
    from guard.harvest.order import Order

    exporting.export(
        Order(
            format=format_,
            out=out,
            store=store,
            archive=archive,
            where=where or (),
            tokenizer=tokenizer,
            unreviewed=unreviewed,
            trust=trust,
            at=at,
            dedupe=dedupe,
            validation=validation,
            card=card,
            licence=licence,
            engine=engine,
            as_json=as_json,
        )
    )


def archive(
    to: Annotated[str, typer.Option("--to", help="Folder or fsspec URL (s3://bucket/log) of the archive.")],
    store: StoreUrl = "sqlite:///guard.db",
    verify: Annotated[bool, typer.Option("--verify", help="Only compare the archive with the log.")] = False,
) -> None:
    """Bring an archive of the log, in Parquet, up to date."""
    from guard.cli.archiving import archive_store

    archive_store(to, store, verify)


def forget(
    session: Annotated[str | None, typer.Option(help="A session's id.")] = None,
    user: Annotated[str | None, typer.Option(help="A request's user.")] = None,
    conversation: Annotated[str | None, typer.Option(help="A conversation's id.")] = None,
    store: StoreUrl = "sqlite:///guard.db",
    archives: Annotated[
        list[str] | None, typer.Option("--archive", help="An archive of the log; may be repeated.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all that is on record of a session, a user or a conversation."""
    from guard.cli import archiving

    archiving.forget(store, archives or (), session=session, user=user, conversation=conversation, yes=yes)


def replay(
    policy: Annotated[str, typer.Option(help="A shipped policy's name or a file.")],
    store: StoreUrl = "sqlite:///guard.db",
    where: Where = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Sessions, oldest first.  [default: all]")] = None,
    out: Annotated[Path | None, typer.Option(help="JSONL file to write, a line for each change.")] = None,
    recorded: Annotated[
        list[str] | None, typer.Option(help="A policy that sessions were recorded under; may be repeated.")
    ] = None,
    facts: Annotated[
        list[Path] | None, typer.Option("--facts", help="Facts file, JSONL or SQLite; may be repeated.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A guard.yaml: its supervisor and facts.")] = None,
    supervisor: Annotated[str | None, typer.Option(help="Base URL of the server of the model that judges.")] = None,
    supervisor_model: Annotated[str | None, typer.Option(help="That model's name there.")] = None,
    as_json: Json = False,
) -> None:
    """Tell what another policy would have changed in the sessions on record; the policy model is not asked."""
    try:
        from guard.cli.eval_models import Asked
        from guard.cli.replay import Wanted
        from guard.cli.replay import replay as run
    except ModuleNotFoundError as error:
        raise MissingExtra(f"replaying needs {error.name!r}: pip install 'premise-guard[local]'") from None
    asked = Asked(config=config, supervisor=supervisor, supervisor_model=supervisor_model)
    wanted = Wanted(where=where or (), limit=limit, as_json=as_json, out=out)
    run(policy, store, wanted, asked, facts or (), recorded or ())
