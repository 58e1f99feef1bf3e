"""The routes that read the log: pages of interruptions, one of them whole, one segment, what to judge next."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from guard.errors import RequestError
from guard.server.console_json import answered
from guard.server.console_query import Name, Paged
from guard.server.gateway import Gateway
from guard.server.review import segment, summary, whole
from guard.store import Filter

COUNTED = 1000
"""No page counts further: "1,000+" says enough."""

_SIBLINGS = 200


def add(routes: APIRouter, gateway: Gateway) -> None:
    """Add them to the others."""
    store = gateway.store

    @routes.get("/interruptions")
    async def interruptions(wanted: Annotated[Paged, Query()]) -> Response:
        records = await store.interruptions(wanted.filter(before=wanted.before, limit=wanted.limit + 1))
        page: dict[str, Any] = {"object": "list", "data": [summary(record) for record in records[: wanted.limit]]}
        more = len(records) > wanted.limit
        page |= {"has_more": more, "next": page["data"][-1]["id"] if more else None}
        if wanted.before is None:
            count = await store.count(wanted.filter(), COUNTED + 1)
            page |= {"count": min(count, COUNTED), "count_capped": count > COUNTED}
        return answered(page)

    @routes.get("/interruptions/{key}")
    async def interruption(key: str) -> Response:
        record = await store.interruption(key)
        if record is None:
            raise RequestError(f"there is no interruption {key!r}", status=404, code="not_found")
        of_session = await store.interruptions(Filter(session=record.provenance.session, limit=_SIBLINGS))
        siblings = [other.interruption.id for other in reversed(of_session) if other.interruption.id != key]
        return answered(whole(record, await store.judgements(key), siblings))

    @routes.get("/segments/{key}")
    async def one_segment(key: str) -> Response:
        record = await store.segment(key)
        if record is None:
            raise RequestError(f"there is no segment {key!r}", status=404, code="not_found")
        return answered(segment(record, await store.judgements(key)))

    @routes.get("/queue")
    async def queue(reviewer: Name, limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> Response:
        return answered({"data": await store.queue(reviewer, limit)})
