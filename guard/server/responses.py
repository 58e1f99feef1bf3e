"""`POST /v1/responses`: supervised like a chat, told in the events of OpenAI's Responses API.

The upstream is asked for a chat completion, which every server has. What only a server that keeps responses can do
(`previous_response_id`, `background`, built-in tools, ...) goes to the upstream's own `/responses` as it is,
unsupervised and counted so; where it has none, the client is told.
"""

from __future__ import annotations

import time
import uuid

from guard.errors import RequestError
from guard.server import wire
from guard.server.endpoint import Incoming, answer
from guard.server.exchange import Question
from guard.server.forward import pass_on
from guard.server.request import read_document
from guard.server.responses_request import needs_native, parse_responses
from guard.server.responses_wire import ResponsesCollector, ResponsesEncoder


async def responses(incoming: Incoming) -> None:
    """Serve one request: supervised, or by the upstream that keeps responses."""
    if why := needs_native(read_document(incoming.raw)):
        await pass_on(incoming, missing=_missing(why))
        return
    call = parse_responses(incoming.raw, incoming.headers)
    identity = wire.Identity(f"resp_{uuid.uuid4().hex}", int(time.time()), call.chat.model)
    question = Question(id=identity.fields["id"], call=call.chat, headers=incoming.headers, route="responses")
    await answer(incoming, question, ResponsesEncoder(identity, call.echo), ResponsesCollector(identity, call.echo))


def _missing(why: str) -> RequestError:
    return RequestError(
        f"{why}: guard keeps no responses, and this model's upstream has no /v1/responses of its own; send the whole "
        "conversation as `input`",
        param=why if why.isidentifier() else None,
        code="unsupported_parameter",
    )
