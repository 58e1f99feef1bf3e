"""`POST /v1/responses`: supervised like a chat, told in the events of OpenAI's Responses API.

The upstream is asked for a chat completion, which every server has. What only a server that keeps responses can do
(`previous_response_id`, `background`, built-in tools, ...) goes to the upstream's own `/responses` as it is,
unsupervised and counted so; where it has none, the client is told.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from guard.errors import GuardError, RequestError
from guard.server import wire
from guard.server.exchange import Exchange, Question
from guard.server.forward import pass_on
from guard.server.gateway import Gateway
from guard.server.http import Responder, headers_of, listen, read_body, require_client_key
from guard.server.reply import Reply
from guard.server.request import read_document
from guard.server.responses_request import ResponsesCall, needs_native, parse_responses
from guard.server.responses_wire import ResponsesCollector, ResponsesEncoder


class ResponsesEndpoint:
    """The supervised route of responses."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        responder = Responder(send)
        try:
            headers = headers_of(scope)
            require_client_key(headers, self._gateway.client_keys)
            raw = await read_body(receive, headers, self._gateway.settings.server.max_body_mb)
            if raw is None:
                return
            if why := needs_native(read_document(raw)):
                missing = _missing(why)
                await pass_on(self._gateway, scope, headers, raw, receive, responder, missing=missing)
            else:
                await self._serve(parse_responses(raw, headers), headers, receive, responder)
        except GuardError as error:
            await responder.error(error)
        except asyncio.CancelledError:
            await responder.give_up("the server is shutting down")

    async def _serve(
        self, call: ResponsesCall, headers: Mapping[str, str], receive: Receive, responder: Responder
    ) -> None:
        identity = wire.Identity(f"resp_{uuid.uuid4().hex}", int(time.time()), call.chat.model)
        question = Question(id=identity.fields["id"], call=call.chat, headers=headers, route="responses")
        exchange = Exchange(self._gateway, question, lambda out: reply.take(out))
        reply = Reply(
            responder,
            ResponsesEncoder(identity, call.echo),
            ResponsesCollector(identity, call.echo),
            stream=call.chat.stream,
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


def _missing(why: str) -> RequestError:
    return RequestError(
        f"{why}: guard keeps no responses, and this model's upstream has no /v1/responses of its own; send the whole "
        "conversation as `input`",
        param=why if why.isidentifier() else None,
        code="unsupported_parameter",
    )
