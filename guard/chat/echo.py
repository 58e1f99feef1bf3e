"""Whether an answer repeats the unfinished turn that it was to go on from.

llama.cpp's server does, unless it is asked with a flag of its own; a client that sent such a turn expects it. The
session must know: it would take the repetition for the turn going on, and read words that no sentence holds.

Pure: batches in, batches out; what might be a repetition is held until that is decided. A turn shorter than `LEAST`
is not compared, for a model may say so little twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from guard.backends import Batch, Item, Usage
from guard.core.events import Delta, Event, Extra, Opened
from guard.core.types import Channel

LEAST = 12
"""Characters of a client's turn below which an answer is not compared with it."""


class _Choice:
    """What one choice has said while it may repeat the turn."""

    def __init__(self, prefix: Mapping[Channel, str]) -> None:
        self._prefix = prefix
        self._said: dict[Channel, str] = {}
        self.held: list[Item] = []

    def look(self, event: Event) -> bool | None:
        """Whether it repeats the turn, as far as this event decides it."""
        if isinstance(event, Opened) or (isinstance(event, Extra) and not event.tag):
            return None
        if not isinstance(event, Delta) or not self._prefix.get(event.channel):
            return False
        said = self._said[event.channel] = self._said.get(event.channel, "") + event.text
        told = self._prefix[event.channel]
        if not (told.startswith(said) or said.startswith(told)):
            return False
        whole = all(self._said.get(channel, "").startswith(text) for channel, text in self._prefix.items())
        return True if whole else None


class Echo:
    """Attempt 0 of a request whose client sent an unfinished turn: its `Opened` tell whether the answer repeats it."""

    astray = False
    """It never is; see `guard.chat.opening.Opening`."""

    def __init__(self, prefix: Mapping[Channel, str], choices: Iterable[int]) -> None:
        told: dict[Channel, str] = {channel: text for channel, text in prefix.items() if text}
        enough = sum(len(text) for text in told.values()) >= LEAST
        self._open = {index: _Choice(told) for index in choices} if enough else {}

    def feed(self, batch: Batch) -> list[Item]:
        """What is decided; the rest is held."""
        if not self._open:
            return list(batch)
        out: list[Item] = []
        for item in batch:
            if isinstance(item, Usage) or (choice := self._open.get(item[0])) is None:
                out.append(item)
                continue
            choice.held.append(item)
            if (repeats := choice.look(item[1])) is not None:
                out += self._decided(item[0], repeats)
        return out

    def end(self) -> list[Item]:
        """No more will come: what is held repeats nothing."""
        return [item for index in tuple(self._open) for item in self._decided(index, False)]

    def _decided(self, index: int, repeats: bool) -> list[Item]:
        held = self._open.pop(index).held
        return [_repeating(item) for item in held] if repeats else held


def _repeating(item: Item) -> Item:
    if isinstance(item, Usage) or not isinstance(item[1], Opened):
        return item
    return item[0], replace(item[1], echoes=True)
