"""What is known of one choice while its events come. Pure state, no events and no bytes made here."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from guard.chat.tags import Piece, TagSplitter


class Mark(NamedTuple):
    """What a text in the splitter is tied to: the event it came from (its JSON, which of its choices) and the bytes it
    keeps if it comes out whole. Or an event without text (`textless`) that waits for the text before it."""

    raw: bytes | None
    logprobs: Any = None
    data: bytes = b""
    position: int = 0
    textless: bool = False


class Progress:
    """One choice.

    Attributes:
        index: guard's.
        splitter: while tags may come.
        done: it has had its finish.
    """

    __slots__ = ("_calls", "_fed", "_held", "_out", "done", "index", "splitter")

    def __init__(self, index: int, splitter: TagSplitter | None) -> None:
        self.index = index
        self.splitter = splitter
        self.done = False
        self._calls: list[str] = []
        self._held: deque[tuple[int, Mark]] = deque()
        self._fed = 0
        self._out = 0

    def position(self, index: int | None, id_: str) -> int:
        """A call's index; where the upstream gives none, an id not seen before begins the next one."""
        if index is None and (not self._calls or (id_ and id_ not in self._calls)):
            index = len(self._calls)
        elif index is None:
            index = self._calls.index(id_) if id_ else len(self._calls) - 1
        while len(self._calls) <= index < 1024:  # more calls than any model makes: an index is not a size to trust
            self._calls.append("")
        if id_ and 0 <= index < len(self._calls):
            self._calls[index] = id_
        return index

    def feed(self, text: str, mark: Mark) -> list[Piece]:
        """Give the splitter a text; the pieces that it decided."""
        assert self.splitter is not None
        self._fed += len(text)
        self._held.append((self._fed, mark))
        return self.splitter.feed(text, mark)

    @property
    def holds(self) -> bool:
        """Whether the splitter holds text."""
        return bool(self._held)

    def waits(self, mark: Mark) -> bool:
        """Whether an event without text has to wait, because the splitter holds text that came before it."""
        if self._held:
            self._held.append((self._fed, mark))
        return self.holds

    def behind(self, piece: Piece) -> list[Mark]:
        """What comes behind this piece of the splitter's: texts that end with it and were torn, events that waited."""
        self._out += len(piece.text)
        ended: list[Mark] = []
        while self._held and self._held[0][0] <= self._out:
            mark = self._held.popleft()[1]
            bare = mark.raw is None and piece.kind in ("open", "close")  # a tag carries no log-probabilities
            if mark is not piece.mark or bare:
                ended.append(mark)
        return ended
