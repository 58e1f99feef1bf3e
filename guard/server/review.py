"""`/guard/*`: the log to look at, and the switch for everything at once.

Whatever a model wrote is untrusted: it is escaped in HTML and never in a script, a style or a link.
"""

from __future__ import annotations

import html
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict

from guard.core.records import InterruptionRecord
from guard.errors import RequestError
from guard.server.gateway import Gateway, Mode
from guard.store import Filter

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>guard</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}}
article{{border-top:1px solid #ccc;padding:.7rem 0}}
small{{color:#666}} del{{color:#a00}} ins{{color:#060;text-decoration:none}}
</style></head><body><h1>Interruptions</h1><p>mode <b>{mode}</b>, {count} on record</p>{rows}</body></html>"""
_ROW = """<article><small>{when} · {model} · {policy} · {check} · {correct} · {outcome}</small>
<p>{before}<del>{claim}</del> <ins>{put_in}</ins> {followed}</p></article>"""
_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'", "x-frame-options": "DENY"}


class ModeChange(BaseModel):
    """The body of `POST /guard/api/mode`."""

    model_config = ConfigDict(extra="forbid")
    mode: Mode


def router(gateway: Gateway) -> APIRouter:
    """The routes, over a gateway."""
    routes = APIRouter(prefix="/guard")

    @routes.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        records = await gateway.store.interruptions(Filter(limit=50))
        rows = "".join(_row(record) for record in records) or "<p>Nothing has been interrupted yet.</p>"
        count = await gateway.store.count()
        return HTMLResponse(_PAGE.format(mode=gateway.mode, count=count, rows=rows), headers=_HEADERS)

    @routes.get("/api/interruptions")
    async def interruptions(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100, before: str | None = None
    ) -> dict[str, Any]:
        records = await gateway.store.interruptions(Filter(limit=limit, before=before))
        return {"object": "list", "data": [summary(record) for record in records]}

    @routes.get("/api/interruptions/{key}")
    async def interruption(key: str) -> dict[str, Any]:
        record = await gateway.store.interruption(key)
        if record is None:
            raise RequestError(f"there is no interruption {key!r}", status=404, code="not_found")
        return summary(record)

    @routes.post("/api/mode")
    async def mode(change: ModeChange) -> dict[str, str]:
        gateway.mode = change.mode
        return {"mode": gateway.mode}

    return routes


def summary(record: InterruptionRecord) -> dict[str, Any]:
    """An interruption in a few fields, as the API and the command line list it."""
    made, closing = record.interruption, record.closing
    return {
        "id": made.id,
        "at": record.at,
        "model": record.provenance.model,
        "policy": record.provenance.policy,
        "check": made.check,
        "correct": made.correct,
        "late": made.late,
        "channel": made.claim.channel,
        "before": made.kept.get(made.claim.channel, "")[-200:],
        "claim": made.claim.text,
        "put_in": made.put_in,
        "followed": closing.followed if closing else "",
        "answer": closing.answer if closing else "",
        "outcome": closing.outcome if closing else "open",
        "continuation": closing.continuation if closing else None,
        "delay": {"characters": made.delay, "seconds": record.delay_s},
        "tokens_wasted": made.tokens_wasted,
    }


def _row(record: InterruptionRecord) -> str:

    fields = summary(record) | {"when": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.at))}
    return _ROW.format(**{name: html.escape(str(value)) for name, value in fields.items()})
