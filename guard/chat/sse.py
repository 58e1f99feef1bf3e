"""Server-sent events from bytes: where one ends, what its data is, and the very bytes it came in.

Pure and sans I/O: `feed` takes whatever a read brought, `end` what is left when the stream closed. Knows nothing of
JSON, of `[DONE]` or of who sends it. Rules: the events do not depend on where the stream was cut; the bytes of an
event include its blank line, so that they can be sent on as they are; an event without data (a keep-alive comment) is
none.

Source: WHATWG HTML, "Server-sent events", with one leniency: a last event without its blank line counts.
"""

from __future__ import annotations

import re
from typing import TypeAlias

EVENT_LIMIT = 1 << 20
"""Bytes of one event beyond which a server is taken to be broken or hostile."""

Event: TypeAlias = tuple[bytes, bytes]
"""`data` (its lines joined by a newline) and `raw` (the bytes of the event, its blank line included)."""

_BOM = b"\xef\xbb\xbf"
_LF = 10
# A line end and an empty line. After a line feed a lone carriage return counts only once the byte behind it is
# known; after a carriage return the second one decides, and a line feed behind it opens the next event as a blank
# line: so that no cut of the stream changes where an event ends.
_BLANK = re.compile(rb"\n(?:\n|\r(?:\n|(?=[^\n])))|\r\r")


class EventReader:
    """Incremental parser of one stream.

    `overflow` is set when an event grew beyond `limit` bytes: the events before it were returned, nothing will be
    returned after it.
    """

    __slots__ = ("_buffer", "_fresh", "_limit", "_scanned", "overflow")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._buffer = bytearray()
        self._fresh = True
        self._limit = limit
        self._scanned = 0
        self.overflow = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this read completed, in order."""
        # What a server that flushes each event sends: one line and one blank line, nothing before and nothing after.
        size = len(chunk)
        if (
            not self._buffer
            and chunk[:6] == b"data: "
            and chunk.find(b"\n") == size - 2
            and size <= self._limit
            and chunk[-1] == _LF
            and b"\r" not in chunk
        ):
            self._fresh = False
            return [(chunk[6:-2], chunk)]
        return self._search(chunk)

    def end(self) -> list[Event]:
        """The last event, if the stream closed without its blank line; `raw` is completed with what it lacks."""
        self._skip_bom(closed=True)
        rest = bytes(self._buffer)
        self._buffer.clear()
        data = None if self.overflow else _data(rest)
        if data is None:
            return []
        return [(data, rest + (b"\n" if rest.endswith((b"\n", b"\r")) else b"\n\n"))]

    def _search(self, chunk: bytes) -> list[Event]:
        if self.overflow:
            return []
        buffer = self._buffer
        buffer += chunk
        if self._fresh and not self._skip_bom():
            return []
        events: list[Event] = []
        start = 0
        for end in self._ends():
            if end - start > self._limit:
                break
            raw = bytes(buffer[start:end])
            data = _data(raw)
            if data is not None:
                events.append((data, raw))
            start = end
        self._drop(start)
        return events

    def _ends(self) -> list[int]:
        """Where the events end that the buffer holds whole."""
        if b"\r" in self._buffer:
            return [blank.end() for blank in _BLANK.finditer(self._buffer, self._scanned)]
        ends: list[int] = []
        at = self._buffer.find(b"\n\n", self._scanned)
        while at >= 0:
            ends.append(at + 2)
            at = self._buffer.find(b"\n\n", at + 2)
        return ends

    def _drop(self, start: int) -> None:
        """Forget what has been read; a blank line may straddle the cut, so its first bytes are searched again."""
        del self._buffer[:start]
        self._scanned = max(0, len(self._buffer) - 2)
        if len(self._buffer) > self._limit:
            self.overflow = True
            self._buffer.clear()
            self._limit = 0

    def _skip_bom(self, closed: bool = False) -> bool:
        """Whether it is settled that the stream begins with a byte order mark (then it is gone) or does not."""
        if not self._fresh:
            return True
        if not closed and len(self._buffer) < len(_BOM) and _BOM.startswith(bytes(self._buffer)):
            return False
        self._fresh = False
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]
        return True


def _data(raw: bytes) -> bytes | None:
    """The data of one event, or None if it has no data line."""
    if raw[:6] == b"data: " and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return raw[6:-2]
    lines: list[bytes] = []
    for line in raw.splitlines():
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            lines.append(b"")
    if len(lines) == 1:
        return lines[0]
    return b"\n".join(lines) if lines else None
