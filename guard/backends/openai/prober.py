"""How the models of one server go on with a prefilled message: what is known, and who finds it out when.

Decides and remembers; how a model is examined is `probe`'s. Rules:
  Nothing is tried before a turn is cut and could be continued so; then one examination of a channel of a model at a
  time. A client waits `WAIT_S` for it; then its turn goes on another way, and the next one profits.
  Where clients name the models, no more than `STARTS` examinations a minute begin.
  What a server refuses is a verdict. A missing key, a rate limit, a failure or silence is none: nothing is tried again
  for `RETRY_S`, with the same key if the request may have been at fault.
  A server that was believed and began anew is examined again; after the second time it is not believed for a while.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from guard.backends.openai.learned import FORGET_S, Clock, Table
from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.probe import Examination, Open
from guard.backends.openai.upstream import Upstream
from guard.chat.prefill import Dialect, opens_reasoning
from guard.chat.trial import Abilities, Ability
from guard.errors import UpstreamError

RETRY_S = 60.0
"""How long an examination that failed is not repeated."""

WAIT_S = 10.0
"""How long a client waits for an examination."""

STARTS = 6
"""Examinations that begin within a minute where clients name the models."""

_MINUTE_S = 60.0
_ASTRAY = 2  # continuations that began anew before a server is not believed
_REFUSED = 3  # refusals in a row, each perhaps about its own request, before it is examined again

_Key: TypeAlias = tuple[str, Open]


class Prober:
    """What is known of one server's models, found out when it is first needed."""

    def __init__(self, upstream: Upstream, options: OpenAIOptions, now: Clock) -> None:
        self._upstream = upstream
        self._options = options
        self._now = now
        self._found: Table[_Key, Ability] = Table(now)
        self._failed: Table[tuple[_Key, str], Ability] = Table(now)
        self._astray: Table[_Key, int] = Table(now)
        self._refused: Table[_Key, int] = Table(now)
        self._running: dict[_Key, asyncio.Task[tuple[Ability, str]]] = {}
        self._starts: deque[float] = deque(maxlen=STARTS)

    async def close(self) -> None:
        """Stop the examinations that nobody waits for."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def ability(self, channel: Open, model: str, headers: Mapping[str, str]) -> Ability:
        """How `channel` is continued; tried now if that is not known. Raises nothing of the server's."""
        key, who = (model, channel), self._upstream.identity(headers)
        try:
            async with asyncio.timeout(WAIT_S):
                while (known := self._known(key, who)) is None:
                    if self._options.prefill != "auto":
                        return self._remember(key, configured(channel, self._options.prefill))
                    found, whose = await self._examined(key, who, headers)
                    if whose in ("", who):  # else it failed with another client's key
                        return found
        except TimeoutError:
            return _unknown(f"not found out within {WAIT_S:g} s")
        return known

    def distrust(self, channel: Open, model: str, why: str) -> None:
        """The channel was not continued: it is found out anew, and the second time taken to be impossible."""
        key = (model, channel)
        known = self._found.get(key)
        self._found.drop(key)
        times = (self._astray.get(key) or 0) + 1
        self._astray.put(key, times, FORGET_S)
        if times >= _ASTRAY:
            self._astray.drop(key)
            trials = () if known is None else known.trials
            self._remember(key, Ability(dialect=None, why=why, trials=trials))

    def refused(self, channel: Open, model: str) -> None:
        """A continuation was refused, perhaps for what was in it."""
        key = (model, channel)
        times = (self._refused.get(key) or 0) + 1
        self._refused.put(key, times, FORGET_S)
        if times >= _REFUSED:
            self._refused.drop(key)
            self._found.drop(key)

    def went_on(self, channel: Open, model: str) -> None:
        """The channel was continued."""
        self._astray.drop((model, channel))
        self._refused.drop((model, channel))

    def known(self, model: str | None) -> Abilities:
        """What was found out about a model; None: about the one that was asked for last."""
        if model is None:
            latest = self._found.latest()
            model = "" if latest is None else latest[0]
        content, reasoning = self._found.get((model, "content")), self._found.get((model, "reasoning"))
        return replace(Abilities(), content=content, reasoning=reasoning)

    def _known(self, key: _Key, who: str) -> Ability | None:
        """What was found out, or that it could not be a short while ago."""
        return self._found.get(key) or self._failed.get((key, "")) or self._failed.get((key, who))

    async def _examined(self, key: _Key, who: str, headers: Mapping[str, str]) -> tuple[Ability, str]:
        """The outcome of an examination, and of whose key it tells, "" for everybody's."""
        task = self._running.get(key)
        if task is None or task.done():
            if not self._may_start():
                return _unknown("too many models are being examined"), ""
            task = asyncio.create_task(self._find_out(key, who, headers))
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        await asyncio.wait({task})  # a client that leaves does not end it
        return (_unknown("guard is being closed"), "") if task.cancelled() else task.result()

    def _ended(self, key: _Key, task: asyncio.Task[tuple[Ability, str]]) -> None:
        if self._running.get(key) is task:
            del self._running[key]

    def _may_start(self) -> bool:
        if self._options.model is not None:
            return True
        now = self._now()
        if len(self._starts) == STARTS and now - self._starts[0] < _MINUTE_S:
            return False
        self._starts.append(now)
        return True

    async def _find_out(self, key: _Key, who: str, headers: Mapping[str, str]) -> tuple[Ability, str]:
        model, channel = key
        try:
            found = await Examination(self._upstream, self._options, model, headers).of(channel)
        except UpstreamError as error:
            whose = who if 400 <= error.status < 500 else ""
            failed = _unknown(str(error))
            self._failed.put((key, whose), failed, RETRY_S)
            return failed, whose
        return self._remember(key, found), ""

    def _remember(self, key: _Key, ability: Ability) -> Ability:
        self._found.put(key, ability, FORGET_S if ability.dialect is None else float("inf"))
        return ability


def configured(channel: Open, dialect: Dialect) -> Ability:
    """A dialect that is taken at its word."""
    if channel == "reasoning" and not opens_reasoning(dialect):
        return Ability(dialect=None, why=f"{dialect} has no word for open reasoning")
    return Ability(dialect=dialect, why="configured")


def _unknown(why: str) -> Ability:
    return Ability(dialect=None, why=f"unknown: {why}")
