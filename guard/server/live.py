"""What the policy model writes and what guard puts in, while it happens, for whoever watches.

One `Hub` a process: with several, a watcher sees the responses of the one that serves it. Knows sessions and bytes;
does not know HTTP. Rules:

- No message is made while nobody watches, and no response waits for a watcher: what a watcher does not take in time is
  dropped, and it is told how much (`gap`). One that leaves costs nothing afterwards.
- A watcher is shown what the client is sent, in that order, and each interruption at its place. So how the upstream
  cuts its text changes nothing. One who comes in the middle sees what runs from then on.
- What may not be written down as it is may not be watched: under `record.prompts: redacted` or `none` there is no text
  of anybody, only that something was interrupted (a value that a redactor would hide may be cut across two pieces).
  A response under mode `off` is not watched at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from guard.core import events as ev
from guard.core.policy import Policy
from guard.core.records import Provenance
from guard.core.types import Channel, Interruption
from guard.relay import Out
from guard.server.console_json import encoded

Message = dict[str, Any]

JOIN_S = 0.1
JOIN = 2**16
"""What is written within this time (seconds) goes out together, but no more of it than this (characters)."""

BACKLOG = 2**20
"""Bytes that may wait for one watcher."""

QUESTION = 2000
"""Characters of the question that are shown."""


class Watcher:
    """Somebody who watches: what waits to be sent there."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size = 0
        self._missed = 0
        self._ready = asyncio.Event()
        self._left = False

    def put(self, frame: bytes) -> None:
        """Add a frame, or count it as missed: where one is missing, none goes ahead of the `gap`."""
        if self._missed or self._size + len(frame) > BACKLOG:
            self._missed += 1
        else:
            self._frames.append(frame)
            self._size += len(frame)
        self._ready.set()

    async def take(self, seconds: float) -> bytes | None:
        """All that waits: b"" where nothing came in so many seconds, None once the watcher has left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        if self._left:
            return None
        frames, missed = self._frames, self._missed
        self._frames, self._size, self._missed = [], 0, 0
        self._ready.clear()
        return b"".join([*frames, _frame({"type": "gap", "missed": missed})] if missed else frames)

    def stop(self) -> None:
        """Let whoever waits in `take` go."""
        self._left = True
        self._ready.set()


class Hub:
    """The responses that run, and those who watch them. For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._watchers: set[Watcher] = set()
        self._running: set[Tap] = set()
        self._pending: list[tuple[Message, list[str]]] = []
        self._open: dict[tuple[str, int], tuple[Message, list[str]]] = {}
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    def watch(self) -> Watcher:
        """A new watcher; it is told at once what runs."""
        self._flush()
        watcher = Watcher()
        for tap in self._running:
            watcher.put(_frame(tap.begun))
        self._watchers.add(watcher)
        if self._closed:
            watcher.stop()
        return watcher

    def left(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        self._watchers.discard(watcher)
        if not self._watchers:
            self._flush()

    def close(self) -> None:
        """Let every watcher go, and whoever comes still: the server is shutting down."""
        self._flush()
        self._closed = True
        for watcher in self._watchers:
            watcher.stop()

    def tap(self, source: Provenance, policy: Policy) -> Tap:
        """The observer of one response, which begins with its `begin`."""
        return Tap(self, source, policy.record.prompts == "full", shown=policy.mode != "off")

    def runs(self, tap: Tap) -> None:
        """A response has begun."""
        self._running.add(tap)
        self.say(tap.begun)

    def over(self, tap: Tap, end: Message) -> None:
        """A response has ended."""
        self._running.discard(tap)
        self.say(end)

    def say(self, message: Message, choice: int = 0) -> None:
        """Tell the watchers something, behind the text that was written before it."""
        if self._watchers:
            self._open.pop((message["session"], choice), None)
            self._wait_with(message)

    def text(self, session: str, choice: int, channel: Channel, origin: Literal["model", "guard"], text: str) -> None:
        """Tell the watchers of text, joined to what this choice wrote just before."""
        about: Message = {"type": "text", "session": session, "choice": choice, "channel": channel, "origin": origin}
        last = self._open.get((session, choice))
        if last is None or last[0] != about:
            last = self._open[session, choice] = self._wait_with(about)
        last[1].append(text)
        self._size += len(text)
        if self._size > JOIN:
            self._flush()

    def _wait_with(self, message: Message) -> tuple[Message, list[str]]:
        waiting: tuple[Message, list[str]] = (message, [])
        self._pending.append(waiting)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(JOIN_S, self._flush)
        return waiting

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        pending, self._pending, self._open, self._timer, self._size = self._pending, [], {}, None, 0
        if self._watchers:
            for message, texts in pending:
                frame = _frame(message | {"text": "".join(texts)} if texts else message)
                for watcher in self._watchers:
                    watcher.put(frame)


class Tap:
    """One response as it is watched; an observer of its sessions (`guard.relay.Observer`)."""

    def __init__(self, hub: Hub, source: Provenance, open_: bool, *, shown: bool) -> None:
        self._hub = hub
        self._source = source
        self._open = open_
        self._shown = shown
        self._began = 0.0
        self._told = 0
        self._untold: dict[str, Interruption] = {}

    @property
    def begun(self) -> Message:
        """The message that the response has begun."""
        source = self._source
        question = source.evidence.question[:QUESTION] if self._open else ""
        about = {"model": source.model, "policy": source.policy, "question": question, "at": source.started}
        return {"type": "begin", "session": source.session, **about, "texts": self._open}

    def begin(self) -> None:
        """The response begins."""
        self._began = time.monotonic()
        if self._shown:
            self._hub.runs(self)

    def end(self, outcome: str) -> None:
        """The response is over; an interruption whose place in the text was never sent is told now."""
        if not self._shown:
            return
        for made in list(self._untold.values()):
            self._interrupted(made)
        seconds = time.monotonic() - self._began
        end = {"outcome": outcome, "interruptions": self._told, "seconds": round(seconds, 3)}
        self._hub.over(self, {"type": "end", "session": self._source.session, **end})

    def event(self, choice: int, event: ev.Event) -> None:
        """Not of interest here: what counts is what is sent."""

    def command(self, choice: int, command: ev.Command) -> None:
        """Keep an interruption until its place in the text is sent."""
        if type(command) is ev.Record and self._shown:
            self._untold[command.interruption.id] = command.interruption

    def examined(self, check: str, seconds: float) -> None:
        """Not of interest here."""

    def spent(self, choice: int, segment: int, check: str, tokens: int) -> None:
        """Not of interest here."""

    def released(self, out: Sequence[Out]) -> None:
        """What goes to the client now."""
        if self._shown and (self._hub.watched or self._untold):
            for choice, item in out:
                if type(item) is ev.Piece and not item.tag:
                    self._piece(choice, item)

    def _piece(self, choice: int, piece: ev.Piece) -> None:
        told = piece.guard
        if told is not None and (made := self._untold.get(told.id)) is not None:
            self._interrupted(made)
        text = piece.text if piece.call is None else piece.call.name + piece.call.arguments
        if text and self._open and self._hub.watched:
            origin: Literal["model", "guard"] = "model" if told is None else "guard"
            self._hub.text(self._source.session, choice, piece.channel, origin, text)

    def _interrupted(self, made: Interruption) -> None:
        del self._untold[made.id]
        self._told += 1
        texts = {"claim": made.claim.text, "put_in": made.put_in, "reason": made.reason, "correction": made.correction}
        score = max((finding.score for finding in made.verdicts[0].findings), default=0.0)
        about = {"check": made.check, "score": score, "correct": made.correct, "late": made.late}
        message = {"type": "interruption", "session": self._source.session, "choice": made.choice, "id": made.id}
        shown = texts if self._open else dict.fromkeys(texts, "")
        self._hub.say(message | {"channel": made.claim.channel, "at": self._hub.clock()} | shown | about, made.choice)


def _frame(message: Message) -> bytes:
    return b"data: " + encoded(message) + b"\n\n"
