"""The assistant's turn as text: what the model's context holds, what the client will see, and where segments lie.

Three things are kept in step here and nowhere else: transcripts (the context), the tape (the client) and the docket
(segments). Decides nothing: when to cut and what to say is the session's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from guard.core import events as ev
from guard.core.docket import Docket, Entry
from guard.core.events import Piece
from guard.core.policy import Watch
from guard.core.segmenter import Segmenter
from guard.core.tape import Tape
from guard.core.transcript import Transcript
from guard.core.types import CHANNELS, Channel, GuardEvent, Segment, ToolCall

Text = Literal["reasoning", "content"]
TEXTS: tuple[Text, ...] = ("reasoning", "content")
SENTENCE_ENDS = ".!?…。！？｡\"'”’)]}>*`|"
"""A text that ends so may have been cut off, but not in the middle of a sentence."""


@dataclass(slots=True)
class _Run:
    """A stretch of the turn in one channel: where it begins on the tape and in the channel."""

    channel: Text
    at: int
    start: int


@dataclass(frozen=True, slots=True)
class _End:
    """A settled stretch that is no segment yet; a tool call brings its own text."""

    channel: Channel
    start: int
    end: int
    tape_start: int
    tape_end: int
    text: str | None = None
    tool: str | None = None
    broken_off: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a cut took away.

    Attributes:
        start: where the claim starts in its channel (behind a client's prefix).
        discarded: text after the claim, by channel; the claim itself is not in it.
        segments: the segments that are gone, the claim's own too if it was not kept.
        seen: characters of the claim's channel after the claim, if it is kept, that the client has been sent.
        delay: characters of any channel that had come after the claim.
    """

    start: int
    discarded: Mapping[Channel, str]
    segments: tuple[Segment, ...]
    seen: int
    delay: int


