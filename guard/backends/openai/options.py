"""What may stand in guard.yaml for an OpenAI-compatible server, and the secrets it names.

Knows no network. Rules: no value of a secret is in a repr, a message or a log, whatever was mistyped; a base_url
holds no credentials, because it is shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from guard.backends import Options, Timeouts
from guard.chat.prefill import Dialect
from guard.errors import ConfigError

Reasoning = Literal["auto", "field", "inline", "inline_open"]
Route = Literal["completions", "input_ids"]
Best = Literal["auto", "token_exact", "text_exact", "field_prefill", "reask"]


class OpenAIOptions(Options):
    """One OpenAI-compatible server.

    Attributes:
        base_url: up to and including `/v1`; a query (Azure's `api-version`) goes on every request.
        model: the server's name for the model; None: the client's.
        api_key_env: environment variable with the key. It wins over the client's Authorization.
        api_key: the key itself, for programs; a configuration file should name `api_key_env`.
        reasoning: `field`: only in fields. `inline`: between tags at the start of the content. `inline_open`: the
            chat template wrote the opening tag. `auto`: fields if they come, else `inline`.
        tags: the opening and the closing tag.
        tokenizer: directory or hub name of the model's Hugging Face tokenizer: exact counts, and exact continuation
            of a cut turn over `/completions`. Only for models that reason between `tags`.
        continuation: the best way to continue a cut turn that is tried; what it cannot serve goes to the next below:
            `token_exact`, `text_exact` (both need a tokenizer), `field_prefill`, `reask`. `auto` begins at `text_exact`
            with a tokenizer, else at `field_prefill`; never at `token_exact`, for which the upstream must tell its
            token ids, the whole prompt's in every first chunk.
        prefill: how `field_prefill` asks; `auto` finds out by trying when a turn is first cut, a named dialect
            (`guard.chat.prefill`) is taken at its word.
        token_route: where a `token_exact` continuation goes: `/completions` (vLLM), or `input_ids` of the chat route
            (SGLang), which keeps tools and formats.
        logprobs: ask for log-probabilities, for checks that read them, also where the client does not; it then gets
            none. Only for servers that tell them with every request (some refuse them, or tools beside them).
        headers: sent with every request.
        verify: check the server's TLS certificate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str = Field(repr=False)  # its query may hold a key
    model: str | None = None
    api_key_env: str | None = None
    api_key: SecretStr | None = None
    reasoning: Reasoning = "auto"
    tags: tuple[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]] = ("<think>", "</think>")
    tokenizer: str | None = None
    continuation: Best = "auto"
    prefill: Literal["auto"] | Dialect = "auto"
    token_route: Route = "completions"  # noqa: S105 (a route, no secret)
    logprobs: bool = False
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False)
    timeouts: Timeouts = Timeouts()
    verify: bool = True

    @field_validator("base_url")
    @classmethod
    def _reachable(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must be an http:// or https:// address such as 'http://localhost:8000/v1'")
        if parts.username is not None or parts.password is not None:
            raise ValueError("base_url must not hold credentials: name an environment variable in api_key_env")
        return url

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.api_key is not None and self.api_key_env is not None:
            raise ValueError("give api_key_env or api_key, not both")
        if self.continuation in ("token_exact", "text_exact") and self.tokenizer is None:
            raise ValueError(f"continuation: {self.continuation} needs a tokenizer")
        if self.prefill != "auto" and self.continuation == "reask":
            raise ValueError(f"prefill: {self.prefill} is never used under continuation: reask")
        if self.token_route == "input_ids" and self.continuation != "token_exact":  # noqa: S105
            raise ValueError(f"token_route: {self.token_route} is only used under continuation: token_exact")
        return self

    def key(self) -> str | None:
        """The configured key, or None. Raises ConfigError if the variable that should hold it is not set."""
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        if self.api_key_env is None:
            return None
        value = os.environ.get(self.api_key_env, "").strip()
        if not value:
            raise ConfigError(f"api_key_env: the environment variable {self.api_key_env!r} is not set")
        return value
