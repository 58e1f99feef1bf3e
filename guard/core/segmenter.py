"""Cuts one channel's text into segments while it streams.

A segment is what a check can judge: a sentence, a list item, a line, a block of code; where text runs on without
punctuation, a clause. It does not know channels, checks or what a segment is for.

Rules:
1. Segments partition the text. White space between two belongs to the later one, so that a cut at a segment's end
   leaves the next token (" Then") whole.
2. A boundary depends on the text alone, never on how it was cut into deltas: one that needs to see what follows is
   left open until enough has been seen.
3. Every character is scanned a bounded number of times, and no segment of the units `sentence` and `paragraph` is
   longer than `LIMIT[unit] + 2 * CLOSERS` characters. The unit `whole` is one segment, unbounded.
"""

from __future__ import annotations

import re

from guard.core.policy import Unit

LIMIT: dict[Unit, int] = {"sentence": 320, "paragraph": 2000}
"""A segment that reaches this many characters is split at its last clause, else at its last space."""

CLOSERS = 8
"""How many characters of end punctuation, and of quotes and brackets behind it, still belong to a sentence; and how
far a decision looks ahead over white space."""

_LEAST = 40  # a forced split leaves no shorter piece than this if it can help it
_CANDIDATE = re.compile(r"[.!?…\n。！？｡]")
_NEWLINE = re.compile(r"\n")
_END = re.compile(r"([.!?…]{1,%d}|[。！？｡]{1,%d})[\"'”’)\]*_»」』）]{0,%d}" % (CLOSERS, CLOSERS, CLOSERS))
_CLAUSE = re.compile(
    r"[;:,，、；：—](?=\s|[^\x00-\x7f])|\s(?=(?:so|then|therefore|because|but|and|which|hence|since|while)\s)",
    re.I,
)
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|\.(?=[^\W\d_]))*$")
_MARKER = re.compile(r"\s*(?:[-*+]\s+)?\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_FENCE_LINE = re.compile(r"^ {0,3}(?:`{3,}|~{3,}).*$", re.M)

_ABBREVIATIONS = frozenset(
    "adm al approx apr assn asst aug av ave bldg blvd bros ca capt cf cmdr co col corp dec dept dr ed eds e.g est "
    "et etc ex feb ff fr gen gov hon i.e inc incl jan jr lt ltd mar max messrs min mr mrs ms mt nov oct op orig "
    "ph.d pres prof rep resp rev sen sep sept sgt sq sr st tel univ viz vs".split()
)
_NUMBERED = frozenset("art ch eq eqs fig figs no nos p para pp sec vol".split())
"""Abbreviations only where a number follows: "No. 5", but "No. It is not."."""


class Segmenter:
    """Segments of one channel.

    Args:
        unit: what a segment is.
        seen: text of the channel that came before and is not to be segmented (a client's prefix, kept text and a
            correction after a cut); an open code fence in it stays open.
    """

    __slots__ = ("_buffer", "_fence", "_limit", "_position", "_solid", "_start", "_starts_line", "_unit")

    def __init__(self, unit: Unit = "sentence", seen: str = "") -> None:
        self._unit: Unit = unit
        self._limit = LIMIT.get(unit)
        self._buffer = ""
        self._position = 0
        self._solid = 0
        self._start = len(seen)
        self._starts_line = not seen or seen.endswith("\n")
        self._fence = _fence_after(seen)

    @property
    def start(self) -> int:
        """Where the open segment starts, in characters of the channel."""
        return self._start

    def feed(self, text: str) -> list[int]:
        """Take the next characters; return the ends of the segments they settle, rising."""
        if self._limit is None:
            self._take_whole(text)
            return []
        ends: list[int] = []
        for at in range(0, len(text), self._limit):  # a huge delta must not be looked through once for each segment
            self._buffer += text[at : at + self._limit]
            while (end := self._next(self._limit)) is not None:
                ends.append(self._close(end))
        return ends

    def flush(self) -> int | None:
        """The text is over: the end of the last segment, or None if nothing but white space is left."""
        if self._limit is None:
            return self._flush_whole()
        return self._close(len(self._buffer.rstrip())) if self._buffer.strip() else None

    def _flush_whole(self) -> int | None:
        if not self._solid:
            return None
        self._start += self._solid
        self._position -= self._solid
        self._solid = 0
        return self._start

    def _take_whole(self, text: str) -> None:
        if solid := len(text.rstrip()):
            self._solid = self._position + solid
        self._position += len(text)

    def _close(self, end: int) -> int:
        self._buffer = self._buffer[end:]
        self._start += end
        self._position = 0
        self._starts_line = False
        return self._start

    def _next(self, limit: int) -> int | None:
        """The first settled boundary in the buffer, or None; every candidate before `_position` has been refused."""
        candidates = _NEWLINE if self._fence or self._unit == "paragraph" else _CANDIDATE
        while True:
            found = candidates.search(self._buffer, self._position)
            at = found.start() if found else len(self._buffer)
            if at >= limit:
                return self._forced(limit)
            self._position = at
            if not found:
                return None
            settled = self._newline(at) if found[0] == "\n" else self._sentence(at)
            if settled is None:
                return None
            if settled:
                return settled
            candidates = _NEWLINE if self._fence or self._unit == "paragraph" else _CANDIDATE

    def _refuse(self, upto: int) -> int:
        self._position = upto
        return 0

    def _newline(self, at: int) -> int | None:
        """A line ends at `at`: its end is a boundary (> 0), is none (0), or cannot be told yet (None)."""
        line_start = self._buffer.rfind("\n", 0, at) + 1
        fence = _FENCE.match(self._buffer[line_start:at]) if line_start or self._starts_line else None
        if self._fence:
            if fence and _closes(self._fence, fence):
                self._fence = ""
                return at
            return self._refuse(at + 1)
        if fence:
            self._fence = fence[1]
            return self._refuse(at + 1)
        if not self._buffer[:at].strip():
            return self._refuse(at + 1)
        return at if self._unit == "sentence" else self._blank_line(at)

    def _blank_line(self, at: int) -> int | None:
        window = self._buffer[at + 1 : at + 1 + CLOSERS]
        after = window.lstrip(" \t")
        if not after and len(window) < CLOSERS:
            return None
        return at if after[:1] == "\n" else self._refuse(at + 1)

    def _sentence(self, at: int) -> int | None:
        found = _END.match(self._buffer, at)
        assert found is not None  # a candidate is the first character of the pattern
        end = found.end()
        if end == len(self._buffer):
            return None
        if found[1][0] in "。！？｡":
            return end
        if not self._buffer[end].isspace():
            return self._refuse(end)
        if found[1] == "." and (within := self._within_sentence(at, end)) is not False:
            return None if within is None else self._refuse(end)
        return end

    def _within_sentence(self, at: int, end: int) -> bool | None:
        """Whether the full stop at `at` ends an abbreviation, an initial or a list's number; None: not known yet."""
        before = self._buffer[max(0, at - 24) : at]
        if at < 24 and _MARKER.match(before):
            return True
        word = _WORD.search(before)
        if word is None:
            return False
        text = word[0].lower()
        if text in _NUMBERED:
            window = self._buffer[end : end + CLOSERS]
            after = window.lstrip()
            return after[:1].isdigit() if after or len(window) == CLOSERS else None
        return text in _ABBREVIATIONS or "." in text or (len(text) == 1 and word[0].isupper() and text != "i")

    def _forced(self, limit: int) -> int:
        window = self._buffer[:limit]
        if self._fence and (line := window.rfind("\n", 1)) > 0:
            return line
        clauses = [found.end() for found in _CLAUSE.finditer(window, _LEAST) if window[: found.end()].strip()]
        if clauses:
            return clauses[-1] - window[: clauses[-1]][-1].isspace()
        space = max(window.rfind(" "), window.rfind("\n"), window.rfind("\t"))
        return space if space > 0 and window[:space].strip() else limit


def _closes(fence: str, line: re.Match[str]) -> bool:
    return line[1][0] == fence[0] and len(line[1]) >= len(fence) and not line[2].strip()


def _fence_after(text: str) -> str:
    """The marker of the code fence that is open at the end of `text`, or ""."""
    fence = ""
    for found in _FENCE_LINE.finditer(text):
        line = _FENCE.match(found[0])
        assert line is not None  # the same pattern, anchored
        if not fence:
            fence = line[1]
        elif _closes(fence, line):
            fence = ""
    return fence
