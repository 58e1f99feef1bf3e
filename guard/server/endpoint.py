"""What all `/v1` routes have in common: who may come in, the body, errors as OpenAI words them, the server's end.

A raw ASGI endpoint: a response object a chunk would cost more than the work. Knows no format: what is done with a
request is the route's own function.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from guard.errors import GuardError
from guard.server.exchange import Exchange, Question
from guard.server.gateway import Gateway
from guard.server.http import Responder, headers_of, listen, read_body, request_id, require_client_key
from guard.server.reply import Collecting, Encoder, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request that was let in, with its whole body. `headers` have lower-case names."""

    gateway: Gateway
    scope: Scope
    headers: Mapping[str, str]
    raw: bytes
    receive: Receive
    responder: Responder


class Endpoint:
    """A route; `serve` does what is its own and raises GuardError for what the client is to be told."""

    def __init__(self, gateway: Gateway, serve: Callable[[Incoming], Awaitable[None]]) -> None:
        self._gateway = gateway
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        gateway, headers = self._gateway, headers_of(scope)
        responder = Responder(send, request_id(headers))
        try:
            require_client_key(headers, gateway.client_keys)
            raw = await read_body(receive, headers, gateway.settings.server.max_body_mb)
            if raw is not None:
                incoming = Incoming(
                    gateway=gateway, scope=scope, headers=headers, raw=raw, receive=receive, responder=responder
                )
                await self._serve(incoming)
        except GuardError as error:
            await responder.error(error)
        except asyncio.CancelledError:
            # The server is going down and has waited long enough: the client is told, instead of a torn stream.
            await responder.give_up("the server is shutting down")


async def answer(incoming: Incoming, question: Question, encoder: Encoder, collector: Collecting) -> None:
    """One question, one response, until it is whole or the client leaves."""
    exchange = Exchange(incoming.gateway, question, lambda out: reply.take(out))
    reply = Reply(
        incoming.responder,
        encoder,
        collector,
        stream=question.call.stream,
        keep_alive_s=incoming.gateway.settings.server.keep_alive_s,
        headers=lambda: exchange.headers,
        begun=lambda: exchange.begun,
    )
    leaving = listen(incoming.receive, exchange.leave)
    try:
        await exchange.run()
        await reply.end(exchange.usage())
        exchange.ended()
    finally:
        leaving.cancel()
        reply.close()
