"""What went wrong, in guard's own errors: from what the line saw, else from litellm's exception.

Knows litellm's exceptions by name and attribute alone. Rules: the provider's status and words, not litellm's guess at
them; no traceback, no key; what never left this machine and bears a 400 is the client's request.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from guard.errors import GuardError, RequestError, UpstreamError, UpstreamTimeout

if TYPE_CHECKING:
    from guard.backends.litellm.line import Exchange

SHOWN = 500
"""Characters of a provider's words that a message repeats."""

_CLASSES = re.compile(r"^(?:(?:litellm\.)?\w+(?:Error|Exception|Timeout|Exceeded)\w*(?:: | - ))+")
_ADVICE = re.compile(
    r"\s*(?:Traceback \(most|This looks like a bug in LiteLLM|Original exception:|To drop these,|LiteLLM Retried).*",
    re.DOTALL,
)
_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_PASSED = ("x-ratelimit-", "anthropic-ratelimit-", "openai-")
_PASSED_WHOLE = frozenset(("retry-after", "retry-after-ms", "x-request-id", "request-id", "x-amzn-requestid"))


def passed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The response headers a client can use: rate limits, request ids; lower-case names."""
    low = ((name.lower(), value) for name, value in headers.items())
    return {name: value for name, value in low if name in _PASSED_WHOLE or name.startswith(_PASSED)}


def translated(error: Exception, exchange: Exchange, secrets: Iterable[str]) -> GuardError:
    """What to raise for an exception of litellm's."""
    if exchange.failure is not None:
        return exchange.failure
    if exchange.status is not None and exchange.status >= 400:
        words = _scrubbed(_words(exchange.refusal), secrets)
        headers = passed_headers(exchange.headers)
        message = f"{exchange.where} refused with {exchange.status}" + (f": {words}" if words else "")
        return UpstreamError(message, status=exchange.status, headers=headers)
    return _of_litellm(error, exchange, secrets)


def _of_litellm(error: Exception, exchange: Exchange, secrets: Iterable[str]) -> GuardError:
    cause = getattr(error, "original_exception", None) or error
    status = getattr(cause, "status_code", None)
    status = status if isinstance(status, int) and 400 <= status < 600 else 502
    said = _plain(str(getattr(cause, "message", None) or cause))
    words = _scrubbed(_words(said.encode()), secrets)
    name = type(cause).__name__
    asked = exchange.status is not None
    if name == "Timeout":
        return UpstreamTimeout(f"{exchange.where} did not answer in time: {words}")
    if name == "UnsupportedParamsError" or (status == 400 and not asked):
        return RequestError(words or name)
    if name == "APIConnectionError" and not asked:
        status = 502
    headers = passed_headers(getattr(cause, "litellm_response_headers", None) or {})
    verb = "reported in its stream" if asked else "failed"
    return UpstreamError(f"{exchange.where} {verb}: {words or name}", status=status, headers=headers)


def _words(body: bytes) -> str:
    """What an error body says, whoever wrote it."""
    text = body.decode(errors="replace").strip()
    try:
        said: Any = json.loads(text)
    except ValueError:
        return text
    while isinstance(said, (list, dict)):
        if isinstance(said, list):
            said = said[0] if said else ""
        else:
            said = next((said[name] for name in ("error", "message", "Message", "detail") if said.get(name)), text)
    return str(said)


def _plain(text: str) -> str:
    return _ADVICE.sub("", _CLASSES.sub("", text.strip())).strip()


def _scrubbed(text: str, secrets: Iterable[str]) -> str:
    """`text` on one line, not too long, without these secrets or any that the environment holds."""
    named = (value for name, value in os.environ.items() if name.upper().endswith(_SECRET_NAMES))
    for secret in sorted({*secrets, *named}, key=len, reverse=True):
        if len(secret) >= 8:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:SHOWN]
