"""From the bytes of one upstream call to the items of an attempt.

Pure and sans I/O, one `Reader` a call: `feed` what each read brought, `whole` for an answer that was not streamed,
`finish` at the end. Knows neither sockets nor requests.

Rules:
  One read gives at most one batch, and what came before an error comes out: `error` is looked at after the items.
  An event that amounts to one thing keeps its bytes (`raw`); one that is split into several loses them, for they
  cannot be sent twice. Attempts that continue a turn keep none: their chunks bear another id, a second role and
  perhaps another choice's index, so they are encoded anew, and their chunks without text are dropped.
  Usage may be told several times in an attempt; the latest counts.
  After a choice's finish nothing of it comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from guard.backends import Item, Usage
from guard.chat.chunks import Choice, Text, arguments, decode, only, texts
from guard.chat.sse import EVENT_LIMIT, EventReader
from guard.chat.tags import Piece, TagSplitter
from guard.core.events import Delta, Event, Extra, Finished, Opened, ToolDelta
from guard.core.types import Continuation
from guard.errors import UpstreamDisconnected, UpstreamError

SHOWN = 200
"""Characters of an upstream's words that a message repeats."""


class _State:
    """What is known of one choice: guard's index, the splitter while tags may come, the tool calls begun."""

    __slots__ = ("calls", "done", "index", "splitter")

    def __init__(self, index: int, splitter: TagSplitter | None) -> None:
        self.index = index
        self.splitter = splitter
        self.done = False
        self.calls: list[str] = []

    def position(self, index: int | None, id_: str) -> int:
        """A call's index; where the upstream gives none, an id not seen before begins the next one."""
        if index is None and (not self.calls or (id_ and id_ not in self.calls)):
            index = len(self.calls)
        elif index is None:
            index = self.calls.index(id_) if id_ else len(self.calls) - 1
        while len(self.calls) <= index < 1024:  # more calls than any model makes: an index is not a size to trust
            self.calls.append("")
        if id_ and 0 <= index < len(self.calls):
            self.calls[index] = id_
        return index


