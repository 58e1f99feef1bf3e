"""The supervisor: a model that judges, reached over a backend like any other and asked by checks.

Knows how to ask; knows no check, no policy and no client: nothing of a client's headers goes to it. Rules:
  So many calls at once and no more; the others wait, and leave the queue when they are not wanted any more.
  A server that refuses `response_format` is asked once more without it. One refusal may be about the one request;
  after `STRIKES` in a row it is asked without it at once, for `FORGET_S`.
  Where the backend tells how likely words are (a local model), it is asked in two steps that read the same prompt: the
  answer is begun for it, up to the first value of the schema (`opening`), so that what was scored is what it then goes
  on with. A model that would think first does not: it has begun to answer. A template that knows no unfinished turn
  leaves the second step, asked as a server is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from guard.asking import answer
from guard.backends import Backend, ChatRequest
from guard.checks import Spend
from guard.errors import RequestError, UpstreamError

STRIKES = 3
FORGET_S = 600.0
"""Seconds, after which a server that was updated is tried again."""

_REFUSALS = (400, 404, 415, 422, 501)


@runtime_checkable
class Scorer(Protocol):
    """What a backend may have besides: it tells how likely its model goes on with given words."""

    async def score(self, request: ChatRequest, words: Sequence[str], spend: Spend) -> Mapping[str, float]:
        """By word, the probability of the tokens that begin it, behind the request's unfinished turn.

        They sum to at most 1. Raises RequestError where the request cannot be used.
        """
        ...


class ModelSupervisor:
    """See `guard.checks.Supervisor` and `guard.checks.Scoring`.

    Args:
        model: what the backend is asked for where its options name no model.
        at_once: calls that may be open at a time.
        fields: what every request carries besides; None leaves a field out that it would carry.
    """

    def __init__(self, backend: Backend, *, model: str, at_once: int, fields: Mapping[str, Any]) -> None:
        self.backend = backend
        self._model = model
        self._fields = fields
        self._turns = asyncio.Semaphore(at_once)
        self._refused = 0
        self._plain_until = float("-inf")

    async def start(self) -> None:
        """Load or connect. Raises ConfigError or UpstreamError."""
        await self.backend.start()

    async def close(self) -> None:
        """Let go of everything."""
        await self.backend.close()

    async def ready(self) -> Mapping[str, Any]:
        """For /readyz; how it would continue a turn is of no interest, for it is never asked to."""
        return {name: value for name, value in (await self.backend.ready()).items() if name != "continuation"}

    async def ask(
        self, messages: Sequence[Mapping[str, str]], *, schema: Mapping[str, Any], max_tokens: int, spend: Spend
    ) -> str:
        """See `guard.checks.Supervisor.ask`."""
        body = self._body(messages, max_tokens)
        async with self._turns:
            if isinstance(self.backend, Scorer):
                try:
                    return await self._begun(body | {"response_format": strict(schema)}, opening(schema), spend)
                except RequestError:  # no unfinished turn, or not this schema: then in the server's way
                    pass
            if asyncio.get_running_loop().time() < self._plain_until:
                return await self._answer(body, spend)
            try:
                said = await self._answer(body | {"response_format": strict(schema)}, spend)
            except (RequestError, UpstreamError) as error:
                if error.status not in _REFUSALS:
                    raise
            else:
                self._refused = 0
                return said
            said = await self._answer(body, spend)
            self._strike()  # only now: had the refusal been about something else, it would have come again
            return said

    async def score(
        self, messages: Sequence[Mapping[str, str]], *, schema: Mapping[str, Any], spend: Spend
    ) -> Mapping[str, float] | None:
        """See `guard.checks.Scoring.score`."""
        if not isinstance(self.backend, Scorer):
            return None
        words = {value: f'{json.dumps(value)[1:-1]}"' for value in _values(schema)}
        request = _unfinished(self._body(messages, 1), opening(schema))
        async with self._turns:
            try:
                found = await self.backend.score(request, tuple(words.values()), spend)
            except RequestError:
                return None
        return {value: found[word] for value, word in words.items()}

    def _body(self, messages: Sequence[Mapping[str, str]], max_tokens: int) -> dict[str, Any]:
        body = {"model": self._model, "messages": list(messages), "temperature": 0, "max_tokens": max_tokens}
        return {name: value for name, value in (body | dict(self._fields)).items() if value is not None}

    async def _begun(self, body: Mapping[str, Any], begin: str, spend: Spend) -> str:
        """An answer that begins like this, whole."""
        return begin + await answer(self.backend, _unfinished(body, begin), spend)

    def _strike(self) -> None:
        self._refused += 1
        if self._refused >= STRIKES:
            self._refused = 0
            self._plain_until = asyncio.get_running_loop().time() + FORGET_S

    async def _answer(self, body: Mapping[str, Any], spend: Spend) -> str:
        return await answer(self.backend, ChatRequest(body=body, id="supervisor"), spend)


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A `response_format` that holds the answer to a JSON schema."""
    return {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}


def opening(schema: Mapping[str, Any]) -> str:
    """How an answer that fits the schema begins, up to the value of its first property, a string."""
    return f'{{{json.dumps(next(iter(schema["properties"])))}: "'


def _values(schema: Mapping[str, Any]) -> Sequence[str]:
    values: Sequence[str] = next(iter(schema["properties"].values()))["enum"]
    return values


def _unfinished(body: Mapping[str, Any], begin: str) -> ChatRequest:
    messages = [*body["messages"], {"role": "assistant", "content": begin}]
    return ChatRequest(body={**body, "messages": messages}, prefix={"content": begin}, id="supervisor")
