"""One answer of litellm's, read chunk by chunk as the JSON of OpenAI chunks.

Knows litellm's stream by its attributes alone, and no events. Rules:
  What repeats a text beside the field it belongs in is taken out, so that no text passes unseen.
  litellm makes up a finish for a stream that ends without one; that is told as the broken answer it is.
  Closing closes the provider's connection at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from guard.backends.litellm.options import Timeouts
from guard.backends.litellm.thinking import Blocks
from guard.errors import GuardError, UpstreamDisconnected, UpstreamTimeout

if TYPE_CHECKING:
    from guard.backends.litellm.line import Exchange


class Answer:
    """Reads one stream.

    Args:
        stream: litellm's, begun; `first` is its first chunk, None where it brought none.
        exchange: what the line sees of it.
        translate: makes guard's error of an exception of litellm's.
        started: when the attempt began, in the loop's time.
        index: the choice that its only choice is for the client.

    Attributes:
        blocks: the signed reasoning it brought.
    """

    def __init__(
        self,
        stream: Any,
        first: Any,
        exchange: Exchange,
        translate: Callable[[Exception], GuardError],
        timeouts: Timeouts,
        started: float,
    ) -> None:
        self._stream = stream
        self._first = first
        self._exchange = exchange
        self._translate = translate
        self._timeouts = timeouts
        self._until = started + timeouts.total_s
        self.blocks = Blocks()

    async def read(self, index: int, **identity: Any) -> bytes:
        """The next chunk as a server-sent event, b"" at the end; `identity` replaces fields of it.

        Raises UpstreamError, UpstreamTimeout, UpstreamDisconnected.
        """
        chunk = await self._next()
        if chunk is None:
            return b""
        told = chunk.model_dump(exclude_none=True, warnings=False)
        for choice in told.get("choices") or ():
            choice["index"] = index
            self._look(choice)
        return b"data: " + msgspec.json.encode(_lean(told) | identity) + b"\n\n"

    async def close(self) -> None:
        """Stop the provider."""
        self._exchange.close()
        await self._stream.aclose()

    async def _next(self) -> Any:
        if self._first is not None:
            chunk, self._first = self._first, None
            return chunk
        loop = asyncio.get_running_loop()
        # Its own connections tell a silent provider better; those of litellm's only through their chunks.
        seen = self._exchange.status is not None
        until = self._until if seen else min(self._until, loop.time() + self._timeouts.idle_s)
        try:
            async with asyncio.timeout_at(until):
                return await anext(self._stream, None)
        except TimeoutError:
            name = "total_s" if until == self._until else "idle_s"
            limit = getattr(self._timeouts, name)
            where = self._exchange.where
            raise UpstreamTimeout(f"{where} sent nothing further within {limit:g} s ({name})") from None
        except Exception as error:  # noqa: BLE001 -- litellm raises whatever its translation runs into
            raise self._translate(error) from None

    def _look(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta") or {}
        self.blocks.take(delta)
        _without_echoes(delta)
        received = ("received_finish_reason", "intermittent_finish_reason")
        said = any(getattr(self._stream, name, None) for name in received)
        if choice.get("finish_reason") and not (said and self._exchange.ended):
            raise UpstreamDisconnected(f"{self._exchange.where} ended its answer without finishing it")


def _without_echoes(delta: dict[str, Any]) -> None:
    """Leave a text in one field only; signed blocks stay beside reasoning that is the chunk's one thing."""
    fields = delta.get("provider_specific_fields")
    if fields is not None:
        fields.pop("thinking_blocks", None)
        fields.pop("reasoning_content", None)
        if not fields:
            del delta["provider_specific_fields"]
    if delta.get("thinking_blocks") and (delta.get("content") or delta.get("tool_calls")):
        del delta["thinking_blocks"]
    if delta.get("content") == "" and len(delta) > 1:
        del delta["content"]


def _lean(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name == "choices" or value not in (None, [], {})}
