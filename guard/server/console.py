"""`/guard/api/*`: the log to look at and to judge, the switch for everything at once. Who may ask is `AdminOnly`'s.

Every route asks the store, which has threads of its own: the event loop never waits for a disk. What it answers is what
the models and the clients wrote, as JSON: untrusted text, for whoever shows it to escape.
"""

from __future__ import annotations

import getpass
import time
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.routing import Route

from guard import __version__
from guard.core.records import Review
from guard.core.types import Outcome
from guard.server import console_export, console_judging, console_live, console_log
from guard.server.console_json import answered
from guard.server.gateway import Gateway, Mode
from guard.server.http import is_loopback

_HOUR, _DAY = 3600, 86400


class ModeChange(BaseModel):
    """The body of `POST /guard/api/mode`."""

    model_config = ConfigDict(extra="forbid")
    mode: Mode


def router(gateway: Gateway) -> APIRouter:
    """The routes, over a gateway."""
    routes = APIRouter(prefix="/guard/api")
    _add_state(routes, gateway)
    _add_figures(routes, gateway)
    console_log.add(routes, gateway)
    console_judging.add(routes, gateway)
    console_export.add(routes, gateway)
    routes.routes.append(Route("/guard/api/live", console_live.Live(gateway), methods=["GET"]))
    return routes


def _add_state(routes: APIRouter, gateway: Gateway) -> None:
    @routes.get("/state")
    async def state() -> Response:
        return answered(_state(gateway))

    @routes.post("/mode")
    async def mode(change: ModeChange) -> Response:
        gateway.mode = change.mode
        return answered({"mode": gateway.mode})

    @routes.get("/facets")
    async def facets() -> Response:
        closed = {"outcome": [*get_args(Outcome), "open"], "review": get_args(Review)}
        return answered(await gateway.store.facets() | closed)


def _add_figures(routes: APIRouter, gateway: Gateway) -> None:
    store = gateway.store

    @routes.get("/quality")
    async def quality() -> Response:
        return answered({"checks": await store.quality(), "recall": await store.recall()})

    @routes.get("/agreement")
    async def agreement() -> Response:
        return answered(await store.agreement())

    @routes.get("/trends")
    async def trends(days: Annotated[float, Query(ge=0.01, le=3660)] = 7) -> Response:
        """What happened in the last days, an hour, a quarter of a day or a day at a time."""
        bucket = _HOUR if days <= 3 else 6 * _HOUR if days <= 14 else _DAY
        until = (time.time() // bucket + 1) * bucket
        return answered({"bucket_s": bucket, "buckets": await store.trends(until - days * _DAY, until, bucket)})


def _state(gateway: Gateway) -> dict[str, Any]:
    settings = gateway.settings
    return {
        "version": __version__,
        "mode": gateway.mode,
        "models": [name for name in gateway.known if name != "*"],
        "default_policy": gateway.default,
        "policies": [
            {"name": name, "mode": loaded.policy.mode, "hash": loaded.hash, "checks": list(loaded.checks)}
            for name, loaded in gateway.policies.items()
        ],
        "formats": console_export.formats(),
        "client_key_required": gateway.client_keys is not None,
        "store": settings.store.url.partition(":")[0].partition("+")[0],
        "reviewer_hint": _operator() if is_loopback(settings.server.host) else "",
    }


def _operator() -> str:
    """Who runs the server, and on loopback most likely asks."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run a user that has no name
        return ""
