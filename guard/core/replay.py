"""The events a session received, as JSON: they replay it exactly, without a model and without checks.

Deltas that follow each other in one channel are joined, since cutting never matters; the upstream's own chunks are
left out, since nothing is decided by them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from guard.core import events as ev
from guard.core.types import JSON, Finding

_NAMES: dict[str, type[ev.Event]] = {
    "opened": ev.Opened,
    "delta": ev.Delta,
    "tool": ev.ToolDelta,
    "extra": ev.Extra,
    "finished": ev.Finished,
    "failed": ev.Failed,
    "checked": ev.Checked,
    "unchecked": ev.Unchecked,
    "hold": ev.HoldExpired,
    "recorded": ev.Recorded,
    "left": ev.ClientLeft,
}
_TYPES = {type_: name for name, type_ in _NAMES.items()}
_LEFT_OUT = frozenset({"raw", "tokens", "logprobs", "form"})


class EventLog:
    """Collects the events of one choice as they come."""

    __slots__ = ("_events", "_key", "_texts")

    def __init__(self) -> None:
        self._events: list[ev.Event] = []
        self._key: tuple[int, str] | None = None
        self._texts: list[str] = []

    def append(self, event: ev.Event) -> None:
        """The next event."""
        if isinstance(event, ev.Delta):
            key = event.attempt, event.channel
            if key == self._key:
                self._texts.append(event.text)
                return
            self._flush()
            self._key, self._texts = key, [event.text]
            self._events.append(event)
        elif not isinstance(event, ev.Extra) or event.tag:
            self._flush()
            self._events.append(event)

    def _flush(self) -> None:
        if self._key is not None:
            last = self._events[-1]
            assert isinstance(last, ev.Delta)
            self._events[-1] = ev.Delta(last.attempt, last.channel, "".join(self._texts))
            self._key = None

    def to_json(self) -> list[JSON]:
        """Every event as an object: its name under `event`, and its fields."""
        self._flush()
        return [_encode(event) for event in self._events]


def from_json(events: Iterable[JSON]) -> Iterator[ev.Event]:
    """The events again. Raises KeyError or TypeError for what `to_json` did not write."""
    for event in events:
        fields = dict(event)
        fields.pop("choice", None)
        type_ = _NAMES[fields.pop("event")]
        if "findings" in fields:
            fields["findings"] = tuple([Finding(**finding) for finding in fields["findings"]])
        yield type_(**fields)


def _encode(event: ev.Event) -> dict[str, Any]:
    out: dict[str, Any] = {"event": _TYPES[type(event)]}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if field.name not in _LEFT_OUT and value != field.default:
            out[field.name] = [dataclasses.asdict(f) for f in value] if field.name == "findings" else value
    return out
