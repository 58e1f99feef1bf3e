"""`POST /v1/chat/completions`, as a raw ASGI endpoint: a response object a chunk would cost more than the work.

It reads the request and joins the parts; what happens to it is `exchange`'s, what is written `reply`'s.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from guard.errors import GuardError
from guard.server import wire
from guard.server.exchange import Exchange, Question
from guard.server.gateway import Gateway
from guard.server.http import Responder, headers_of, listen, read_body, require_client_key
from guard.server.reply import Reply
from guard.server.request import parse_chat


class ChatEndpoint:
    """The supervised route."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        responder = Responder(send)
        try:
            headers = headers_of(scope)
            require_client_key(headers, self._gateway.client_keys)
            raw = await read_body(receive, headers, self._gateway.settings.server.max_body_mb)
            if raw is not None:
                await self._serve(raw, headers, receive, responder)
        except GuardError as error:
            await responder.error(error)
        except asyncio.CancelledError:
            # The server is going down and has waited long enough: the client is told, instead of a torn stream.
            await responder.give_up("the server is shutting down")

    async def _serve(self, raw: bytes, headers: Mapping[str, str], receive: Receive, responder: Responder) -> None:
        call = parse_chat(raw, headers)
        identity = wire.Identity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), call.model)
        question = Question(id=identity.fields["id"], call=call, headers=headers)
        exchange = Exchange(self._gateway, question, lambda out: reply.take(out))
        reply = Reply(
            responder,
            wire.StreamEncoder(identity, include_usage=call.include_usage),
            wire.Collector(identity, call.n),
            stream=call.stream,
            keep_alive_s=self._gateway.settings.server.keep_alive_s,
            headers=lambda: exchange.headers,
            begun=lambda: exchange.begun,
        )
        leaving = listen(receive, exchange.leave)
        try:
            await exchange.run()
            await reply.end(exchange.usage())
        finally:
            leaving.cancel()
            reply.close()
