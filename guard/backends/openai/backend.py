"""The backend: one configured server, shared by all requests.

Joins options, connections and tokenizer; knows no chunk and no policy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from guard.backends import ChatRequest, Options, Verbatim, estimate_tokens
from guard.backends.openai.learned import Clock
from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.prober import Prober
from guard.backends.openai.template import Template
from guard.backends.openai.turn import OpenAITurn
from guard.backends.openai.upstream import Upstream
from guard.backends.openai.verbatim import Answer
from guard.chat.asked import telling
from guard.chat.trial import Abilities, Ability


class OpenAIBackend:
    """See `guard.backends.Backend`."""

    Options: ClassVar[type[Options]] = OpenAIOptions

    def __init__(self, options: OpenAIOptions, now: Clock = time.monotonic) -> None:
        self._options = options
        self._upstream = Upstream(options, now)
        self._prober = Prober(self._upstream, options, now)
        self._template: Template | None = None

    async def start(self) -> None:
        """Load the tokenizer if one is named and make the connection pool; the server need not be up yet.

        Raises ConfigError (no such tokenizer, key not set), MissingExtra.
        """
        if self._options.tokenizer is not None:
            self._template = await asyncio.to_thread(Template.load, self._options.tokenizer, self._options.tags)
        await self._upstream.open()

    async def close(self) -> None:
        """Stop what nobody waits for and close every connection."""
        await self._prober.close()
        await self._upstream.close()

    def begin(self, request: ChatRequest) -> OpenAITurn:
        """A turn for this request; nothing is sent yet."""
        told = telling(request, self._options.logprobs)
        return OpenAITurn(told, self._options, self._upstream, self._template, self._prober)

    @property
    def keyed(self) -> bool:
        """Whether requests go out with a key of guard's own."""
        own = self._options.api_key is not None or self._options.api_key_env is not None
        return own or any(name.lower() == "authorization" for name in self._options.headers)

    async def forward(self, request: Verbatim) -> Answer:
        """Pass a request on as it is; see `guard.backends.Forwarder`."""
        return await self._upstream.pass_on(request)

    async def models(self, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """The entries of the server's `/models`."""
        _, entries = await self._upstream.models(headers)
        return [entry for entry in entries if isinstance(entry, dict)]

    def count(self, text: str) -> int:
        """Tokens of `text`: exact with a tokenizer, else estimated."""
        return estimate_tokens(text) if self._template is None else self._template.count(text)

    async def ready(self) -> Mapping[str, Any]:
        """Whether the server answers `/models`, within two seconds.

        A server without that route (404, 405) is ready; so is one that asks for a key where the clients bring theirs.
        """
        status, _ = await self._upstream.models({})
        keyed = self._options.api_key is not None or self._options.api_key_env is not None
        alive = status == 200 or status in (404, 405) or (status in (401, 403) and not keyed)
        return {"ok": alive, "continuation": self._continuation(), "base_url": self._upstream.address}

    def _continuation(self) -> Mapping[str, Any]:
        """How a plain request would be continued; `unprobed` where that shows when a turn is first cut."""
        found = self._prober.known(self._options.model)
        told = {"content": self._way(found.content), "reasoning": self._way(found.reasoning)}
        return {**told, "probed": found != Abilities()}

    def _way(self, ability: Ability | None) -> str:
        best, upstream = self._options.continuation, self._upstream
        if best == "token_exact" and not upstream.ids.refused and not self._no_route():
            return "token_exact"
        renders = self._template is not None and self._template.renders
        if best in ("auto", "text_exact", "token_exact") and renders and not upstream.completions.refused:
            return "text_exact"
        if best == "reask":
            return "reask"
        if ability is None:
            return "unprobed"
        return "reask" if ability.dialect is None else "field_prefill"

    def _no_route(self) -> bool:
        return self._upstream.completions.refused and self._options.token_route == "completions"  # noqa: S105
