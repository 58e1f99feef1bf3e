"""Writes down what one request did: each interruption before the turn goes on, the rest when it is over.

An observer of the request's sessions and the owner of its clock. A store that fails is counted and logged; what it
means for the stream is the policy's `on_store_error`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable
from typing import Any

from guard.core import events as ev
from guard.core.policy import Policy
from guard.core.records import InterruptionRecord, Provenance, SessionRecord
from guard.core.replay import EventLog
from guard.core.types import Closing, Interruption, Summary
from guard.errors import StoreError
from guard.metrics import Metrics
from guard.store import Store

log = logging.getLogger("guard")


class Journal:
    """The record of one request of `n` choices."""

    def __init__(self, store: Store, metrics: Metrics, provenance: Provenance, policy: Policy, n: int) -> None:
        self._store = store
        self._metrics = metrics
        self._provenance = provenance
        self._policy = policy
        self._events = [EventLog() for _ in range(n)]
        self._whole: dict[tuple[int, int], float] = {}
        self._cut_at: dict[str, tuple[float, float]] = {}
        self._closings: list[Closing] = []
        self._summaries: dict[int, Summary] = {}
        self._spent: Counter[tuple[int, int]] = Counter()
        self._called: set[int] = set()
        self.unsampled: list[Interruption] = []
        """Those on record whose uninterrupted continuation the policy asks for."""
        self._began = time.monotonic()
        self.timings: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Note the time of something, once."""
        if name not in self.timings:
            self.timings[name] = time.monotonic() - self._began

    def event(self, choice: int, event: ev.Event) -> None:
        """Keep what happened."""
        if not self.timings and type(event) in (ev.Delta, ev.ToolDelta):
            self.mark("first_delta")
        self._events[choice].append(event)

    def command(self, choice: int, command: ev.Command) -> None:
        """Keep when claims were whole and turns were cut, and how choices ended."""
        match command:
            case ev.RunCheck(segment):
                self._whole.setdefault((choice, segment.id), time.monotonic())
            case ev.Record(interruption):
                segment_id = interruption.verdicts[0].segment
                now = time.monotonic()
                self._cut_at[interruption.id] = time.time(), now - self._whole.get((choice, segment_id), now)
            case ev.Finish(closings=closings, summary=summary) if summary is not None:
                self._closings += closings
                self._summaries[choice] = summary
            case _:
                pass

    def examined(self, check: str, seconds: float) -> None:
        """Not of interest here."""

    def spent(self, choice: int, segment: int, check: str, tokens: int) -> None:
        """Keep what judging a segment cost."""
        self._spent[choice, segment] += tokens

    @property
    def supervisor_tokens(self) -> int:
        """What judging cost so far, in tokens of the models that were asked for it."""
        return self._spent.total()

    async def record(self, interruption: Interruption) -> str | None:
        """Make an interruption durable; returns what went wrong, or None."""
        at, delay = self._cut_at[interruption.id]
        sampled = self._wants_counterfactual(interruption)
        record = InterruptionRecord(
            interruption=interruption,
            provenance=self._provenance,
            at=at,
            delay_s=delay,
            supervisor_tokens=self._spent[interruption.choice, interruption.verdicts[0].segment],
        )
        try:
            await self._store.add_interruption(record, self._policy.record.prompts)
        except StoreError as error:
            self._metrics.store_errors.labels("interruption").inc()
            log.error("interruption %s could not be recorded: %s", interruption.id, error)
            return str(error)
        if sampled:
            self.unsampled.append(interruption)
        return None

    def _wants_counterfactual(self, interruption: Interruption) -> bool:
        """Behind a tool call nothing can be gone on with: what guard answered to it is not in the turn's text."""
        if interruption.claim.channel == "tool_calls":
            self._called.add(interruption.choice)
        recording = self._policy.record
        possible = recording.prompts != "none" and interruption.choice not in self._called
        return possible and recording.wants_counterfactual(interruption.id)

    async def close(self, usage: dict[str, Any]) -> None:
        """The response is over: close its interruptions, write the session and count it."""
        self.mark("finish")
        # All at once, so that the store can make one write of them; in this order.
        work: list[Awaitable[object]] = [self._store.close_interruptions(self._closings)] if self._closings else []
        if self._summaries and self._policy.mode != "off":
            work += [self._tally(), self._add_session(usage)]
        results = await asyncio.gather(*work, return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        for error in failed:
            if not isinstance(error, StoreError):
                raise error
        if failed:  # one session, however many of its writes failed
            self._metrics.store_errors.labels("session").inc()
            log.error("session %s could not be recorded: %s", self._provenance.session, failed[0])

    async def _tally(self) -> None:
        """Count the response, whether it is stored or not."""
        summaries = self._summaries.values()
        await self._store.tally(
            self._provenance.model,
            self._provenance.policy,
            at=time.time(),
            responses=1,
            interrupted=int(any(summary.interruptions for summary in summaries)),
            segments=sum(len(summary.segments) for summary in summaries),
            unscanned=sum(summary.unscanned for summary in summaries),
            added_s=self._held_s(),
        )

    def _held_s(self) -> float:
        """Seconds from the model's first text to the first that the client was sent, where it was streamed."""
        return max(self.timings.get("first_emit", 0.0) - self.timings.get("first_delta", 0.0), 0.0)

    async def _add_session(self, usage: dict[str, Any]) -> None:
        ratio = self._policy.record.clean_per_interruption
        flagged = any(summary.flagged for summary in self._summaries.values())
        if not flagged and not await self._store.want_clean(ratio, self._provenance.policy):
            return
        events = [{"choice": i, **event} for i, events in enumerate(self._events) for event in events.to_json()]
        record = SessionRecord(
            provenance=self._provenance,
            ended=time.time(),
            choices=tuple(self._summaries[choice] for choice in sorted(self._summaries)),
            events=tuple(events),
            timings=self.timings,
            usage=usage,
        )
        await self._store.add_session(record, ratio, self._policy.record.prompts)
