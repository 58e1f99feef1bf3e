"""`POST /v1/completions`: raw texts, supervised as an answer's content is.

Each prompt is an exchange of its own, all of them fill one response. What no session can follow passes unsupervised,
and is counted so (`forward`).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence

from guard.core.events import Finish
from guard.errors import GuardError, RequestError, UpstreamError
from guard.relay import Emit, Out
from guard.server import wire
from guard.server.completions_request import CompletionCall, parse_completion
from guard.server.completions_wire import CompletionCollector, CompletionEncoder, summed
from guard.server.endpoint import Incoming
from guard.server.exchange import Exchange, Question
from guard.server.forward import pass_on
from guard.server.http import listen
from guard.server.reply import Reply


async def completions(incoming: Incoming) -> None:
    """Serve one request: supervised, or as it is where no session can follow."""
    call = parse_completion(incoming.raw, incoming.headers)
    if call.unsupervised:
        await pass_on(incoming)
    else:
        await _supervised(incoming, call)


async def _supervised(incoming: Incoming, call: CompletionCall) -> None:
    first, alone = call.calls[0], len(call.calls) == 1
    identity = wire.Identity(f"cmpl-{uuid.uuid4().hex}", int(time.time()), first.model)
    name = identity.fields["id"]

    def emit(base: int) -> Emit:
        async def take(out: Sequence[Out]) -> None:
            await reply.take([(base + choice, item) for choice, item in out])

        return take

    exchanges = [
        Exchange(
            incoming.gateway,
            Question(
                id=name if alone else f"{name}-{number}",
                call=asked,
                headers=incoming.headers,
                route="completions",
                prompt=prompt,
            ),
            emit(number * first.n),
        )
        for number, (prompt, asked) in enumerate(zip(call.prompts, call.calls, strict=True))
    ]
    reply = Reply(
        incoming.responder,
        CompletionEncoder(identity, alone=alone, include_usage=first.include_usage),
        CompletionCollector(identity, first.n * len(exchanges), alone=alone),
        stream=first.stream,
        keep_alive_s=incoming.gateway.settings.server.keep_alive_s,
        headers=lambda: exchanges[0].headers,
        begun=lambda: any(exchange.begun for exchange in exchanges),
    )

    async def leave() -> None:
        await asyncio.gather(*(exchange.leave() for exchange in exchanges))

    async def run(base: int, exchange: Exchange) -> None:
        """One prompt to its end. Failing before anything was sent it fails all: half a list of answers is none."""
        try:
            await exchange.run()
        except GuardError as error:
            if not incoming.responder.started:
                raise
            status = error.status if isinstance(error, UpstreamError | RequestError) else 500
            failed = Finish("error", error=str(error), status=status)
            await reply.take([(base + choice, failed) for choice in range(first.n)])

    leaving = listen(incoming.receive, leave)
    try:
        async with asyncio.TaskGroup() as group:
            for number, exchange in enumerate(exchanges):
                group.create_task(run(number * first.n, exchange))
        await reply.end(summed([exchange.usage() for exchange in exchanges]))
        for exchange in exchanges:
            exchange.ended()
    except* GuardError as errors:
        raise errors.exceptions[0] from None
    finally:
        leaving.cancel()
        reply.close()
