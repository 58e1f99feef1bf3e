"""What the client will see, in order: sent already, or still held back.

Positions count the characters of everything ever appended and not cut, over all channels: one sequence, because what
comes later in a turn must not overtake what comes earlier. Does not know why something is held.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from guard.core.events import Piece
from guard.core.types import CHANNELS, Channel


class Tape:
    """A sequence of pieces of which a prefix has been sent."""

    __slots__ = ("_held", "_text", "end", "sent")

    def __init__(self) -> None:
        self._held: deque[tuple[int, Piece]] = deque()
        self._text: dict[Channel, list[str]] = {channel: [] for channel in CHANNELS}
        self.end = 0
        """Position behind the last piece."""
        self.sent = 0
        """Position behind what has been sent; it never falls."""

    def append(self, piece: Piece, size: int) -> None:
        """Add a piece that takes up `size` positions (0: it goes with what stands before it)."""
        self._held.append((size, piece))
        self.end += size

    def insert(self, at: int, piece: Piece) -> None:
        """Put a piece of size 0 behind what ends at `at`, or first in line if that has been sent.

        Places behind it that later pieces tell of move on by its text.
        """
        later: list[tuple[int, Piece]] = []
        while self._held and self.end - sum(size for size, _ in later) > max(at, self.sent):
            later.append(self._held.pop())
        position = self.end - sum(size for size, _ in later)
        if later and position < at:
            size, straddling = later.pop()
            before, after = _split(straddling, at - position)
            self._held.append((at - position, before))
            later.append((size - (at - position), after))
        place = len(self.text(piece.channel))
        self._held.append((0, piece))
        self._held.extend((size, _moved(other, piece, place)) for size, other in reversed(later))

    def release(self, upto: int) -> list[Piece]:
        """Send everything up to a position; a piece that goes beyond it is split there."""
        out: list[Piece] = []
        held = self._held
        while held:
            size, piece = held[0]
            room = upto - self.sent
            if size > room:
                if room > 0:
                    piece, rest = _split(piece, room)
                    held[0] = (size - room, rest)
                    self._send(room, piece, out)
                break
            held.popleft()
            self._send(size, piece, out)
        return out

    def _send(self, size: int, piece: Piece, out: list[Piece]) -> None:
        self.sent += size
        out.append(piece)
        if piece.text and not piece.tag:
            self._text[piece.channel].append(piece.text)

    def cut(self, at: int) -> None:
        """Drop what is held beyond a position."""
        while self._held and self.end > max(at, self.sent):
            size, piece = self._held.pop()
            room = max(at, self.sent) - (self.end - size)
            if room > 0:
                self._held.append((room, _split(piece, room)[0]))
            self.end -= size - max(room, 0)

    def held(self, channel: Channel) -> int:
        """How many positions of a channel's text are held back."""
        return sum(size for size, piece in self._held if piece.channel == channel and not piece.tag)

    def text(self, channel: Channel) -> str:
        """All text of a channel that has been sent or is about to be."""
        held = [piece.text for _, piece in self._held if piece.channel == channel and not piece.tag]
        return "".join(self._text[channel] + held)


def _moved(piece: Piece, inserted: Piece, place: int) -> Piece:
    event, by = piece.guard, len(inserted.text)
    if event is None or event.channel != inserted.channel:
        return piece
    discarded = event.discarded and _along(event.discarded, place, by)
    return replace(piece, guard=replace(event, span=_along(event.span, place, by), discarded=discarded))


def _along(span: tuple[int, int], place: int, by: int) -> tuple[int, int]:
    start, end = span
    return start + by * (start >= place), end + by * (start >= place or end > place)


def _split(piece: Piece, at: int) -> tuple[Piece, Piece]:
    """A text piece in two; the upstream's chunk fits neither half, its log-probabilities are shared out."""
    before, after = split_logprobs(piece.logprobs, at)
    first = replace(piece, text=piece.text[:at], raw=None, logprobs=before)
    return first, replace(piece, text=piece.text[at:], raw=None, guard=None, logprobs=after)


def split_logprobs(logprobs: object, at: int) -> tuple[object, object]:
    """OpenAI's `{"content": [{"token": ...}, ...]}`, or a raw completion's parallel lists (`tokens`, ...), at a
    character; a token across the cut stays with its start."""
    if not isinstance(logprobs, dict):
        return None, None
    told = logprobs.get("content")
    listed = told if isinstance(told, list) else logprobs.get("tokens")
    if not isinstance(listed, list):
        return None, None
    position, split = 0, 0
    while split < len(listed) and position < at:
        entry = listed[split]
        position += len(str(entry.get("token", "")) if isinstance(entry, dict) else str(entry))
        split += 1
    size = len(listed)
    parallel = {name: value for name, value in logprobs.items() if isinstance(value, list) and len(value) == size}
    before = {name: value[:split] for name, value in parallel.items()}
    after = {name: value[split:] for name, value in parallel.items()}
    return {**logprobs, **before}, {**logprobs, **after}
