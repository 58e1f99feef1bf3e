"""The assistant's turn so far, by channel, as the policy model's context has it.

Knows who wrote each stretch and which tokens it came in; does not know segments, verdicts or clients. Text is only
ever appended or cut from the end, so an offset stays good for as long as its text stands.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from guard.core.types import Channel, Origin, Token


@dataclass(slots=True)
class Span:
    """A stretch of one channel that one author wrote in one attempt. The last one grows with every delta, which is
    why it is not made anew for each."""

    start: int
    end: int
    origin: Origin
    attempt: int


class Transcript:
    """One channel's text."""

    __slots__ = ("_length", "_parts", "_spans", "_starts", "_token_starts", "_tokens", "channel")

    def __init__(self, channel: Channel) -> None:
        self.channel: Channel = channel
        self._parts: list[str] = []
        self._starts: list[int] = []
        self._spans: list[Span] = []
        self._tokens: list[Token] = []
        self._token_starts: list[int] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def spans(self) -> tuple[Span, ...]:
        """Who wrote what; together they cover the channel."""
        return tuple(self._spans)

    def append(self, text: str, origin: Origin = "model", attempt: int = 0, tokens: Iterable[Token] = ()) -> None:
        """Add text at the end; `tokens` are those that spell it."""
        if not text:
            return
        start = self._length
        self._parts.append(text)
        self._starts.append(start)
        self._length = start + len(text)
        last = self._spans[-1] if self._spans else None
        if last and last.origin == origin and last.attempt == attempt:
            last.end = self._length
        else:
            self._spans.append(Span(start, self._length, origin, attempt))
        for token in tokens:
            self._tokens.append(token)
            self._token_starts.append(start)
            start += len(token.text)

    def text(self, start: int = 0, end: int | None = None) -> str:
        """The characters from `start` to `end` (default: all); the cost is that of the parts they touch."""
        end = self._length if end is None else end
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_right(self._starts, end)
        base = self._starts[first] if self._starts else 0
        return "".join(self._parts[first:last])[start - base : end - base]

    def tokens(self, start: int, end: int) -> tuple[Token, ...]:
        """The tokens that begin inside the characters from `start` to `end`."""
        return tuple(token for _, token in self.placed(start, end))

    def placed(self, start: int, end: int) -> tuple[tuple[int, Token], ...]:
        """The same, each with the character of the channel that it begins at."""
        first, last = bisect_right(self._token_starts, start - 1), bisect_right(self._token_starts, end - 1)
        return tuple(zip(self._token_starts[first:last], self._tokens[first:last], strict=True))

    def within(self, start: int, end: int) -> tuple[tuple[int, Token], ...]:
        """The tokens that lie wholly inside the characters from `start` to `end`, placed from `start`.

        One that a cut went through is none, whatever was written behind the cut.
        """
        text, placed = self.text(start, end), self.placed(start, end)
        nexts = [*(at for at, _ in placed[1:]), end]
        return tuple(
            (at - start, token)
            for (at, token), following in zip(placed, nexts, strict=False)
            if at + len(token.text) <= following and text.startswith(token.text, at - start)
        )

    def by(self, *origins: Origin, start: int = 0) -> str:
        """All text from `start` on that these authors wrote, joined."""
        spans = [span for span in self._spans if span.origin in origins and span.end > start]
        return "".join(self.text(max(start, span.start), span.end) for span in spans)

    def cut(self, at: int) -> str:
        """Drop everything from `at` on and return it."""
        dropped = self.text(at)
        kept = self.text(0, at)
        keep = bisect_right(self._token_starts, at - 1)
        del self._tokens[keep:], self._token_starts[keep:]
        self._spans = [Span(s.start, min(s.end, at), s.origin, s.attempt) for s in self._spans if s.start < at]
        self._parts, self._starts, self._length = ([kept], [0], at) if at else ([], [], 0)
        return dropped
