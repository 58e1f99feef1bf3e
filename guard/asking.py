"""Asks a backend beside the stream: a whole answer, how a turn might have gone on, or how it would have.

Used for supervisors and for asking the policy model again. It knows backends; it does not know checks' questions.
Rules: an answer that breaks off is an error, never a shorter answer. Cancelling cancels the call, and nothing of it is
left. What was read and written is told to `spend` also where nobody waited for the end; a call that was refused cost
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from guard.backends import Backend, ChatRequest, Usage, estimate_tokens
from guard.checks import Spend
from guard.core.events import Delta, Event, Finished, Opened, ToolDelta
from guard.core.types import Channel, Continuation, Resume
from guard.core.usage import Ledger
from guard.errors import GuardError, UpstreamDisconnected

_LIMITS = ("max_completion_tokens", "max_tokens")
_NOT_ALONE = frozenset({"n", "logprobs", "top_logprobs", "stream_options", *_LIMITS})
"""What one answer is not asked for with: choices and distributions of its own, the client's limit."""

_NOT_AGAIN = _NOT_ALONE | {"top_p", "top_k", "min_p"}
"""What a sample is not asked for with: narrower sampling besides."""

_GO_ON = "Continue from where the answer stopped."
"""Told where a server cannot go on with a turn in place."""


async def answer(
    backend: Backend, request: ChatRequest, spend: Spend, resume: Resume | None = None, channel: Channel = "content"
) -> str:
    """The text of one channel of one answer, or of what follows where `resume` says. Raises GuardError."""
    heard = _Heard(channel)
    await _listen(heard, backend, request, spend, resume)
    return heard.text


@dataclass(slots=True)
class _Heard:
    """What has come of an answer's channel. `rest`: only what goes on in place is wanted, and only until another
    channel follows; `enough` says that nothing more of the answer is."""

    channel: Channel
    rest: bool = False
    continuation: Continuation | None = None
    finished: bool = False
    enough: bool = False
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def take(self, event: Event) -> None:
        if isinstance(event, Delta) and event.channel == self.channel:
            self.texts += [] if self.enough else [event.text]
        elif isinstance(event, Opened):
            self.continuation = event.continuation
            self.enough = self.rest and event.continuation == "reask"
        elif isinstance(event, Finished):
            self.finished = True
        elif self.rest and _behind_reasoning(event):
            self.enough = True


def _behind_reasoning(event: Event) -> bool:
    return isinstance(event, ToolDelta) or (isinstance(event, Delta) and event.channel == "content")


async def _listen(heard: _Heard, backend: Backend, request: ChatRequest, spend: Spend, resume: Resume | None) -> None:
    number = 0 if resume is None else 1
    ledger = Ledger(prompt=estimate_tokens(_prompt(request)))
    ledger.open(number)
    turn = backend.begin(request)
    stream = turn.attempt(number, 0, resume)
    began = refused = False
    try:
        async for batch in stream:
            began = True
            for item in batch:
                if isinstance(item, Usage):
                    ledger.counts(number, 0, item.counts)
                    continue
                if isinstance(item[1], Delta):
                    ledger.text(number, 0, len(item[1].text), len(item[1].tokens))
                heard.take(item[1])
            if heard.enough:
                break
        if not (heard.finished or heard.enough):
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


def _prompt(request: ChatRequest) -> str:
    return request.prompt or "".join(str(message.get("content") or "") for message in request.messages)


class Again:
    """Asks the policy model of one request again: `guard.relay.Ask`, and `onward`."""

    def __init__(self, backend: Backend, request: ChatRequest) -> None:
        self._backend = backend
        self._request = request

    async def __call__(self, prefix: Mapping[Channel, str], n: int, max_tokens: int, spend: Spend) -> Sequence[str]:
        """`n` samples, all at once; if one fails, so do all. Raises GuardError."""
        channel, resume = self._place(prefix, max_tokens)
        samples = (sample(self._request, index, max_tokens) for index in range(n))
        try:
            async with asyncio.TaskGroup() as group:
                asked = [
                    group.create_task(answer(self._backend, request, spend, resume, channel)) for request in samples
                ]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in asked]

    async def onward(self, prefix: Mapping[Channel, str], max_tokens: int, spend: Spend) -> str | None:
        """How the turn goes on behind `prefix`, sampled as the request asks, in the last channel of it alone.

        At most `max_tokens`, and no more than the client wanted. None where the model cannot go on in place: what it
        says when it is asked anew stands behind other words. Raises GuardError.
        """
        limit = min(max_tokens, self._request.max_tokens or max_tokens)
        channel, resume = self._place(prefix, limit)
        heard = _Heard(channel, rest=True)
        await _listen(heard, self._backend, _alone(self._request, _NOT_ALONE, limit, "onward"), spend, resume)
        return None if heard.continuation == "reask" else heard.text

    def _place(self, prefix: Mapping[Channel, str], max_tokens: int) -> tuple[Channel, Resume | None]:
        """Where the turn goes on; no `Resume` where nothing stands before it but what the client began."""
        kept = {channel: text for channel, text in prefix.items() if text}
        channel: Channel = list(prefix)[-1] if prefix else "content"
        if all(text == self._request.prefix.get(name, "") for name, text in kept.items()):
            return channel, None
        return channel, Resume(
            kept=kept, open_channel=channel, put_in="", sent=kept, message=_GO_ON, max_tokens=max_tokens
        )


def sample(request: ChatRequest, index: int, max_tokens: int) -> ChatRequest:
    """The same question, for one short answer at temperature 1; seeds are told apart by `index`."""
    asked = _alone(request, _NOT_AGAIN, max_tokens, str(index))
    body = {**asked.body, "temperature": 1}
    if isinstance(body.get("seed"), int):
        body["seed"] += 1 + index
    return replace(asked, body=body)


def _alone(request: ChatRequest, without: frozenset[str], max_tokens: int, name: str) -> ChatRequest:
    """The request for one answer of at most so many tokens."""
    body = {name: value for name, value in request.body.items() if name not in without}
    limit = next((name for name in _LIMITS if request.body.get(name) is not None), "max_tokens")
    return replace(request, body={**body, limit: max_tokens}, n=1, id=f"{request.id}-{name}", top_logprobs=0)
