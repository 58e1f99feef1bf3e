"""From chosen tokens to events: whole characters, channels, stop strings, log-probabilities.

Knows text. Does not know models or threads. Its rules:

1. No event carries half a character; bytes wait for the rest of theirs. What never becomes a character at the end of
   a turn is dropped.
2. A token leaves when all its text is clear of stop strings, with the delta that ends its text. `Token.text` is what
   it adds to its channel; a tag's tokens belong to none. Joined, the tokens' text is the deltas' text.
3. The track gets all text and a mark wherever the text can be cut.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from guard.backends.transformers.sampling import Step
from guard.backends.transformers.splitter import Part, Splitter, Tags
from guard.backends.transformers.stops import Stops
from guard.backends.transformers.track import Track
from guard.backends.transformers.vocabulary import Vocabulary
from guard.core.events import Delta
from guard.core.types import Channel, Token

_LEAST = -9999.0  # OpenAI's word for minus infinity, which JSON lacks


@dataclass(slots=True)
class _Piece:
    """What one token adds to one channel; `whole`: it is the first piece of that token."""

    channel: Literal["reasoning", "content"]
    text: str
    step: Step
    whole: bool = True


class Writer:
    """The text of one attempt.

    Args:
        number: the attempt.
        track: the choice's ids and text so far; the attempt begins in its channel.
        stops: stop strings, matched in each channel by itself, on what the model writes here.
        top: how many alternatives OpenAI's `logprobs` tell, or None to tell no `logprobs`.
    """

    def __init__(
        self,
        number: int,
        track: Track,
        vocabulary: Vocabulary,
        tags: Tags | None,
        *,
        stops: Sequence[str] = (),
        top: int | None = None,
    ) -> None:
        self._number = number
        self._track = track
        self._vocabulary = vocabulary
        self._stop_strings = stops
        self._top = top
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._splitter = Splitter(tags, track.channel)
        self._unsplit: deque[tuple[Step, int, bool]] = deque()
        self._held: list[_Piece] = []
        self._sure = 0  # characters of what is held that are clear
        self._channel: Channel | None = None
        self._stops = Stops(stops)

    @property
    def channel(self) -> Channel | None:
        """The channel the next token is in."""
        return self._splitter.channel

    def write(self, step: Step) -> tuple[list[Delta], bool]:
        """Take one token: what can be sent, and whether a stop string ended the text."""
        text = self._characters.decode(self._vocabulary.bytes(step.id))
        self._unsplit.append((step, len(text), True))
        pieces = list(self._pieces(self._splitter.feed(text)))
        for piece in pieces:
            self._track.say(piece.channel, piece.text)
        if self._splitter.clean and not self._characters.getstate()[0]:
            self._track.mark(self._splitter.channel)
        return self._release(pieces)

    def flush(self) -> list[Delta]:
        """What was held, when no more text will come."""
        pieces = list(self._pieces(self._splitter.flush()))
        sent, stopped = self._release(pieces)
        return sent if stopped else sent + self._send(self._held)

    def _pieces(self, parts: list[Part]) -> Iterator[_Piece]:
        """The parts cut at their tokens; a token without text goes with the text after it."""
        for channel, text in parts:
            while text:
                step, size, whole = self._unsplit.popleft()
                piece, text = text[:size], text[size:]
                if rest := size - len(piece):
                    self._unsplit.appendleft((step, rest, whole and channel is None))
                if channel in ("reasoning", "content"):
                    yield _Piece(channel, piece, step, whole)

    def _release(self, pieces: list[_Piece]) -> tuple[list[Delta], bool]:
        sent: list[Delta] = []
        for channel, group in groupby(pieces, key=lambda piece: piece.channel):
            if channel != self._channel:
                sent += self._send(self._held)  # what was held for a stop string can be none any more
                self._channel, self._held, self._sure = channel, [], 0
                self._stops = Stops(self._stop_strings)
            more, stopped = self._clear(list(group))
            sent += more
            if stopped:
                return sent, True
        return sent, False

    def _clear(self, pieces: list[_Piece]) -> tuple[list[Delta], bool]:
        self._held += pieces
        clear, stopped = self._stops.feed("".join(piece.text for piece in pieces))
        self._sure += clear
        ready = self._cut() if stopped else self._whole()
        return self._send(ready), stopped

    def _whole(self) -> list[_Piece]:
        """Take from what is held the tokens whose text is clear to its end."""
        size = count = 0
        for i, piece in enumerate(self._held, 1):
            size += len(piece.text)
            if size > self._sure:
                break
            count = i if piece.text else count
        ready, self._held = self._held[:count], self._held[count:]
        self._sure -= sum(len(piece.text) for piece in ready)
        return ready

    def _cut(self) -> list[_Piece]:
        """Take what stands before the stop string; the token that it begins in keeps its first characters."""
        ready = self._whole()
        if self._sure and self._held:
            ready += _until(iter(self._held), self._sure)
        self._held = []
        return ready

    def _send(self, pieces: list[_Piece]) -> list[Delta]:
        text = "".join(piece.text for piece in pieces)
        if not text:
            return []
        channel = pieces[0].channel
        form = "reasoning_content" if channel == "reasoning" else ""
        tokens = tuple(_token(piece) for piece in pieces)
        told = self._logprobs(pieces) if self._top is not None else None
        return [Delta(self._number, channel, text, form=form, tokens=tokens, logprobs=told)]

    def _logprobs(self, pieces: list[_Piece]) -> dict[str, Any]:
        return {"content": [self._told(piece.step) for piece in pieces if piece.whole]}

    def _told(self, step: Step) -> dict[str, Any]:
        top = [self._entry(id, logprob) for id, logprob in step.top[: self._top]]
        return {**self._entry(step.id, step.logprob), "top_logprobs": top}

    def _entry(self, id: int, logprob: float) -> dict[str, Any]:
        spelled = self._vocabulary.bytes(id)
        return {"token": self._vocabulary.text(id), "logprob": max(logprob, _LEAST), "bytes": list(spelled)}


def _token(piece: _Piece) -> Token:
    step = piece.step
    return Token(
        id=step.id, text=piece.text, logprob=step.logprob, entropy=step.entropy, top=step.top, probe=step.probe
    )


def _until(pieces: Iterator[_Piece], size: int) -> Iterator[_Piece]:
    """The first `size` characters of the pieces."""
    for piece in pieces:
        if size <= 0:
            return
        yield replace(piece, text=piece.text[:size])
        size -= len(piece.text)
