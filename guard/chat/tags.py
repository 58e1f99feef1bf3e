"""Reasoning that a server leaves in the content, between inline tags.

An incremental splitter: text in, pieces of a channel and tags out. Pure. Knows nothing of servers or chunks: `mark` is
whatever the caller ties to a text, and comes back on every piece that is exactly that text.

Rules: an opening tag counts only at the start of a turn (white space before it belongs to it), a closing one only
after it; what might be the start of a tag is held until it is decided; the text of a channel does not depend on how it
was cut; the pieces joined are the text that was fed.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Kind = Literal["reasoning", "content", "open", "close"]
Start = Literal["undecided", "open", "inside"]
"""How a turn starts: it may open with the tag; inside reasoning, which an opening tag may still repeat (the template
wrote one); or in the middle of reasoning (a continued turn)."""


class Piece(NamedTuple):
    """Text of a channel, or a tag; `mark` is None where the piece is not exactly one text that was fed."""

    kind: Kind
    text: str
    mark: Any = None


class TagSplitter:
    """Splits the content of one turn. Once `settled` everything is content, and it need not be asked any more."""

    __slots__ = ("_close", "_held", "_open", "_state")

    def __init__(self, tags: tuple[str, str], start: Start = "undecided") -> None:
        self._open, self._close = tags
        self._held: list[tuple[str, Any]] = []
        self._state: Start | Literal["content"] = start

    @property
    def settled(self) -> bool:
        """Whether the reasoning is over, or there is none."""
        return self._state == "content"

    def feed(self, text: str, mark: Any = None) -> list[Piece]:
        """What this text decided."""
        if not self._held and (self._state == "content" or (self._state == "inside" and self._close[0] not in text)):
            return [Piece("content" if self._state == "content" else "reasoning", text, mark)]
        self._held.append((text, mark))
        return self._advance()

    def flush(self) -> list[Piece]:
        """What was held, now that nothing more will come: no tag after all."""
        kind: Kind = "reasoning" if self._state in ("open", "inside") else "content"
        self._state = "content"
        return self._take(sum(len(text) for text, _ in self._held), kind)

    def _advance(self) -> list[Piece]:
        pieces: list[Piece] = []
        if self._state in ("undecided", "open"):
            pieces += self._start()
        if self._state == "inside":
            pieces += self._inside()
        if self._state == "content":
            pieces += self.flush()
        return pieces

    def _start(self) -> list[Piece]:
        text = "".join(held for held, _ in self._held)
        said = text.lstrip()
        if said.startswith(self._open):
            self._state = "inside"
            return self._take(len(text) - len(said) + len(self._open), "open")
        if not self._open.startswith(said):
            self._state = "inside" if self._state == "open" else "content"
        return []

    def _inside(self) -> list[Piece]:
        text = "".join(held for held, _ in self._held)
        at = text.find(self._close)
        if at < 0:
            return self._take(len(text) - _overlap(text, self._close), "reasoning")
        self._state = "content"
        return self._take(at, "reasoning") + self._take(len(self._close), "close")

    def _take(self, size: int, kind: Kind) -> list[Piece]:
        """The first `size` held characters; those of a tag are one piece however they were cut."""
        pieces: list[Piece] = []
        while size > 0:
            text, mark = self._held[0]
            if len(text) > size:
                self._held[0] = (text[size:], None)
                pieces.append(Piece(kind, text[:size]))
                break
            del self._held[0]
            size -= len(text)
            if text:
                pieces.append(Piece(kind, text, mark))
        if kind in ("open", "close") and len(pieces) > 1:
            return [Piece(kind, "".join(piece.text for piece in pieces))]
        return pieces


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    sizes = range(min(len(text), len(tag) - 1), 0, -1)
    return next((size for size in sizes if tag.startswith(text[-size:])), 0)
