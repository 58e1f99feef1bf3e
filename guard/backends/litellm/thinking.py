"""Signed reasoning: Claude wants it back, unaltered, in front of the calls that it led to.

Pure. Knows litellm's `thinking_blocks` and nothing of requests otherwise. A block that was cut has no signature and is
not kept: an attempt that goes on without it has to go on without reasoning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from guard.chat.continuation import Call

_ASKS = ("thinking", "reasoning_effort")


class Blocks:
    """Collects the whole blocks of one answer."""

    def __init__(self) -> None:
        self.whole: list[Mapping[str, Any]] = []
        self._text = ""

    def take(self, delta: Mapping[str, Any]) -> None:
        """What a delta brings; a signature ends a block."""
        for block in delta.get("thinking_blocks") or ():
            if block.get("type") == "redacted_thinking":
                self.whole.append(block)
                continue
            self._text += block.get("thinking") or ""
            if signature := block.get("signature"):
                self.whole.append({"type": "thinking", "thinking": self._text, "signature": signature})
                self._text = ""


def asked(body: Mapping[str, Any]) -> bool:
    """Whether the request asks for reasoning."""
    wanted = body.get("thinking")
    disabled = isinstance(wanted, Mapping) and wanted.get("type") == "disabled"
    return (bool(wanted) and not disabled) or body.get("reasoning_effort") not in (None, "none")


def returned(call: Call, blocks: Sequence[Mapping[str, Any]]) -> Call:
    """The same call with these blocks in front of the calls it answers; without any, with reasoning off."""
    if not blocks:
        return replace(call, body={name: value for name, value in call.body.items() if name not in _ASKS})
    messages = list(call.body["messages"])
    at = max(i for i, message in enumerate(messages) if message.get("tool_calls"))
    messages[at] = {**messages[at], "thinking_blocks": list(blocks)}
    return replace(call, body={**call.body, "messages": messages})
