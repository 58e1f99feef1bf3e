"""Cuts a model's text into reasoning and content at its tags.

Knows the two tags. Does not know tokens. Its rules:

1. The pieces joined are the text: a tag is a piece of no channel, and nothing is stripped.
2. An opening tag counts only at the start of a turn (blank text before it goes with it); a closing tag only in open
   reasoning. Anywhere else they are text.
3. How the text was cut never matters: text that may become a tag is held.
"""

from __future__ import annotations

from typing import TypeAlias

from guard.core.types import Channel

Tags: TypeAlias = tuple[str, str]
"""The opening and the closing tag of reasoning."""

Part: TypeAlias = tuple[Channel | None, str]
"""A piece of text and its channel; None for a tag."""


class Splitter:
    """One turn's text.

    Args:
        tags: what opens and closes reasoning, or None where the model has no such thing.
        channel: where the text begins; None at the start of a turn that may open reasoning itself.
    """

    __slots__ = ("_held", "_tags", "channel")

    def __init__(self, tags: Tags | None, channel: Channel | None) -> None:
        self._tags = tags
        self._held = ""
        self.channel: Channel | None = channel if tags else "content"

    @property
    def clean(self) -> bool:
        """Whether nothing is held."""
        return not self._held

    def feed(self, text: str) -> list[Part]:
        """The pieces that are certain by now."""
        self._held += text
        parts: list[Part] = []
        if self.channel is None:
            parts += self._start()
        if self.channel == "reasoning":
            parts += self._reason()
        if self.channel == "content":
            parts += self._take("content", len(self._held))
        return parts

    def flush(self) -> list[Part]:
        """The rest, when no more text will come: half a tag is text."""
        return self._take(self.channel or "content", len(self._held))

    def _start(self) -> list[Part]:
        assert self._tags
        said = self._held.lstrip()
        if said.startswith(self._tags[0]):
            self.channel = "reasoning"
            return self._take(None, len(self._held) - len(said) + len(self._tags[0]))
        if not self._tags[0].startswith(said):
            self.channel = "content"
        return []

    def _reason(self) -> list[Part]:
        assert self._tags
        close = self._tags[1]
        at = self._held.find(close)
        if at < 0:
            return self._take("reasoning", len(self._held) - overlap(self._held, close))
        self.channel = "content"
        return self._take("reasoning", at) + self._take(None, len(close))

    def _take(self, channel: Channel | None, size: int) -> list[Part]:
        text, self._held = self._held[:size], self._held[size:]
        return [(channel, text)] if text else []


def overlap(text: str, word: str) -> int:
    """The length of the longest end of `text` that `word` begins with and goes beyond."""
    sizes = range(min(len(text), len(word) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(word[:size])), 0)
