"""Asks a backend beside the stream: a whole answer, or how a turn might have gone on.

Used for supervisors and for asking the policy model again. It knows backends; it does not know checks' questions.
Rules: an answer that breaks off is an error, never a shorter answer. Cancelling cancels the call, and nothing of it is
left. What was read and written is told to `spend` also where nobody waited for the end; a call that was refused cost
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from guard.backends import Backend, ChatRequest, Usage, estimate_tokens
from guard.checks import Spend
from guard.core.events import Delta, Finished
from guard.core.types import Channel, Resume
from guard.core.usage import Ledger
from guard.errors import GuardError, UpstreamDisconnected

_LIMITS = ("max_completion_tokens", "max_tokens")
_NOT_AGAIN = frozenset({"n", "logprobs", "top_logprobs", "top_p", "top_k", "min_p", "stream_options", *_LIMITS})
"""What a sample is not asked for with: choices and distributions of its own, narrower sampling, the client's limit."""

_GO_ON = "Continue from where the answer stopped."
"""Told where a server cannot go on with a turn in place."""


async def answer(
    backend: Backend, request: ChatRequest, spend: Spend, resume: Resume | None = None, channel: Channel = "content"
) -> str:
    """The text of one channel of one answer, or of what follows where `resume` says. Raises GuardError."""
    number = 0 if resume is None else 1
    ledger = Ledger(prompt=estimate_tokens(_prompt(request)))
    ledger.open(number)
    turn = backend.begin(request)
    stream = turn.attempt(number, 0, resume)
    texts: list[str] = []
    finished = began = refused = False
    try:
        async for batch in stream:
            began = True
            for item in batch:
                if isinstance(item, Usage):
                    ledger.counts(number, 0, item.counts)
                elif isinstance(item[1], Delta):
                    ledger.text(number, 0, len(item[1].text), len(item[1].tokens))
                    texts += [item[1].text] if item[1].channel == channel else []
                finished = finished or (not isinstance(item, Usage) and isinstance(item[1], Finished))
        if not finished:
            raise UpstreamDisconnected("the model's server ended its answer without finishing it")
    except GuardError:
        refused = not began
        raise
    finally:
        if not refused:
            spend(ledger.total({})["total_tokens"])
        if (close := getattr(stream, "aclose", None)) is not None:
            await close()
        await turn.close()
    return "".join(texts)


def _prompt(request: ChatRequest) -> str:
    return request.prompt or "".join(str(message.get("content") or "") for message in request.messages)


class Again:
    """Asks the policy model of one request again: `guard.relay.Ask`."""

    def __init__(self, backend: Backend, request: ChatRequest) -> None:
        self._backend = backend
        self._request = request

    async def __call__(self, prefix: Mapping[Channel, str], n: int, max_tokens: int, spend: Spend) -> Sequence[str]:
        """`n` samples, all at once; if one fails, so do all. Raises GuardError."""
        kept = {channel: text for channel, text in prefix.items() if text}
        channel: Channel = list(prefix)[-1] if prefix else "content"
        resume = None
        if any(text != self._request.prefix.get(name, "") for name, text in kept.items()):
            resume = Resume(
                kept=kept, open_channel=channel, put_in="", sent=kept, message=_GO_ON, max_tokens=max_tokens
            )
        samples = (sample(self._request, index, max_tokens) for index in range(n))
        try:
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(answer(self._backend, request, spend, resume, channel)) for request in samples
                ]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in asked]


def sample(request: ChatRequest, index: int, max_tokens: int) -> ChatRequest:
    """The same question, for one short answer at temperature 1; seeds are told apart by `index`."""
    body = {name: value for name, value in request.body.items() if name not in _NOT_AGAIN}
    limit = next((name for name in _LIMITS if request.body.get(name) is not None), "max_tokens")
    body |= {"temperature": 1, limit: max_tokens}
    if isinstance(body.get("seed"), int):
        body["seed"] += 1 + index
    return ChatRequest(
        body=body,
        headers=request.headers,
        prefix=request.prefix,
        id=f"{request.id}-{index}",
        created=request.created,
        prompt=request.prompt,
    )
