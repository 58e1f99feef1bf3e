"""Records to JSON text and back, exactly.

Knows nothing of tables or privacy. Rules:

- What is written can be read: a lone surrogate or a NUL in a model's text is escaped, a non-finite number (a
  log-probability of minus infinity) becomes a string that its field reads back as a number.
- Older and newer readers agree as far as they can: fields that a reader does not know are ignored, fields
  that a row does not have take their defaults.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from guard.errors import StoreError

T = TypeVar("T")

_UNWRITABLE = (TypeError, ValueError, RecursionError)


def encode(record: Any) -> str:
    """A record (or any dataclass of core types) as valid JSON text that UTF-8 can carry.

    Raises:
        StoreError: the record holds something that JSON cannot.
    """
    try:
        return _dump(msgspec.to_builtins(record, enc_hook=_plain))
    except _UNWRITABLE as error:
        raise StoreError(f"{type(record).__name__} cannot be written as JSON: {error}") from error


def decode(text: str, kind: type[T]) -> T:
    """The record that `text` was made from.

    Raises:
        StoreError: the text is not such a record (damaged, or its format has changed meaning).
    """
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=kind)
    # What it takes is what follows takes too; it takes no lone surrogate, and no number that is written as text.
    try:
        return _convert(json.loads(text), kind)
    except _UNWRITABLE as error:
        raise StoreError(f"stored {kind.__name__} {text[:80]!r} cannot be read: {error}") from error


def _convert(value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        # Strict first: reading leniently would turn text that looks like a number into one.
        return msgspec.convert(value, kind, strict=False)


def _dump(value: Any) -> str:
    try:
        text = _json(value, ascii_only=False)
    except ValueError:
        value = _finite(value)
        text = _json(value, ascii_only=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _json(value, ascii_only=True)
    return text


def _json(value: Any, *, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")
