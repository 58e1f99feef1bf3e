"""What is known of one choice while its events come. Pure state, no events and no bytes made here."""

from __future__ import annotations

from typing import Any, NamedTuple

from guard.chat.tags import TagSplitter


class Place(NamedTuple):
    """A choice in an event: the event's JSON, which of its choices, and the bytes to keep for it, if any."""

    data: bytes
    position: int
    raw: bytes | None = None


class Mark(NamedTuple):
    """What a text in the splitter is tied to: the bytes of its event, which it keeps if it comes out whole."""

    raw: bytes | None
    logprobs: Any
    data: bytes


class Progress:
    """One choice.

    Attributes:
        index: guard's.
        splitter: while tags may come.
        done: it has had its finish.
        torn: what went into the splitter and has not come out whole.
    """

    __slots__ = ("_calls", "done", "index", "splitter", "torn")

    def __init__(self, index: int, splitter: TagSplitter | None) -> None:
        self.index = index
        self.splitter = splitter
        self.done = False
        self.torn: list[Mark] = []
        self._calls: list[str] = []

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

    def feed(self, text: str, mark: Mark) -> list[Any]:
        """Give the splitter a text; the pieces that it decided."""
        assert self.splitter is not None
        if mark.raw is not None:
            self.torn.append(mark)
        return self.splitter.feed(text, mark)

    def came_out(self, mark: Mark) -> None:
        """A text left the splitter as it went in."""
        self.torn = [torn for torn in self.torn if torn is not mark]

    def settle(self) -> list[Mark]:
        """Forget the splitter if it has decided everything; what it tore for good."""
        if self.splitter is None or not self.splitter.settled:
            return []
        self.splitter = None
        torn, self.torn = self.torn, []
        return torn
