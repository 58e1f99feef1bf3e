"""Loading litellm, once a process and only when a configuration names this backend: it costs two seconds.

Rules: nothing is fetched at import; nothing is printed, logged or reported by it, for its messages repeat prompts and
addresses with keys; it refuses no answer for repeating itself, which is the checks' business.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping
from typing import Any

from guard.errors import MissingExtra

_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else the table of models is fetched from a code host at import
    "LITELLM_LOG": "CRITICAL",
}
_SETTINGS: Mapping[str, Any] = {
    "REPEATED_STREAMING_CHUNK_LIMIT": 10**9,  # else the hundredth equal chunk is an InternalServerError
    "suppress_debug_info": True,  # else it prints advertisements of itself on every error
    "set_verbose": False,
    "telemetry": False,
    "turn_off_message_logging": True,
    "disable_streaming_logging": True,  # else it keeps every chunk of a stream and puts it together again at its end
    "disable_hf_tokenizer_download": True,
    "user_url_validation": True,  # addresses of images come from clients: none inside the own network
}
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx", "httpcore", "openai")


def load() -> Any:
    """The litellm module, quiet. Blocks for seconds the first time. Raises MissingExtra."""
    for variable, wanted in _ENVIRONMENT.items():
        os.environ.setdefault(variable, wanted)
    _hush()
    try:
        litellm = importlib.import_module("litellm")
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the litellm backend needs {error.name!r}: pip install 'premise-guard[hosted]'") from None
    for name, value in _SETTINGS.items():
        setattr(litellm, name, value)
    _hush()  # it sets levels of its own while it loads
    return litellm


def _hush() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
