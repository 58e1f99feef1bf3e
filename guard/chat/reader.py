"""From the bytes of one upstream call to the items of an attempt.

Pure and sans I/O, one `Reader` a call: `feed` what each read brought, `whole` for an answer that was not streamed,
`finish` at the end. Knows neither sockets nor requests.

Rules:
  One read gives at most one batch, and what came before an error comes out: `error` is looked at after the items.
  An event that amounts to one thing keeps its bytes (`raw`); one that is split into several loses them, for they
  cannot be sent twice, and what of it nobody reads follows its text as an `Extra`. Attempts that continue a turn keep
  none: their chunks bear another id, a second role and perhaps another choice's index, so they are encoded anew, and
  their chunks without text are dropped.
  Usage may be told several times in an attempt; the latest counts, and no bytes keep it: it would pass the count of
  one attempt off as that of the answer. An event that tells it keeps the rest of its bytes only if nobody could write
  them anew.
  After a choice's finish nothing of it comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from guard.backends import Item, Usage
from guard.chat.chunks import Choice, Chunk, Text, arguments, decode, only, parts, texts
from guard.chat.introduction import Introduction
from guard.chat.logprobs import only_alternatives, tokens, without_logprobs
from guard.chat.progress import Mark, Progress
from guard.chat.rest import rest, without_usage
from guard.chat.sse import EVENT_LIMIT, EventReader
from guard.chat.tags import Piece, TagSplitter
from guard.chat.tokens import Collector
from guard.core.events import Delta, Event, Extra, Finished, Opened, ToolDelta
from guard.core.tape import split_logprobs
from guard.core.types import Continuation
from guard.errors import UpstreamDisconnected, UpstreamError

SHOWN = 200
"""Characters of an upstream's words that a message repeats."""


