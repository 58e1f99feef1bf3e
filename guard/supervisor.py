"""The supervisor: a model that judges, reached over a backend like any other and asked by checks.

Knows how to ask; knows no check, no policy and no client: nothing of a client's headers goes to it. Rules:
  So many calls at once and no more; the others wait, and leave the queue when they are not wanted any more.
  A server that refuses `response_format` is asked once more without it, and from then on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from guard.asking import answer
from guard.backends import Backend, ChatRequest
from guard.checks import Spend
from guard.errors import RequestError, UpstreamError

_REFUSALS = (400, 404, 415, 422, 501)


class ModelSupervisor:
    """See `guard.checks.Supervisor`.

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
        self._plain = False

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
        body = {"model": self._model, "messages": list(messages), "temperature": 0, "max_tokens": max_tokens}
        body = {name: value for name, value in (body | dict(self._fields)).items() if value is not None}
        async with self._turns:
            if self._plain:
                return await self._answer(body, spend)
            try:
                return await self._answer(body | {"response_format": strict(schema)}, spend)
            except (RequestError, UpstreamError) as error:
                if error.status not in _REFUSALS:
                    raise
            said = await self._answer(body, spend)
            self._plain = True  # only now: the refusal may have been about something else, and then comes again
            return said

    async def _answer(self, body: Mapping[str, Any], spend: Spend) -> str:
        return await answer(self.backend, ChatRequest(body=body, id="supervisor"), spend)


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A `response_format` that holds the answer to a JSON schema."""
    return {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}