class Turn:
    """One choice's turn.

    Args:
        watch: the watched channels; text of the others passes unsegmented.
        prefix: the client's unfinished assistant turn, by channel.
    """

    def __init__(self, watch: Mapping[Channel, Watch], prefix: Mapping[Channel, str]) -> None:
        self.watch = watch
        self.docket = Docket()
        self.tape = Tape()
        self.transcripts: dict[Text, Transcript] = {channel: Transcript(channel) for channel in TEXTS}
        self._segmenters: dict[Text, Segmenter] = {}
        self._shifts: dict[Channel, list[tuple[int, int]]] = {channel: [] for channel in CHANNELS}
        self._forms: dict[Text, str] = {}
        self._runs: list[_Run] = []
        self._ends: deque[_End] = deque()
        self._tail = 0
        self._ids = 0
        self._tag = ""
        self._closed_at: int | None = None
        self._tools: dict[int, ToolCall] = {}
        self._tools_at: int | None = None
        for channel in TEXTS:
            self._take_prefix(channel, prefix.get(channel, ""))

    def _take_prefix(self, channel: Text, text: str) -> None:
        self.transcripts[channel].append(text, "client")
        self._shifts[channel].append((0, -len(text)))
        if channel in self.watch:
            self._segmenters[channel] = Segmenter(self.watch[channel].unit)
            self._segmenters[channel].feed(text)

    # What comes in

    @property
    def channel(self) -> Text | None:
        """The text channel that is being written, or None at the start."""
        return self._runs[-1].channel if self._runs else None

    def text(self, delta: ev.Delta, raw: object) -> None:
        """Text of the model; `raw` is the chunk to send for it, if it can go as it came."""
        channel, text = delta.channel, delta.text
        if not self._runs or self._runs[-1].channel != channel or self._runs[-1].at <= self._tools_from:
            self._enter(channel)
        transcript = self.transcripts[channel]
        if delta.form:
            self._forms[channel] = delta.form
        transcript.append(text, "model", delta.attempt, delta.tokens)
        self.tape.append(Piece(channel, text, raw, delta.form, None, delta.logprobs), len(text))
        if segmenter := self._segmenters.get(channel):
            start = segmenter.start
            for end in segmenter.feed(text):
                self._settle(channel, start, end)
                start = end

    @property
    def _tools_from(self) -> int:
        """Where the tool calls begin; a run that began before them does not go on behind them."""
        return -1 if self._tools_at is None else self._tools_at

    def _enter(self, channel: Text) -> None:
        self.flush()
        self._tail = self.tape.end
        self._runs.append(_Run(channel, self.tape.end, len(self.transcripts[channel])))

    def extra(self, extra: ev.Extra) -> None:
        """A chunk without text of a channel. Of a later attempt only tags matter: the role was sent, and an opening
        tag is one too many while the first block is open."""
        raw = None if extra.attempt else extra.raw
        if extra.tag:
            self._write_tag(extra, raw)
        elif raw is not None:
            self.tape.append(Piece("content", "", raw), 0)

    def _write_tag(self, extra: ev.Extra, raw: object) -> None:
        if extra.tag == self._tag:
            return
        self._tag = extra.tag
        if extra.tag == "close":
            self.flush()
            self._closed_at = self.tape.end
        self.tape.append(Piece("content", extra.text, raw, tag=True), extra.tag == "close")

    def tool(self, delta: ev.ToolDelta, raw: object) -> None:
        """A fragment of a tool call."""
        if self._tools_at is None:
            self.flush()
            self._tools_at = self.tape.end
        call = self._tools.get(delta.index) or ToolCall(index=delta.index, id="", name="", arguments="")
        self._tools[delta.index] = ToolCall(
            index=delta.index,
            id=call.id or delta.id,
            name=call.name + delta.name,
            arguments=call.arguments + delta.arguments,
        )
        self.tape.append(Piece("tool_calls", "", raw, call=delta), 1)

    def flush(self, broken_off: bool = False) -> None:
        """The channel that is being written ends here, so its last segment does too; `broken_off`: not by its own end,
        so that it may be part of a sentence only."""
        if (channel := self.channel) and (segmenter := self._segmenters.get(channel)):
            start = segmenter.start
            if (end := segmenter.flush()) is not None:
                unfinished = broken_off and self.transcripts[channel].text(end - 1, end) not in SENTENCE_ENDS
                self._settle(channel, start, end, unfinished)

    def _settle(self, channel: Text, start: int, end: int, broken_off: bool = False) -> None:
        run = self._runs[-1]
        if start < run.start and not self.transcripts[channel].text(run.start, end).strip():
            return  # what there is to check was there before the model wrote
        tape_end = self.tape.end - (len(self.transcripts[channel]) - end)
        tape_start = tape_end - (end - max(start, run.start))
        self._ends.append(_End(channel, start, end, tape_start, tape_end, broken_off=broken_off))
        self._tail = tape_end

    # Segments

    def segmented(self, channel: Text) -> int:
        """Up to where a channel's text lies in segments; all of it where the channel is not watched."""
        if channel not in self.watch:
            return len(self.transcripts[channel])
        return max((e.segment.end for e in self.docket if e.segment.channel == channel), default=0)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of the turn, in order."""
        return tuple(self._tools[index] for index in sorted(self._tools))

    def behind_tools(self, entry: Entry) -> bool:
        """Whether a segment stands behind the tool calls: such text can no longer be corrected."""
        return entry.start > self._tools_from >= 0

    def close_tools(self) -> None:
        """The tool calls are whole: each is a segment; all of them stand or fall together on the tape."""
        if self._tools_at is None or "tool_calls" not in self.watch:
            return
        start = 0
        for call in self.calls:
            end = start + len(call.arguments)
            self._ends.append(_End("tool_calls", start, end, self._tools_at, self.tape.end, call.arguments, call.name))
            start = end

    def next_segment(self, attempt: int) -> Entry | None:
        """Make the next settled stretch a segment, or None if there is none."""
        if not self._ends:
            return None
        end = self._ends.popleft()
        text = end.text
        if text is None:
            assert end.channel != "tool_calls"
            text = self.transcripts[end.channel].text(end.start, end.end)
        entry = Entry(
            segment=Segment(
                id=self._ids,
                channel=end.channel,
                start=end.start,
                end=end.end,
                text=text,
                attempt=attempt,
                tool=end.tool,
            ),
            start=end.tape_start,
            end=end.tape_end,
            checked=self.holds(end.channel),
            broken_off=end.broken_off,
        )
        self._ids += 1
        self.docket.add(entry)
        return entry

    def lateness(self, entry: Entry) -> int | None:
        """Segments after this one of which the client has seen something; None once a later channel was sent."""
        sent = self.tape.sent
        if any(run.at >= entry.end and run.channel != entry.segment.channel and run.at < sent for run in self._runs):
            return None
        marks = [self._tools_at] if entry.segment.channel == "content" else [self._tools_at, self._closed_at]
        if entry.segment.channel != "tool_calls" and any(at is not None and at < sent for at in marks):
            return None
        later = [e for e in self.docket.after(entry.segment.id) if e.start < sent and e.segment.channel != "tool_calls"]
        return len(later) + (sent > max(self._tail, entry.end))

    # What goes out

    def shown(self, channel: Channel, start: int, end: int) -> tuple[int, int]:
        """A stretch of a channel in characters of what the client received of it, which has text more that was
        discarded late or shown beside the context, and lacks the client's own prefix."""
        shifts = self._shifts[channel]
        if channel == "tool_calls":  # nothing of a call is text of a channel
            return 0, 0
        first = start + sum(by for at, by in shifts if at <= start)
        last = end + sum(by for at, by in shifts if at < end)
        return max(0, first), max(0, last)

    def holds(self, channel: Channel | None) -> bool:
        """Whether a channel is held back until it is judged."""
        watch = self.watch.get(channel) if channel else None
        return watch is not None and watch.release == "checked"

    def release(self, final: bool = False) -> list[Piece]:
        """What may be sent now. `final`: nothing more will come, so nothing needs to wait for a segment's end."""
        waiting = self.docket.waiting
        if not waiting:
            return self.tape.release(self._open_limit(final))
        limit = self.docket.frontier()
        if limit is None:
            limit = self._open_limit(final)
        return self.tape.release(min(limit, self._barrier(waiting)))

    def _barrier(self, waiting: Sequence[Entry]) -> int:
        """Where the first held channel behind an outstanding verdict begins: all of it waits, judged or guard's own."""
        runs = (run.at for run in self._runs if run.at >= waiting[0].end and self.holds(run.channel))
        return next(runs, self.tape.end)

    def _open_limit(self, final: bool) -> int:
        assert not self._ends  # they become segments at once unless an inline check is out, which is a frontier
        if final:
            return self.tape.end
        if self._tools_at is not None and self.holds("tool_calls"):
            return self._tools_at
        return self._tail if self.holds(self.channel) else self.tape.end

    # Corrections

    def cut(self, entry: Entry, keep: bool) -> Cut:
        """Drop everything behind a segment and, unless it is kept, the segment itself."""
        at = entry.end if keep else entry.start
        delay = self.tape.end - entry.end
        gone = [other for other in self.docket if other is not entry and self._falls_with(other, entry)]
        gone = gone if keep else [entry, *gone]
        for other in gone:
            self.docket.drop(other)
        self._ends.clear()
        start, discarded = self._cut_context(entry, keep)
        self.tape.cut(at)
        for channel in TEXTS:
            self._shift(channel)
        self._reopen(at)
        named = entry.segment.channel
        return Cut(
            start=start,
            discarded={name: text for name, text in discarded.items() if text},
            segments=tuple(other.segment for other in gone),
            seen=len(self.tape.text(named)) - self.shown(named, 0, entry.segment.end)[1] if keep else 0,
            delay=delay,
        )

    @staticmethod
    def _falls_with(other: Entry, entry: Entry) -> bool:
        if entry.segment.channel == "tool_calls":  # text behind them was segmented before they were whole
            return other.start >= entry.start
        return other.segment.id > entry.segment.id

    def _cut_context(self, entry: Entry, keep: bool) -> tuple[int, dict[Channel, str]]:
        """Cut the transcripts; returns where the claim starts, and the model's own text behind it, by channel."""
        segment = entry.segment
        channel: Channel = segment.channel
        discarded: dict[Channel, str] = {}
        beyond = entry.start + 1 if channel == "tool_calls" else entry.end
        while self._runs and self._runs[-1].at >= beyond:
            run = self._runs.pop()
            transcript = self.transcripts[run.channel]
            discarded[run.channel] = transcript.by("model", start=run.start) + discarded.get(run.channel, "")
            transcript.cut(run.start)
        if channel == "tool_calls":
            return segment.start, discarded
        transcript = self.transcripts[channel]
        start = max(segment.start, self._runs[-1].start)
        discarded[channel] = transcript.by("model", start=segment.end) + discarded.get(channel, "")
        transcript.cut(segment.end if keep else start)
        return start, discarded

    def _shift(self, channel: Text) -> None:
        """Behind a cut the client's offsets differ by what it was sent of the text that is gone."""
        end = len(self.transcripts[channel])
        shifts = [(at, by) for at, by in self._shifts[channel] if at < end]
        rest = len(self.tape.text(channel)) - end - sum(by for _, by in shifts)
        self._shifts[channel] = [*shifts, (end, rest)]

    def _reopen(self, at: int) -> None:
        if self._tools_at is not None and self._tools_at >= at:
            self._tools, self._tools_at = {}, None
        if self._closed_at is not None and self._closed_at >= at:
            self._tag, self._closed_at = "open", None
        self._tail = self.tape.end
        for channel in self._segmenters:
            seen = self.transcripts[channel].text()
            self._segmenters[channel] = Segmenter(self.watch[channel].unit, seen)

    def put(self, channel: Text, text: str, event: GuardEvent, attempt: int) -> None:
        """Write guard's text at the end of a channel, for the model and the client."""
        if text and self.channel != channel:
            self._enter(channel)
        self.transcripts[channel].append(text, "guard", attempt)
        self.tape.append(Piece(channel, text, None, self._forms.get(channel, ""), event), len(text))
        self._tail = self.tape.end
        if channel in self._segmenters:
            self._segmenters[channel] = Segmenter(self.watch[channel].unit, self.transcripts[channel].text())

    def announce(self, event: GuardEvent) -> None:
        """Tell the client something at this point of the turn."""
        self.tape.append(Piece(self.channel or "content", "", guard=event), 0)

    def note(self, entry: Entry, text: str, event: GuardEvent) -> None:
        """Show the client something behind a segment that the model's context does not have."""
        channel = entry.segment.channel
        form = ""
        if channel != "tool_calls":
            form = self._forms.get(channel, "")
            late = self.tape.sent > entry.end
            at = len(self.transcripts[channel]) - self.tape.held(channel) if late else entry.segment.end
            self._shifts[channel].append((at, len(text)))
        self.tape.insert(entry.end, Piece(channel, text, None, form, event))