class Reader:
    """Reads one attempt.

    Args:
        number: the attempt; every event carries it.
        choices: the upstream's index of each choice expected -> guard's index.
        where: the upstream's name in messages.
        splitter: makes the tag splitter of a choice, or None where content is never split.
        forms: guard's index -> the field that reasoning came in; written here, and read for text that comes in none.
        continuation: how a cut turn is continued, for `Opened`.

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
    ) -> None:
        self.error: UpstreamError | None = None
        self.done = False
        self._number = number
        self._where = where
        self._forms = forms
        self._events = EventReader()
        self._opening: list[Item] | None = [(i, Opened(number, continuation)) for i in choices.values()]
        self._states = {theirs: _State(ours, splitter()) for theirs, ours in choices.items()}
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
            chunk = decode(data)
        except msgspec.DecodeError as error:
            self._unreadable(data, error)
            return
        if chunk.error is not None:
            raise self._reported(chunk.error, data)
        raw = raw if self._number == 0 else None
        choices = chunk.choices or ()
        if chunk.usage is not None:
            self._usage = chunk.usage
            if not choices or any(choice.finish_reason for choice in choices):
                self._tell_usage(items)
            if not choices:
                return
            raw = None  # it would pass the count of one attempt off as that of the answer
        if len(choices) == 1:
            self._choice(choices[0], raw, items)
            return
        before = len(items)
        for choice in choices:
            self._choice(choice, None, items)
        if len(items) == before and raw is not None:
            self._extra(raw, items)

    def _unreadable(self, data: bytes, error: msgspec.DecodeError) -> None:
        if data.strip() == b"[DONE]":
            self.done = True
            return
        shown = data.decode(errors="replace")[:SHOWN]
        raise UpstreamError(f"{self._where} sent an event that cannot be read ({error}): {shown!r}")

    def _reported(self, error: Any, data: bytes) -> UpstreamError:
        message = error.get("message") if isinstance(error, dict) else error
        status = error.get("code", error.get("status")) if isinstance(error, dict) else None
        status = status if isinstance(status, int) and 400 <= status < 600 else 502
        return UpstreamError(
            f"{self._where} reported in its stream: {str(message)[:SHOWN]!r}", status=status, body=data
        )

    def _extra(self, raw: bytes, items: list[Item]) -> None:
        state = next(iter(self._states.values()))
        if not state.done:
            items.append((state.index, Extra(self._number, raw)))

    def _choice(self, choice: Choice, raw: bytes | None, items: list[Item]) -> None:
        state = self._states.get(choice.index or 0)
        if state is None or state.done:
            return
        delta = choice.delta or choice.message
        if raw is not None and delta is not None and not choice.finish_reason and not delta.tool_calls:
            text = only(delta)
            if text is not None:  # what nearly every chunk is
                self._text(state, text, raw, choice.logprobs, items)
                return
        found = texts(choice)
        calls = delta.tool_calls if delta is not None and delta.tool_calls else ()
        parts = len(found) + len(calls) + bool(choice.finish_reason)
        if parts != 1:
            if not parts and raw is not None:
                items.append((state.index, Extra(self._number, raw)))
            raw = None
        for text in found:
            self._text(state, text, raw, choice.logprobs, items)
        for position, call in enumerate(calls):
            self._call(state, call, position, raw, items, whole=choice.message is not None)
        if choice.finish_reason:
            self._flush(state, items)
            state.done = True
            items.append((state.index, Finished(self._number, choice.finish_reason, raw)))

    def _text(self, state: _State, text: Text, raw: bytes | None, logprobs: Any, items: list[Item]) -> None:
        channel, words, form = text
        if channel == "reasoning":
            self._forms[state.index] = form
        if state.splitter is not None:
            if form == "content":
                self._pieces(state, state.splitter.feed(words, (raw, logprobs)), items)
                return
            self._flush(state, items)  # reasoning has a field of its own: the content needs no splitting
        items.append((state.index, Delta(self._number, channel, words, raw, form, (), logprobs)))

    def _pieces(self, state: _State, pieces: list[Piece], items: list[Item]) -> None:
        for kind, text, mark in pieces:
            raw, logprobs = mark or (None, None)
            event = self._piece(state, kind, text, raw, logprobs)
            if event is not None:
                items.append((state.index, event))
        if state.splitter is not None and state.splitter.settled:
            state.splitter = None

    def _piece(self, state: _State, kind: str, text: str, raw: bytes | None, logprobs: Any) -> Event | None:
        if kind == "content":
            return Delta(self._number, "content", text, raw, "content", (), logprobs)
        form = self._forms.setdefault(state.index, "inline")
        if kind == "reasoning":
            return Delta(self._number, "reasoning", text, raw, form, (), logprobs)
        if form != "inline":  # a raw completion of a turn whose reasoning has a field: the client knows no tags
            return None
        return Extra(self._number, raw, text, "open" if kind == "open" else "close")

    def _flush(self, state: _State, items: list[Item]) -> None:
        if state.splitter is not None:
            pieces = state.splitter.flush()
            self._pieces(state, pieces, items)
            state.splitter = None

    def _call(
        self, state: _State, call: Any, position: int, raw: bytes | None, items: list[Item], *, whole: bool
    ) -> None:
        self._flush(state, items)
        id_ = call.id or ""
        index = position if whole and call.index is None else state.position(call.index, id_)
        name = call.function.name or "" if call.function else ""
        items.append((state.index, ToolDelta(self._number, index, id_, name, arguments(call), raw)))

    def _tell_usage(self, items: list[Item]) -> None:
        if self._usage is not None and self._usage != self._told:
            self._told = self._usage
            items.append(Usage(self._number, self._usage))
