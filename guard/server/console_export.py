"""The route that writes the log out as training rows: a download, made while it is read.

Rows are in the canonical form, which needs no tokenizer. They are made in a thread, a piece at a time and no faster
than the client takes them; the first piece is made before the answer begins, so that a failure has a status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from guard import registry
from guard.errors import ConfigError, RequestError, UnknownPlugin
from guard.harvest import local
from guard.harvest.counts import Counts
from guard.harvest.maker import Job, Maker
from guard.harvest.seen import Seen
from guard.harvest.selecting import trusts
from guard.harvest.sources import FromStore
from guard.server.console_query import Exported
from guard.server.gateway import Gateway
from guard.store import Store

_PIECE = 2**16


def add(routes: APIRouter, gateway: Gateway) -> None:
    """Add it to the others."""

    @routes.get("/export")
    async def export(wanted: Annotated[Exported, Query()]) -> Response:
        try:
            pieces = _pieces(_rows(gateway.store, wanted))
            first = await run_in_threadpool(next, pieces, b"")
        except UnknownPlugin as error:
            raise RequestError(str(error), param="format", code="invalid_format") from None
        except ConfigError as error:
            told = f"{error}; a download cannot have that, `guard export {wanted.format}` can"
            raise RequestError(told, param="format", code="invalid_format") from None
        headers = {
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="{wanted.format}.jsonl"',
            "x-content-type-options": "nosniff",
        }
        return StreamingResponse(chain([first], pieces), media_type="application/jsonl", headers=headers)


@cache
def formats() -> tuple[str, ...]:
    """The formats that can be downloaded: those that need nothing but the log's interruptions."""
    return tuple(name for name in registry.names("exporters") if _is_plain(name))


def _is_plain(name: str) -> bool:
    try:
        return not Maker(Job(format=name)).of_sessions
    except ConfigError:
        return False


def _rows(store: Store, wanted: Exported) -> Iterator[bytes]:
    """The rows as JSON: those that `guard export` would write."""
    source = FromStore(database=store.database, wanted=wanted.filter())
    trusted = tuple(each.check for each in trusts(source.reviewed()) if each.enough)
    job = Job(format=wanted.format, unreviewed=wanted.unreviewed, trusted=trusted)
    if Maker(job).of_sessions:
        raise ConfigError(f"{wanted.format} is made of whole sessions")
    made = local.rows(job, source, Counts())
    with closing(Seen()) as seen:
        yield from (row.line for row in made if not seen.again(row.same, b""))


def _pieces(rows: Iterable[bytes]) -> Iterator[bytes]:
    """The rows as lines, many in a piece."""
    lines = bytearray()
    for row in rows:
        lines += row + b"\n"
        if len(lines) >= _PIECE:
            yield bytes(lines)
            lines.clear()
    yield bytes(lines)
