"""The log archived as Parquet, compared with its archive, and forgotten in part, from the command line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from guard.cli.reading import opened
from guard.errors import ConfigError, GuardError, StoreError

if TYPE_CHECKING:
    from guard.archive import Archive, Comparison

NO_SUCH_USER = (
    "nobody of that name is on record: where a policy redacts its records, or a request named no user, nothing can be "
    "found by user; say --session or --conversation (guard interruptions show has them)"
)


def archive_store(to: str, url: str, verify: bool) -> None:
    """Bring an archive up to what the store has and say what changed; or only compare the two.

    Raises StoreError: with `verify`, something is missing, different, twice or damaged.
    """
    archive = _archive(to)
    store = opened(url)
    try:
        if verify:
            _say(archive.verify(store.database), archive.shown)
            return
        done = archive.update(store.database)
    finally:
        asyncio.run(store.close())
    print(f"{done.added} rows added, {done.replaced} replaced; {done.files} files written to {archive.shown}")


def forget(
    url: str, archives: Sequence[str], *, session: str | None, user: str | None, conversation: str | None, yes: bool
) -> None:
    """Delete what is on record of a session, a user or a conversation: in the store, then in each archive.

    Raises StoreError naming the archives where it failed; it can be asked for again.
    """
    given = {"session": session, "user": user, "conversation": conversation}
    named = [(name, value) for name, value in given.items() if value is not None]
    if len(named) != 1 or not named[0][1]:
        raise ConfigError("name one of --session, --user and --conversation, with the value that is to be forgotten")
    (name, value) = named[0]
    found = [_found(to) for to in archives]
    store = opened(url)
    try:
        if not yes:
            _agreed(f"Delete all that is on record of {name} {value!r} in {1 + len(found)} places?")
        deleted = asyncio.run(store.forget(**given))
        print(f"{deleted} rows deleted from the store")
    finally:
        asyncio.run(store.close())
    done = [_forgotten(archive, **given) for archive in found]
    failed = [each for each in done if isinstance(each, str)]
    if name == "user" and not deleted and not any(done):
        print(NO_SUCH_USER)
    if failed:
        raise StoreError(f"not forgotten everywhere, ask again: {'; '.join(failed)}")


def _forgotten(archive: Archive, **given: str | None) -> int | str:
    """Forget in an archive; returns how many rows, or what went wrong."""
    try:
        deleted = archive.forget(**given)
    except GuardError as error:
        return str(error)
    print(f"{deleted} rows deleted from {archive.shown}")
    return deleted


def _say(found: Comparison, shown: str) -> None:
    for path in found.damaged:
        print(f"damaged: {path}")
    if found.damaged:
        raise StoreError(
            f"{shown!r}: {len(found.damaged)} files are not what the manifest says; restore them from a copy"
        )
    print(
        f"{found.same} rows are the same, {found.waiting} wait for the next guard archive, "
        f"{found.only_here} are in the archive only"
    )
    if not found.is_whole:
        raise StoreError(
            f"{shown!r} is not what the store has: {found.missing} rows missing, {found.different} different, "
            f"{found.twice} twice; make a new one in an empty folder"
        )


def _agreed(question: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here whether to delete; say --yes")
    typer.confirm(question, abort=True)


def _found(to: str) -> Archive:
    """An archive that is there: what is to be forgotten must not stay in one because its name was misspelt."""
    archive = _archive(to)
    archive.files("interruption")
    return archive


def _archive(to: str) -> Archive:
    from guard.archive import Archive

    return Archive(to)
