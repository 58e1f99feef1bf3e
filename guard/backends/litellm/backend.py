"""The backend: one model of one provider, shared by all requests.

Joins options, library and caller; knows no chunk and no policy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from guard.backends import ChatRequest, Options, estimate_tokens
from guard.backends.litellm.library import load
from guard.backends.litellm.options import LiteLLMOptions
from guard.backends.litellm.turn import LiteLLMTurn, prefills
from guard.chat.asked import telling
from guard.errors import RequestError

if TYPE_CHECKING:
    from guard.backends.litellm.caller import Caller


class LiteLLMBackend:
    """See `guard.backends.Backend`."""

    Options: ClassVar[type[Options]] = LiteLLMOptions

    def __init__(self, options: LiteLLMOptions) -> None:
        self._options = options
        self._caller: Caller | None = None

    async def start(self) -> None:
        """Load litellm, which takes seconds; nothing is sent.

        Raises ConfigError (no such provider, key not set), MissingExtra.
        """
        self._caller = await asyncio.to_thread(_made, self._options)

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        if self._caller is not None:
            await self._caller.close()

    def begin(self, request: ChatRequest) -> LiteLLMTurn:
        """A turn for this request; nothing is sent yet. Raises RequestError for a raw completion."""
        if request.prompt is not None:
            raise RequestError("the litellm backend serves chat only", param="prompt")
        assert self._caller is not None  # start comes first
        return LiteLLMTurn(telling(request), self._options, self._caller)

    def count(self, text: str) -> int:
        """Tokens of `text`, estimated: litellm's own tokenizers are fetched when they are asked."""
        return estimate_tokens(text)

    async def ready(self) -> Mapping[str, Any]:
        """That litellm is loaded; the provider is not asked. `missing` names variables with keys that are not set."""
        if self._caller is None:
            return {"ok": False, "continuation": "reask", "model": self._options.model}
        continuation = "field_prefill" if prefills(self._options, self._caller) else "reask"
        told = {"ok": True, "continuation": continuation, "model": self._options.model}
        missing = self._caller.missing()
        return told | {"missing": missing} if missing else told


def _made(options: LiteLLMOptions) -> Caller:
    litellm = load()
    from guard.backends.litellm.caller import Caller  # needs what litellm brings

    return Caller(options, litellm)
