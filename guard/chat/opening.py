"""The first characters of a reply that should go on from a prefilled message: does it?

Pure: batches in, batches out. A server that passed its trial, or was never tried, may still begin a new message; that
is seen before anything of it is handed on, so that the turn can be continued another way. Rules:
  A reply starts over if it begins as the message begins: `ENOUGH` characters, or all of a message that is not shorter
  than `LEAST`; or if it reasons where content was to go on. White space counts: a model that says its first sentence
  once more begins with a space.
  White space that was taken from the message's end is not written twice.
"""

from __future__ import annotations

from dataclasses import replace

from guard.backends import Batch, Item, Usage
from guard.core.events import Delta, Finished, ToolDelta
from guard.core.tape import split_logprobs
from guard.core.types import Channel

ENOUGH = 24
"""Equal characters at both beginnings that are not chance."""

LEAST = 12
"""A shorter message is not compared."""


class Opening:
    """Holds a reply until it is clear that it goes on.

    Args:
        channel: the one that was left open.
        told: the message's text in it.

    Attributes:
        astray: it starts over; nothing of it has been handed on.
    """

    def __init__(self, channel: Channel, told: str) -> None:
        self._channel = channel
        self._told = told.rstrip()
        self._blank = told[len(told.rstrip()) :]
        self._said = ""
        self._held: list[Item] = []
        self._settled = False
        self.astray = False

    def feed(self, batch: Batch) -> list[Item]:
        """What may go on now; empty while it is not clear, and once it is `astray`."""
        items = [each for item in batch if (each := self._trimmed(item)) is not None]
        if self._settled:
            return items
        self._held += items
        for item in items:
            self._look(item)
            if self.astray:
                return []
        return self._let_go() if self._settled else []

    def end(self) -> list[Item]:
        """No more will come."""
        if not self._settled and self._starts_over():
            self.astray = True
            return []
        return self._let_go()

    def _let_go(self) -> list[Item]:
        self._settled = True
        held, self._held = self._held, []
        return held

    def _look(self, item: Item) -> None:
        if isinstance(item, Usage) or self._settled:
            return
        delta = item[1]
        if isinstance(delta, Finished | ToolDelta):
            self.astray = self._starts_over()
            self._settled = not self.astray
        if not isinstance(delta, Delta):
            return
        if delta.channel != self._channel:
            # Reasoning that is over is followed by content; content is not followed by reasoning.
            self.astray = self._channel == "content" or self._starts_over()
            self._settled = not self.astray
            return
        self._said += delta.text
        if len(self._said) >= min(ENOUGH, len(self._told)) or not self._told.startswith(self._said):
            self.astray = self._starts_over()
            self._settled = not self.astray

    def _starts_over(self) -> bool:
        size = min(ENOUGH, len(self._told))
        same = self._said[:size]
        return len(same) >= min(LEAST, size) >= LEAST and self._told.startswith(same)

    def _trimmed(self, item: Item) -> Item | None:
        """The item without white space that stands in the message already; None if nothing is left."""
        if not self._blank or isinstance(item, Usage):
            return item
        choice, delta = item
        if not isinstance(delta, Delta):
            return item
        if delta.channel != self._channel:
            self._blank = ""
            return item
        twice = next(
            (i for i, pair in enumerate(zip(delta.text, self._blank, strict=False)) if pair[0] != pair[1]), None
        )
        size = min(len(delta.text), len(self._blank)) if twice is None else twice
        self._blank = "" if twice is not None else self._blank[size:]
        if not size:
            return item
        rest = split_logprobs(delta.logprobs, size)[1]
        return (choice, replace(delta, text=delta.text[size:], tokens=(), logprobs=rest)) if delta.text[size:] else None
