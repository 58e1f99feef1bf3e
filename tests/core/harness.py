"""Drives a session as the relay does, without an event loop: what happens when is up to the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from guard.core import events as ev
from guard.core.config import CheckSpec, Config
from guard.core.policy import Policy
from guard.core.session import Session
from guard.core.types import Channel, Finding, Interruption, Segment

Answer = Callable[[Segment], tuple[Finding, ...] | ev.Unchecked]


def policy(**fields: Any) -> Policy:
    """A policy from its YAML shape: reasoning immediate + interrupt, content checked + retract, one check."""
    base: dict[str, Any] = {
        "name": "test",
        "watch": {
            "reasoning": {"release": "immediate", "correct": "interrupt"},
            "content": {"release": "checked", "correct": "retract"},
            "tool_calls": {"release": "checked", "correct": "retract"},
        },
        "checks": [{"check": "quick"}],
        "interrupt": {"cooldown_segments": 0},
    }
    return Policy.model_validate(base | fields)


def bad(segment: Segment) -> tuple[Finding, ...]:
    """Flags every segment with the word BAD; the correction names the segment's first word."""
    if "BAD" not in segment.text:
        return ()
    return (Finding(score=1.0, reason="that is wrong.", correction="It is GOOD."),)


class Harness:
    """A session, what it asked for, and what the client has."""

    def __init__(
        self,
        policy: Policy,
        inline: Mapping[str, Answer] | None = None,
        slow: Iterable[str] = (),
        *,
        record: bool = True,
        **config: Any,
    ) -> None:
        self.inline = {"quick": bad} if inline is None else dict(inline)
        text: frozenset[Channel] = frozenset({"reasoning", "content", "tool_calls"})
        checks = [CheckSpec(name=n, version="1", inline=True, channels=text) for n in self.inline]
        checks += [CheckSpec(name=n, version="1", inline=False, channels=text) for n in slow]
        self.session = Session(
            Config(session="s", choice=0, policy=policy, checks=checks, count=lambda t: -(-len(t) // 4), **config)
        )
        self.auto_record = record
        self.pieces: list[ev.Piece] = []
        self.commands: list[ev.Command] = []
        self.asked: list[tuple[Segment, str]] = []
        self.holds: list[ev.StartHold] = []
        self.records: list[Interruption] = []
        self.opened: list[ev.OpenAttempt] = []
        self.finish: ev.Finish | None = None
        self.segments: list[Segment] = []

    def feed(self, *events: ev.Event) -> Harness:
        """Give the session events; answer inline checks at once, in order."""
        queue = deque(events)
        while queue:
            answers: list[ev.Event] = []
            for command in self.session.receive(queue.popleft()):
                self.commands.append(command)
                answers += self._one(command)
            queue.extendleft(reversed(answers))
        return self

    def _one(self, command: ev.Command) -> list[ev.Event]:
        match command:
            case ev.Emit(pieces):
                assert self.finish is None
                self.pieces += pieces
            case ev.RunCheck(segment, check) if check in self.inline:
                if segment not in self.segments:
                    self.segments.append(segment)
                answer = self.inline[check](segment)
                return [answer if isinstance(answer, ev.Unchecked) else ev.Checked(segment.id, check, answer)]
            case ev.RunCheck(segment, check):
                if segment not in self.segments:
                    self.segments.append(segment)
                self.asked.append((segment, check))
            case ev.StartHold():
                self.holds.append(command)
            case ev.Record(interruption):
                self.records.append(interruption)
                if self.auto_record:
                    return [ev.Recorded(interruption.id)]
            case ev.OpenAttempt():
                self.opened.append(command)
            case ev.Finish():
                assert self.finish is None, "two finishes"
                self.finish = command
        return []

    def say(
        self, text: str, channel: Any = "reasoning", attempt: int | None = None, cuts: Iterable[int] = ()
    ) -> Harness:
        """Text of the model, cut at these offsets."""
        number = self.session.attempt if attempt is None else attempt
        points = [0, *cuts, len(text)]
        return self.feed(*(ev.Delta(number, channel, text[a:b]) for a, b in pairwise(points)))

    def end(self, reason: str = "stop") -> Harness:
        """The upstream finishes the current attempt."""
        return self.feed(ev.Finished(self.session.attempt, reason))

    def open(self, continuation: Any = "text_exact") -> Harness:
        """The attempt that was asked for begins."""
        return self.feed(ev.Opened(self.session.attempt, continuation))

    def answer(self, *findings: Finding, which: int = 0) -> Harness:
        """A slow check answers."""
        segment, check = self.asked.pop(which)
        return self.feed(ev.Checked(segment.id, check, findings))

    def text(self, channel: str = "reasoning") -> str:
        """What the client has of a channel."""
        return "".join(p.text for p in self.pieces if p.channel == channel and not p.tag)

    @property
    def told(self) -> list[str]:
        """The events the client was told, in order."""
        return [p.guard.event for p in self.pieces if p.guard]
