"""Plays labelled text through the live path: the same segmenter, session, checks and policy, a few characters a delta.

Knows no labels. No event loop, server or clock decides anything:

1. The policy only observes, whatever its mode: nothing is cut, so the text plays to its end, and each verdict that
   would have interrupted is recorded. Budgets and cool-downs belong to cuts and do not apply.
2. A check that is not inline is awaited and its answer fed before the next delta: the order of a stream slower than its
   checks. Deadlines and holds do not apply; an answer that came later than its deadline is counted.
3. What a check costs is CPU time around `examine`: of this thread, or of the process where it is not inline and no
   other row plays beside its own.
4. The context goes into a system message and the question into the user's, as a retrieval client sends them; the
   response plays in `content`. Steps play in `reasoning` behind the question. Pairs do not play (see `comparing`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from guard.core import events as ev
from guard.core.config import Config
from guard.core.policy import Policy, Watch
from guard.core.session import Session
from guard.core.types import Evidence, Segment, Verdict
from guard.core.use import CheckUse
from guard.errors import ConfigError
from guard.evaluation.asking import Models
from guard.evaluation.driving import Drive
from guard.evaluation.judged import Flag, Heard, Judged, Played
from guard.evaluation.rows import Row, Shape
from guard.registry import LoadedPolicy
from guard.server.request import evidence

DELTA = 4
"""Characters of a delta."""

Channel = Literal["reasoning", "content"]
Cut = Callable[[str], Iterable[str]]
"""Cuts a text into deltas; nothing in the result may depend on it."""


def by_characters(size: int) -> Cut:
    """Deltas of `size` characters."""
    return lambda text: (text[at : at + size] for at in range(0, len(text), size))


def observing(loaded: LoadedPolicy) -> LoadedPolicy:
    """The policy as it would be in shadow: the same checks, thresholds and segments, and nothing acts."""
    watch = {channel: Watch(release="immediate", unit=w.unit) for channel, w in loaded.policy.watch.items()}
    return replace(loaded, policy=loaded.policy.model_copy(update={"mode": "observe", "watch": watch}))


def supplied(row: Row) -> Evidence:
    """What the row's text is held against: its context, which is evidence by what the shape means, and the question."""
    asked = [{"role": "user", "content": row.question}] if row.question else []
    return evidence(asked, [row.context] if row.context else [])


def messages(row: Row) -> list[dict[str, str]]:
    """What a client would have asked."""
    asked = [{"role": "system", "content": row.context}] if row.context else []
    return [*asked, {"role": "user", "content": row.question}] if row.question else asked


