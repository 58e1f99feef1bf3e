"""Asking one provider through litellm: arguments completed, connections given, the first chunk waited for.

Imported only once litellm is loaded. Knows no chunk and no events. Rules: nothing is tried twice once it was sent, no
other model is asked instead; a refusal is raised before anything is handed on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import httpx
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from openai import AsyncOpenAI

from guard.backends.litellm.answer import Answer
from guard.backends.litellm.failures import passed_headers, translated
from guard.backends.litellm.line import Exchange, Line, current
from guard.backends.litellm.options import LiteLLMOptions
from guard.errors import ConfigError, GuardError, UpstreamTimeout

BY_HTTP = frozenset(
    "anthropic azure_ai bedrock databricks deepseek fireworks_ai gemini groq hosted_vllm mistral"
    " ollama ollama_chat openrouter together_ai vertex_ai vertex_ai_beta xai".split()
)
"""Providers that litellm asks over an HTTP client it is handed."""

BY_SDK = frozenset({"openai", "custom_openai"})
"""Providers that it asks with OpenAI's SDK. All others it asks over connections of its own: they work, but follow
redirects, and what the line sees of an error has to be believed of litellm."""


class Caller:
    """One provider and its connections.

    Attributes:
        where: provider and model, for messages.
        provider: litellm's name for it.
        prefill: whether litellm's table says that the model goes on with a last assistant message; None: it does not
            know the model.
        prefill_refused: it has been seen not to.

    Raises ConfigError for a model of no provider that litellm knows, or a key that is not set.
    """

    def __init__(self, options: LiteLLMOptions, litellm: Any) -> None:
        self._options = options
        self._litellm = litellm
        self._key = options.key()
        named = options.extra.get("custom_llm_provider")
        try:
            model, self.provider, _, _ = litellm.get_llm_provider(
                options.model, custom_llm_provider=named, api_base=options.api_base
            )
        except litellm.exceptions.BadRequestError:
            raise ConfigError(
                f"litellm knows no provider of the model {options.model!r}: write provider/model"
            ) from None
        self.where = f"{self.provider} ({model})"
        rows = (litellm.model_cost.get(name) for name in (options.model, model))
        row = next((row for row in rows if row), None)
        # A row without the word is a model that cannot: the table names those that can.
        self.prefill = None if row is None else bool(row.get("supports_assistant_prefill"))
        self.prefill_refused = False
        self._ending = b'"finishReason"' if "gemini" in options.model and self.provider in BY_HTTP else b""
        self._line = Line(options.timeouts)
        self._http = httpx.AsyncClient(transport=self._line, follow_redirects=False, trust_env=False)
        self._handler = AsyncHTTPHandler(transport=self._line, follow_redirects=False)
        self._handler.client = self._http

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()
        await self._line.shut()

    def missing(self) -> list[str]:
        """Environment variables that should hold a key and do not."""
        if self._key is not None or self._options.client_key:
            return []
        names: list[str] = self._litellm.validate_environment(self._options.model)["missing_keys"]
        return names

    async def ask(self, arguments: Mapping[str, Any], bearer: str | None) -> tuple[Answer, dict[str, str]]:
        """The begun answer, and the response headers worth passing on. Raises UpstreamError, RequestError."""
        loop, times = asyncio.get_running_loop(), self._options.timeouts
        started = loop.time()
        exchange = Exchange(where=self.where, ending=self._ending)
        key = bearer if self._options.client_key and bearer else self._key
        secrets = [secret for secret in (key, bearer) if secret]

        def translate(error: Exception) -> GuardError:
            return translated(error, exchange, secrets)

        token = current.set(exchange)
        stream = None
        try:
            async with asyncio.timeout_at(started + times.first_token_s):
                stream = await self._litellm.acompletion(**self._completed(arguments, key))
                first = await anext(stream, None)
        except BaseException as error:
            exchange.close()
            if stream is not None:
                await stream.aclose()
            if isinstance(error, TimeoutError):
                limit = times.first_token_s
                raise UpstreamTimeout(f"{self.where} did not answer within {limit:g} s (first_token_s)") from None
            if not isinstance(error, Exception):
                raise
            raise translate(error) from None
        finally:
            current.reset(token)
        return Answer(stream, first, exchange, translate, times, started), passed_headers(exchange.headers)

    def _completed(self, arguments: Mapping[str, Any], key: str | None) -> dict[str, Any]:
        times = self._options.timeouts
        ours: dict[str, Any] = {
            "model": self._options.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "timeout": httpx.Timeout(max(times.first_token_s, times.idle_s), connect=times.connect_s),
            "num_retries": 0,
            "max_retries": 0,
            "no-log": True,
            # Tools go to the model alone: litellm would run those of type `mcp` itself, and load its proxy to see.
            "_skip_mcp_handler": True,
        }
        if self._options.api_base is not None:
            ours["api_base"] = self._options.api_base
        if key is not None:
            ours["api_key"] = key
        if (client := self._client(key)) is not None:
            ours["client"] = client
        return {**arguments, **ours, **self._options.extra}

    def _client(self, key: str | None) -> Any:
        if self.provider in BY_HTTP:
            return self._handler
        if self.provider not in BY_SDK:
            return None
        environment = os.environ
        return AsyncOpenAI(
            # A server of one's own asks for none, the SDK for any.
            api_key=key or environment.get("OPENAI_API_KEY") or "none",
            base_url=self._options.api_base or environment.get("OPENAI_BASE_URL") or environment.get("OPENAI_API_BASE"),
            http_client=self._http,
            max_retries=0,
        )
