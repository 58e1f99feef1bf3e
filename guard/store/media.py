"""Images, sound and files in messages: stored as their type and hash, never as bytes.

Knows the content parts of OpenAI's API and its relatives by their type; text parts pass through untouched.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

MEDIA = frozenset(
    {"image_url", "input_image", "image", "input_audio", "audio", "audio_url"}
    | {"video_url", "input_video", "video", "file", "input_file", "document"}
)
"""Types of content parts that carry, or point to, something other than text."""

_DATA = "data:"


def strip(value: Any) -> Any:
    """A JSON value with every media part, and every string that is a data URL, as type and SHA-256."""
    if isinstance(value, str):
        return f"sha256:{_digest(value)}" if _is_data(value) else value
    if isinstance(value, Mapping):
        return _part(value) if _names_media(value) else {k: _field(k, v) for k, v in value.items()}
    return [strip(item) for item in value] if isinstance(value, (list, tuple)) else value


def holds_media(value: Any) -> bool:
    """Whether a JSON value contains a media part."""
    if isinstance(value, Mapping):
        return _names_media(value) or any(holds_media(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(holds_media(item) for item in value)


def _names_media(value: Mapping[str, Any]) -> bool:
    return isinstance(kind := value.get("type"), str) and kind in MEDIA


def _field(key: str, value: Any) -> Any:
    # An assistant's spoken answer is no content part but a field of the message.
    return _part(value) if key == "audio" and isinstance(value, Mapping) and "data" in value else strip(value)


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type", "audio")
    return {
        "type": kind,
        "sha256": part["sha256"] if set(part) == {"type", "sha256"} else _digest(_payload(part)),
    }


def _payload(part: Mapping[str, Any]) -> str:
    """The part's long string where it has one: the same picture has the same hash wherever it is sent."""
    strings = list(_strings(part))
    data = [text for text in strings if _is_data(text)] or [text for text in strings if len(text) > 256]
    return data[0] if data else json.dumps(part, sort_keys=True, default=str)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [text for item in items for text in _strings(item)]


def _is_data(text: str) -> bool:
    return text.startswith(_DATA) and "," in text[:256]


def _digest(text: str) -> str:
    payload = text.partition(",")[2] if _is_data(text) else text
    try:
        raw = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raw = payload.encode(errors="surrogatepass")
    return hashlib.sha256(raw).hexdigest()