class Player:
    """Plays rows under one policy; a context manager, since checks may keep connections on its event loop.

    Args:
        models: whom the policy's checks may ask; they are started and closed with it.

    Raises ConfigError where the policy does not look at the shape's channel, or a model does not answer.
    """

    def __init__(
        self, loaded: LoadedPolicy, shape: Shape, cut: Cut | None = None, models: Models | None = None
    ) -> None:
        self._loaded = observing(loaded)
        self._channel: Channel = "reasoning" if shape == "steps" else "content"
        self._cut = cut or by_characters(DELTA)
        self._uses = {use.check: use for use in loaded.policy.checks}
        fusion = loaded.policy.fusion
        self._weighed = frozenset(fusion.checks if fusion is not None else ())
        self._models = models or Models()
        self._playing: deque[asyncio.Task[Played]] = deque()
        self._runner = asyncio.Runner()
        _watches(loaded.policy, self._channel)

    def __enter__(self) -> Self:
        try:
            self._runner.run(self._models.start())
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._runner.run(self._leave())
        finally:
            self._runner.close()

    def play(self, row: Row) -> Played:
        """Play one row to its end."""
        return self._runner.run(self._play(row))

    def play_all(self, rows: Iterable[Row]) -> Iterator[Played]:
        """Play every row, as many beside each other as `models` says; what comes out is in the rows' order."""
        for row in rows:
            self._playing.append(self._runner.get_loop().create_task(self._play(row)))
            if len(self._playing) >= self._models.at_once:
                yield self._first()
        while self._playing:
            yield self._first()

    def _first(self) -> Played:
        return self._runner.run(_result(self._playing.popleft()))

    async def _leave(self) -> None:
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)
        await self._models.close()

    async def _play(self, row: Row) -> Played:
        policy = self._loaded.policy
        config = Config(session="eval", choice=0, policy=policy, checks=self._loaded.specs, count=len)
        beside = self._models.at_once > 1
        again = self._models.again(messages(row))
        turn = Drive(Session(config), self._loaded, supplied(row), again=again, beside=beside)
        finish = await turn.run(self._events(row.text))
        self._models.failed.update(turn.failed)
        assert finish.summary is not None  # a session that ran to its end has one
        verdicts: dict[int, list[Verdict]] = {}
        for verdict in finish.summary.verdicts:
            verdicts.setdefault(verdict.segment, []).append(verdict)
        ends = {segment.id: segment.end for segment in finish.summary.segments}
        return Played(
            row=row,
            segments=tuple(
                self._judged(segment, verdicts.get(segment.id, ()), turn, ends) for segment in finish.summary.segments
            ),
            past_deadline=turn.past_deadline,
            spent=turn.spent,
        )

    def _events(self, text: str) -> Iterator[ev.Event]:
        for delta in self._cut(text):
            yield ev.Delta(0, self._channel, delta)
        yield ev.Finished(0, "stop")

    def _judged(self, segment: Segment, verdicts: Sequence[Verdict], turn: Drive, ends: Mapping[int, int]) -> Judged:
        start = segment.end - len(segment.text.lstrip())
        heard = tuple(
            Heard(
                check=verdict.check,
                status=verdict.status,
                why=verdict.why,
                score=max((finding.score for finding in verdict.findings), default=0.0),
                interrupts=verdict.disposition == "observed",
                used=verdict.used is not None,
                weighed=verdict.check in self._weighed,
                ms=turn.ms.get((segment.id, verdict.check), 0.0),
                flags=tuple(_flags(segment, start, verdict, self._uses[verdict.check])),
            )
            for verdict in verdicts
        )
        used = {ends[verdict.used] for verdict in verdicts if verdict.used is not None}
        at_once = any(v.disposition == "observed" and v.used is None for v in verdicts)
        return Judged(
            start=start,
            end=segment.end,
            heard=heard,
            fused=max((v.fused for v in verdicts if v.fused is not None), default=None),
            used_at=None if at_once else min(used, default=None),
        )


async def _result(task: asyncio.Task[Played]) -> Played:
    return await task


def _watches(policy: Policy, channel: Channel) -> None:
    if policy.mode == "off" or not policy.checks:
        raise ConfigError(f"policy {policy.name!r} checks nothing; name another with --policy")
    if channel not in policy.watch:
        raise ConfigError(f"policy {policy.name!r} does not watch {channel}, where this shape's text plays")


def _flags(segment: Segment, start: int, verdict: Verdict, use: CheckUse) -> Iterator[Flag]:
    """Where the flagged findings lie in the channel, white space around them left out. What only the fusion flags is
    its surest finding, as sure as the fusion."""
    flagged = tuple(f for f in verdict.findings if use.flag_at is not None and f.score >= use.flag_at)
    if not flagged and verdict.status == "flagged" and verdict.fused is not None:
        flagged = (replace(max(verdict.findings, key=lambda f: f.score), score=verdict.fused),)
    for finding in flagged:
        left = max(start, segment.start + finding.start)
        right = segment.end if finding.end is None else min(segment.end, segment.start + finding.end)
        # A finding may mark a place without characters; the statement is then all there is to show.
        yield Flag(*((left, right) if left < right else (start, segment.end)), finding.score)
