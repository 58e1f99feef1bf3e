"""What of an answer is read and passed on where it is no stream: errors, lists, headers.

Knows HTTP, not what was asked. Rules: every body has an end; no word of an error is the address that was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

ERROR_LIMIT = 64 << 10
"""Bytes of an error body that are passed on."""

MODELS_LIMIT = 16 << 20
"""Bytes of a list of models that are read."""

_PASSED = ("x-ratelimit-", "openai-")
_PASSED_WHOLE = frozenset(("retry-after", "retry-after-ms", "x-request-id", "request-id"))


def passed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The response headers a client can use: rate limits, request ids; lower-case names."""
    low = ((name.lower(), value) for name, value in headers.items())
    return {name: value for name, value in low if name in _PASSED_WHOLE or name.startswith(_PASSED)}


def kind(headers: Mapping[str, str]) -> dict[str, str]:
    """The type of a body that is passed on as it came."""
    return {"content-type": headers["content-type"]} if "content-type" in headers else {}


async def read_some(response: aiohttp.ClientResponse) -> bytes:
    """An error's body as far as it comes within two seconds and `ERROR_LIMIT`."""
    body = bytearray()
    try:
        async with asyncio.timeout(2):
            while len(body) < ERROR_LIMIT and (data := await response.content.readany()):
                body += data
    except (aiohttp.ClientError, OSError):  # TimeoutError is one
        pass
    finally:
        response.close()
    return bytes(body[:ERROR_LIMIT])


async def read_models(response: aiohttp.ClientResponse) -> bytes:
    """A list of models, as far as `MODELS_LIMIT`."""
    body = bytearray()
    while len(body) < MODELS_LIMIT and (data := await response.content.readany()):
        body += data
    return bytes(body[:MODELS_LIMIT])


def said(error: Exception) -> str:
    """The error in its own words, without the address: its query may hold a key."""
    if isinstance(error, aiohttp.ClientResponseError):
        return " ".join(error.message.split()) or type(error).__name__
    known = isinstance(error, (aiohttp.ClientConnectionError, OSError))
    return (str(error) if known else "") or type(error).__name__
