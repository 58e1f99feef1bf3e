"""The live feed as server-sent events: what a watcher of the hub is told, until one of the two leaves."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from guard.server import wire
from guard.server.gateway import Gateway
from guard.server.http import Responder, listen


class Live:
    """The route."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one watcher."""
        responder, hub = Responder(send), self._gateway.live
        watcher = hub.watch()

        async def leave() -> None:
            watcher.stop()

        leaving = listen(receive, leave)
        try:
            frames: bytes | None = wire.KEEP_ALIVE  # the head goes out at once
            while frames is not None:
                await responder.stream(frames or wire.KEEP_ALIVE, {})
                frames = await watcher.take(self._gateway.settings.server.keep_alive_s)
            await responder.end(b"")
        except asyncio.CancelledError:  # the server is going down and has waited long enough
            await responder.end(b"")
        finally:
            hub.left(watcher)
            leaving.cancel()