class Reader:
    """Reads one attempt.

    Args:
        number: the attempt; every event carries it.
        choices: the upstream's index of each choice expected -> guard's index.
        where: the upstream's name in messages.
        splitter: makes the tag splitter of a choice, or None where content is never split.
        forms: guard's index -> the field that reasoning came in; written here, and read for text that comes in none.
        continuation: how a cut turn is continued, for `Opened`.
        collector: takes token ids out of the chunks, where they were asked for.
        scrub: takes secrets out of an upstream's own words, before any of them is repeated.
        hide: the client did not ask for the log-probabilities that come, and does not get them.
        most: it asked for so many alternatives with them, and gets no more; None: as many as come.
        top: alternatives to read with each token.

    Attributes:
        error: set once the upstream has failed; nothing follows the items returned with it.
        done: the upstream has said that the stream is over.
    """

    def __init__(
        self,
        number: int,
        choices: Mapping[int, int],
        *,
        where: str,
        splitter: Callable[[], TagSplitter | None],
        forms: dict[int, str],
        continuation: Continuation | None = None,
        collector: Collector | None = None,
        scrub: Callable[[bytes], bytes] = bytes,
        hide: bool = False,
        most: int | None = None,
        top: int = 0,
    ) -> None:
        self.error: UpstreamError | None = None
        self.done = False
        self._number = number
        self._where = where
        self._forms = forms
        self._collector = collector
        self._scrub = scrub
        self._hide = hide
        self._most = most
        self._top = top
        self._events = EventReader()
        self._opening: list[Item] | None = [(i, Opened(number, continuation)) for i in choices.values()]
        self._states = {theirs: Progress(ours, splitter()) for theirs, ours in choices.items()}
        self._introduction = Introduction(number == 0)
        self._usage: dict[str, Any] | None = None
        self._told: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether every choice has ended."""
        return all(state.done for state in self._states.values())

    def feed(self, chunk: bytes) -> list[Item]:
        """All that this read brought, `Opened` of each choice first; empty if it completed no event."""
        items: list[Item] = []
        try:
            for data, raw in self._events.feed(chunk):
                self._event(data, raw, items)
            if self._events.overflow:
                raise UpstreamError(f"{self._where} sent an event of more than {EVENT_LIMIT} bytes")
        except UpstreamError as error:
            self.error = error
        return self._out(items)

    def whole(self, body: bytes) -> list[Item]:
        """The items of an answer that came as one JSON document, as if it had been streamed."""
        items: list[Item] = []
        try:
            self._event(body, None, items)
        except UpstreamError as error:
            self.error = error
        return self._out(items)

    def finish(self) -> list[Item]:
        """What was held back until the end. Sets `error` if a choice has not been finished."""
        items: list[Item] = []
        for data, raw in self._events.end():
            try:
                self._event(data, raw, items)
            except UpstreamError as error:  # half an event is the mark of a broken connection, and told as that
                self.error = error if error.body else None
        for state in self._states.values():
            self._flush(state, items)
        if self._introduction.needed:
            items = self._introduction.before(items)
        self._tell_usage(items)
        if self.error is None and not self.finished:
            missing = sorted(state.index for state in self._states.values() if not state.done)
            self.error = UpstreamDisconnected(
                f"{self._where} ended the stream before choices {missing!r} were finished"
            )
        return self._out(items)

    def _out(self, items: list[Item]) -> list[Item]:
        if items and self._opening is not None:
            items, self._opening = self._opening + items, None
        return items

    def _event(self, data: bytes, raw: bytes | None, items: list[Item]) -> None:
        if self.done:
            return
        try:
            self._chunk(data, raw, items)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # of any field, read or passed on
            self._unreadable(data, error)

    def _chunk(self, data: bytes, raw: bytes | None, items: list[Item]) -> None:
        chunk = decode(data)
        if chunk.error is not None:
            raise self._reported(chunk.error, data)
        data, raw = self._kept(chunk, data, raw)
        choices = chunk.choices or ()
        if chunk.usage is not None:
            self._usage = chunk.usage
            if not choices or any(choice.finish_reason for choice in choices):
                self._tell_usage(items)
            raw = None if raw is None else _uncounted(data, choices)
        start = len(items)
        if len(choices) == 1:
            self._choice(choices[0], data, 0, raw, items)
        elif any(map(parts, choices)) or any(state.holds for state in self._states.values()):
            for position, choice in enumerate(choices):
                self._choice(choice, data, position, None, items)
        elif raw is not None:
            self._extra(raw, items)
        if self._introduction.needed and choices:
            self._introduction.learn(data)
            items[start:] = self._introduction.before(items[start:])

    def _kept(self, chunk: Chunk, data: bytes, raw: bytes | None) -> tuple[bytes, bytes | None]:
        """What of an event goes on: its data, and its bytes if they are kept."""
        raw = raw if self._number == 0 else None
        if self._hide or self._most is not None:
            data, raw = without_logprobs(data, raw, None if self._hide else self._most)
        return (data, raw) if self._collector is None else self._collector.take(chunk, data, raw)

    def _unreadable(self, data: bytes, error: Exception) -> None:
        if data.strip() == b"[DONE]":
            self.done = True
            return
        shown = self._scrub(data).decode(errors="replace")[:SHOWN]
        raise UpstreamError(f"{self._where} sent an event that cannot be read ({error}): {shown!r}") from None

    def _reported(self, error: Any, data: bytes) -> UpstreamError:
        message = error.get("message") if isinstance(error, dict) else error
        status = error.get("code", error.get("status")) if isinstance(error, dict) else None
        status = status if isinstance(status, int) and 400 <= status < 600 else 502
        # Before it is cut short: half a secret could not be found any more.
        shown = self._scrub(str(message).encode(errors="replace")).decode(errors="replace")[:SHOWN]
        return UpstreamError(f"{self._where} reported in its stream: {shown!r}", status=status, body=self._scrub(data))

    def _extra(self, raw: bytes, items: list[Item]) -> None:
        state = next((state for state in self._states.values() if not state.done), None)
        if state is not None:
            items.append((state.index, Extra(self._number, raw)))

    def _choice(self, choice: Choice, data: bytes, position: int, raw: bytes | None, items: list[Item]) -> None:
        state = self._states.get(choice.index or 0)
        if state is None or state.done:
            return
        delta = choice.delta or choice.message
        if raw is not None and delta is not None and not choice.finish_reason and not delta.tool_calls:
            text = only(delta)
            if text is not None:  # what nearly every chunk is
                self._text(state, text, raw, choice.logprobs, items, data, position)
                return
        many = parts(choice)
        if not many and raw is not None:
            self._textless(state, raw, items)
        elif many == 1 and raw is not None:
            self._parts(state, choice, data, position, raw, items)
        else:  # each part for itself, and behind them what is left
            calls = self._parts(state, choice, data, position, None, items)
            if self._number == 0:
                self._textless(state, rest(data, position, calls, logprobs=not texts(choice)), items)
        if choice.finish_reason:
            self._flush(state, items)
            state.done = True
            items.append((state.index, Finished(self._number, choice.finish_reason, raw if many == 1 else None)))

    def _parts(
        self, state: Progress, choice: Choice, data: bytes, position: int, raw: bytes | None, items: list[Item]
    ) -> list[int]:
        """The texts and calls of a choice; the indexes of the calls."""
        logprobs = choice.logprobs
        found = texts(choice)
        for number, text in enumerate(found, 1):
            own, logprobs = (logprobs, None) if number == len(found) else split_logprobs(logprobs, len(text[1]))
            self._text(state, text, raw, own, items, data, position)
        delta, whole = choice.delta or choice.message, choice.message is not None
        calls = delta.tool_calls if delta is not None and delta.tool_calls else ()
        return [self._call(state, call, number, raw, items, whole=whole) for number, call in enumerate(calls)]

    def _textless(self, state: Progress, raw: bytes | None, items: list[Item]) -> None:
        """An event without text comes behind the text that was sent before it."""
        if raw is not None and not state.waits(Mark(raw, textless=True)):
            items.append((state.index, Extra(self._number, raw)))

    def _text(
        self,
        state: Progress,
        text: Text,
        raw: bytes | None,
        logprobs: Any,
        items: list[Item],
        data: bytes,
        position: int,
    ) -> None:
        channel, words, form = text
        if channel == "reasoning":
            self._forms[state.index] = form
        if state.splitter is not None:
            if form == "content":
                self._pieces(state, state.feed(words, Mark(raw, logprobs, data, position)), items)
                return
            self._flush(state, items)  # reasoning has a field of its own: the content needs no splitting
        items.append((state.index, self._delta(channel, words, raw, form, logprobs)))

    def _pieces(self, state: Progress, pieces: list[Piece], items: list[Item]) -> None:
        for piece in pieces:
            raw, logprobs = (None, None) if piece.mark is None else piece.mark[:2]
            event = self._piece(state, piece.kind, piece.text, raw, logprobs)
            if event is not None:
                items.append((state.index, event))
            marks = state.behind(piece)
            if self._number == 0:
                items += [(state.index, Extra(0, raw)) for raw in map(_left, marks) if raw is not None]
        if state.splitter is not None and state.splitter.settled:
            state.splitter = None

    def _piece(self, state: Progress, kind: str, text: str, raw: bytes | None, logprobs: Any) -> Event | None:
        if kind == "content":
            return self._delta("content", text, raw, "content", logprobs)
        form = self._forms.setdefault(state.index, "inline")
        if kind == "reasoning":
            return self._delta("reasoning", text, raw, form, logprobs)
        if form != "inline":  # a raw completion of a turn whose reasoning has a field: the client knows no tags
            return None
        return Extra(self._number, raw, text, "open" if kind == "open" else "close")

    def _delta(
        self, channel: Literal["reasoning", "content"], text: str, raw: bytes | None, form: str, logprobs: Any
    ) -> Delta:
        told = None if self._hide else logprobs
        told = told if self._most is None else only_alternatives(told, self._most)
        return Delta(self._number, channel, text, raw, form, tokens(logprobs, text, self._top), told)

    def _flush(self, state: Progress, items: list[Item]) -> None:
        if state.splitter is not None:
            self._pieces(state, state.splitter.flush(), items)

    def _call(
        self, state: Progress, call: Any, position: int, raw: bytes | None, items: list[Item], *, whole: bool
    ) -> int:
        self._flush(state, items)
        id_ = call.id or ""
        index = position if whole and call.index is None else state.position(call.index, id_)
        name = call.function.name or "" if call.function else ""
        items.append((state.index, ToolDelta(self._number, index, id_, name, arguments(call), raw)))
        return index

    def _tell_usage(self, items: list[Item]) -> None:
        if self._usage is not None and self._usage != self._told:
            self._told = self._usage
            items.append(Usage(self._number, self._usage))


def _uncounted(data: bytes, choices: Sequence[Choice]) -> bytes | None:
    """The bytes of an event that tells the usage without it; None if whoever sends its text on can write them anew."""
    if not choices:
        return rest(data, None)
    anew = any(map(parts, choices)) and rest(data, 0) is None
    return None if anew else without_usage(data)


def _left(mark: Mark) -> bytes | None:
    """What follows a text that the splitter tore; if its event was split before, only its log-probabilities do."""
    if mark.textless:
        return mark.raw
    return rest(mark.data, mark.position, logprobs=mark.logprobs is not None, fields=mark.raw is not None)
