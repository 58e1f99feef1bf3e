"""What may stand in guard.yaml for a model behind litellm, and the key it names.

Knows no litellm. Rules: no value of a secret is in a repr, a message or a log, whatever was mistyped; what guard sets
in every call cannot be overruled from `extra`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from guard.backends import Options
from guard.errors import ConfigError

Seconds = Annotated[float, Field(gt=0)]

_SET_BY_GUARD = {"model", "messages", "prompt", "n", "stream", "stream_options", "client", "timeout", "api_key"}


class Timeouts(BaseModel):
    """Patience with the provider, in seconds.

    `connect_s`: name, TCP and TLS. `first_token_s`: from the request to the first event. `idle_s`: between two reads.
    `total_s`: a whole attempt.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect_s: Seconds = 5
    first_token_s: Seconds = 60
    idle_s: Seconds = 60
    total_s: Seconds = 900


class LiteLLMOptions(Options):
    """One model of one provider.

    Attributes:
        model: litellm's name for it, the provider in front: `anthropic/claude-sonnet-4-5`.
        api_base: where the provider is reached, if not where litellm knows it to be.
        api_key_env: environment variable with the key. Without it litellm reads the provider's own variables
            (`ANTHROPIC_API_KEY`, `AWS_...`).
        client_key: the client's bearer key goes to the provider, before any other. Only where clients hold keys of that
            provider: otherwise what they send is meant for guard.
        extra: arguments for litellm in every call (`aws_region_name`, `vertex_project`, `drop_params`, ...).
        pass_fields: request fields that go on to litellm besides those of OpenAI's chat and the usual sampling ones.
            Other fields are refused: litellm takes addresses and credentials among them.
        continuation: `auto`: a cut answer is gone on with where litellm's table says that the model can;
            `field_prefill`: also where the table does not know the model; `reask`: never.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=())

    model: Annotated[str, Field(min_length=1)]
    api_base: str | None = Field(default=None, repr=False)  # its query may hold a key
    api_key_env: str | None = None
    client_key: bool = False
    extra: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    pass_fields: tuple[str, ...] = ()
    continuation: Literal["auto", "field_prefill", "reask"] = "auto"
    timeouts: Timeouts = Timeouts()

    @field_validator("api_base")
    @classmethod
    def _reachable(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("api_base must be an http:// or https:// address")
        if parts.username is not None or parts.password is not None:
            raise ValueError("api_base must not hold credentials: name an environment variable in api_key_env")
        return url

    @model_validator(mode="after")
    def _ours_stay_ours(self) -> Self:
        if taken := sorted(_SET_BY_GUARD & self.extra.keys()):
            raise ValueError(f"extra must not hold {', '.join(taken)}: guard sets that itself")
        return self

    def key(self) -> str | None:
        """The configured key, or None. Raises ConfigError if the variable that should hold it is not set."""
        if self.api_key_env is None:
            return None
        value = os.environ.get(self.api_key_env, "").strip()
        if not value:
            raise ConfigError(f"api_key_env: the environment variable {self.api_key_env!r} is not set")
        return value
