"""The route that writes the log out as training rows: a download, made while it is read.

Rows are in the canonical form, which needs no tokenizer. They are made in a thread, a piece at a time and no faster
than the client takes them; the first piece is made before the answer begins, so that a failure has a status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from guard import registry
from guard.errors import ConfigError, RequestError, UnknownPlugin
from guard.exporters import Row
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
            told = f"{error} (of `guard export {wanted.format}`: it does what a download does not)"
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
        next(iter(registry.exporter(name).rows(())), None)
    except ConfigError:
        return False
    return True


def _rows(store: Store, wanted: Exported) -> Iterator[Row]:
    exporter = registry.exporter(wanted.format)
    records = exporter.select(store.iter_interruptions(wanted.filter()), unreviewed=wanted.unreviewed)
    return exporter.rows(records)


def _pieces(rows: Iterable[Row]) -> Iterator[bytes]:
    """The rows as lines, many in a piece. What is no Unicode is left out, as `guard export` does."""
    lines = bytearray()
    for row in rows:
        try:
            lines += msgspec.json.encode(row) + b"\n"
        except UnicodeEncodeError:
            continue
        if len(lines) >= _PIECE:
            yield bytes(lines)
            lines.clear()
    yield bytes(lines)
