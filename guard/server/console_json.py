"""JSON of whatever stands in the log. A model's text may hold what no UTF-8 has: lone surrogates become `?`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def encoded(value: Any) -> bytes:
    """A value of plain types and dataclasses as JSON."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_plain(msgspec.to_builtins(value)))


def answered(value: Any) -> Response:
    """A response with the value as its body. What the log says now is not kept by any cache."""
    return Response(encoded(value), media_type="application/json", headers=_HEADERS)


def _plain(value: Any) -> Any:
    """The same with text that can be sent, of the same length in characters: offsets into it stay."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
