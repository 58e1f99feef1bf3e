"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
import uuid

from guard.server import wire
from guard.server.endpoint import Incoming, answer
from guard.server.exchange import Question
from guard.server.request import parse_chat


async def chat(incoming: Incoming) -> None:
    """Serve one request, supervised."""
    call = parse_chat(incoming.raw, incoming.headers)
    identity = wire.Identity(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), call.model)
    question = Question(id=identity.fields["id"], call=call, headers=incoming.headers)
    encoder = wire.StreamEncoder(identity, include_usage=call.include_usage)
    await answer(incoming, question, encoder, wire.Collector(identity, call.n))
