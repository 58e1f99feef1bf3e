"""The relay: one event at a time, back-pressure, checks that misbehave, clients that leave, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from guard import relay as relays
from guard.backends import Batch, Usage
from guard.checks import Context, NotApplicable, Params, Resources, Result
from guard.core import events as ev
from guard.core.config import CheckSpec, Config
from guard.core.policy import Policy
from guard.core.session import Session
from guard.core.types import Channel, Evidence, Finding, Interruption, Resume, Segment
from guard.core.usage import Ledger
from guard.errors import UpstreamDisconnected, UpstreamError
from guard.relay import Out, Relay
from tests.core.harness import policy

Step: TypeAlias = "Batch | asyncio.Event | BaseException"
EVERYWHERE: frozenset[Channel] = frozenset({"reasoning", "content", "tool_calls"})
WRONG = (Finding(score=1.0, reason="that is wrong.", correction="It is GOOD."),)


def delta(text: str, channel: Any = "content", attempt: int = 0, choice: int = 0) -> Batch:
    return [(choice, ev.Delta(attempt, channel, text, form=channel))]


def opened(attempt: int = 0, choice: int = 0) -> Batch:
    return [(choice, ev.Opened(attempt, "text_exact" if attempt else None))]


def finished(attempt: int = 0, choice: int = 0, reason: str = "stop") -> Batch:
    return [(choice, ev.Finished(attempt, reason))]


class Upstream:
    """Plays a list of steps an attempt: a batch is brought, an Event waited for, an exception raised."""

    headers: Mapping[str, str] = {}

    def __init__(self, *attempts: Sequence[Step]) -> None:
        self._attempts = attempts
        self.read = 0
        self.opened: list[tuple[int, int, Resume | None]] = []
        self.ended: list[int] = []
        self.waiting = asyncio.Event()
        self.closed = 0

    async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
        self.opened.append((number, choice, resume))
        try:
            for step in self._attempts[len(self.opened) - 1]:
                if isinstance(step, asyncio.Event):
                    self.waiting.set()
                    await step.wait()
                elif isinstance(step, BaseException):
                    raise step
                else:
                    self.read += 1
                    yield step
        finally:
            self.ended.append(number)

    async def close(self) -> None:
        self.closed += 1


class Quick:
    """An inline check."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = EVERYWHERE
    Params: ClassVar[type[Params]] = Params

    def __init__(self, params: Any = None, resources: Resources | None = None) -> None:
        self.seen: list[str] = []

    def examine(self, segment: Segment, context: Context) -> Result | Awaitable[Result]:
        self.seen.append(segment.text)
        return WRONG if "BAD" in segment.text else ()


class Slow(Quick):
    """A check beside the stream; `answer` is awaited for every segment."""

    inline: ClassVar[bool] = False

    def __init__(self, answer: Callable[[Segment], Awaitable[Result]]) -> None:
        super().__init__()
        self._answer = answer
        self.began = asyncio.Event()
        self.cancelled = 0

    async def examine(self, segment: Segment, context: Context) -> Result:
        self.seen.append(segment.text)
        self.began.set()
        try:
            return await self._answer(segment)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Run:
    """A relay, what its client got, and what it recorded."""

    def __init__(
        self,
        turn: Upstream,
        checks: Mapping[str, Quick] | None = None,
        n: int = 1,
        uses: Sequence[Mapping[str, Any]] = (),
        **fields: Any,
    ) -> None:
        checks = {"quick": Quick()} if checks is None else checks
        self.turn = turn
        self.policy: Policy = policy(**({"checks": uses or [{"check": name} for name in checks]} | fields))
        self.specs = [
            CheckSpec(name=name, version="1", inline=check.inline, channels=check.channels)
            for name, check in checks.items()
        ]
        self.out: list[Out] = []
        self.records: list[Interruption] = []
        self.happened: list[str] = []
        self.times: list[str] = []
        self.ledger = Ledger()
        self.relay = Relay(
            turn=turn,
            sessions=[self._session(choice) for choice in range(n)],
            policy=self.policy,
            checks=checks,
            evidence=Evidence(),
            emit=self.emit,
            record=self.record,
            ledger=self.ledger,
            observers=[self],
        )

    def _session(self, choice: int) -> Session:
        return Session(
            Config(session="s", choice=choice, policy=self.policy, checks=self.specs, count=lambda t: -(-len(t) // 4))
        )

    async def emit(self, out: Sequence[Out]) -> None:
        await asyncio.sleep(0)  # as a client that is slow to read
        self.out += out

    async def record(self, interruption: Interruption) -> str | None:
        await asyncio.sleep(0)
        self.records.append(interruption)
        self.happened.append("recorded")
        return None

    def event(self, choice: int, event: ev.Event) -> None:
        pass

    def command(self, choice: int, command: ev.Command) -> None:
        if isinstance(command, ev.OpenAttempt):
            self.happened.append("opened")

    def examined(self, check: str, seconds: float) -> None:
        self.times.append(check)

    def spent(self, choice: int, segment: int, check: str, tokens: int) -> None:
        pass

    async def start(self) -> Run:
        async with asyncio.timeout(10):
            await self.relay.run()
        return self

    def text(self, channel: str = "content", choice: int = 0) -> str:
        pieces = [p for c, p in self.out if c == choice and isinstance(p, ev.Piece)]
        return "".join(p.text for p in pieces if p.channel == channel)

    def finishes(self, choice: int = 0) -> list[ev.Finish]:
        return [f for c, f in self.out if c == choice and isinstance(f, ev.Finish)]

    def finish(self, choice: int = 0) -> ev.Finish:
        (only,) = self.finishes(choice)
        return only

    def unscanned(self, choice: int = 0) -> list[tuple[str, str]]:
        summary = self.finish(choice).summary
        assert summary is not None
        return [(v.check, v.why) for v in summary.verdicts if v.status == "unscanned"]


async def forever(segment: Segment) -> Result:
    await asyncio.Event().wait()
    raise AssertionError


async def clean(segment: Segment) -> Result:
    await asyncio.sleep(0.01)
    return ()


async def suspicious(segment: Segment) -> Result:
    await asyncio.sleep(0)
    return WRONG if "BAD" in segment.text else ()


def timers() -> int:
    """Timers of the running loop that will still fire."""
    return sum(not handle.cancelled() for handle in getattr(asyncio.get_running_loop(), "_scheduled"))  # noqa: B009


def nothing_is_left(run: Run, before: int) -> None:
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert timers() == before
    assert run.turn.closed == 1
    assert len(run.turn.ended) == len(run.turn.opened)


# Checks


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError(), ExceptionGroup("two", [ValueError()])])
async def test_a_slow_check_that_raises_is_unscanned_and_the_text_goes_on(error: Exception) -> None:
    async def broken(segment: Segment) -> Result:
        raise error

    run = await Run(Upstream([opened(), delta("One. Two."), finished()]), {"slow": Slow(broken)}).start()
    assert run.text() == "One. Two."
    why = "deadline" if isinstance(error, TimeoutError) else f"error: {type(error).__name__}"
    assert run.unscanned() == [("slow", why)] * 2


async def test_a_slow_check_that_is_cancelled_from_inside_is_unscanned() -> None:
    async def cancelled(segment: Segment) -> Result:
        raise asyncio.CancelledError

    turn = Upstream([opened(), delta("One.", "reasoning"), finished()])
    run = await Run(turn, {"slow": Slow(cancelled)}).start()
    assert run.text("reasoning") == "One."
    assert run.unscanned() == [("slow", "error: CancelledError")]


async def test_an_inline_check_that_raises_is_unscanned_and_the_text_goes_on() -> None:
    class Broken(Quick):
        def examine(self, segment: Segment, context: Context) -> Result:
            raise KeyError("no")

    run = await Run(Upstream([opened(), delta("One. Two."), finished()]), {"quick": Broken()}).start()
    assert run.text() == "One. Two."
    assert run.unscanned() == [("quick", "error: KeyError")] * 2


@pytest.mark.parametrize("inline", [True, False])
async def test_a_check_that_answers_nonsense_is_unscanned(inline: bool) -> None:
    class Nonsense(Quick):
        def examine(self, segment: Segment, context: Context) -> Any:
            return None

    async def nonsense(segment: Segment) -> Any:
        return None

    check = Nonsense() if inline else Slow(nonsense)
    run = await Run(Upstream([opened(), delta("One."), finished()]), {"check": check}).start()
    assert run.text() == "One."
    assert len(run.unscanned()) == 1


async def test_a_check_that_never_returns_is_cancelled_at_its_deadline() -> None:
    slow = Slow(forever)
    turn = Upstream([opened(), delta("One."), finished()])
    run = await Run(turn, {"slow": slow}, uses=[{"check": "slow", "deadline_ms": 20}]).start()
    assert run.text() == "One."
    assert run.unscanned() == [("slow", "deadline")]
    assert slow.cancelled == 1


async def test_a_check_that_is_slow_but_in_time_is_waited_for() -> None:
    run = await Run(Upstream([opened(), delta("One. Two."), finished()]), {"slow": Slow(clean)}).start()
    assert run.text() == "One. Two."
    assert run.unscanned() == []
    assert run.times == ["slow", "slow"]


async def test_a_hold_that_expires_releases_and_the_check_may_still_answer() -> None:
    go = asyncio.Event()

    async def on_call(segment: Segment) -> Result:
        await go.wait()
        return ()

    watch = {"content": {"release": "checked", "max_hold_ms": 20, "correct": "retract"}}
    turn = Upstream([opened(), delta("One. On"), go, finished()])
    run = Run(turn, {"slow": Slow(on_call)}, watch=watch)
    task = asyncio.create_task(run.start())
    async with asyncio.timeout(5):
        while not run.text():
            await asyncio.sleep(0.005)
    go.set()
    await task
    assert run.text() == "One. On"
    assert run.finish().reason == "stop"


async def test_not_applicable_is_neither_clean_nor_unscanned() -> None:
    async def nothing(segment: Segment) -> Result:
        return NotApplicable("no facts")

    run = await Run(Upstream([opened(), delta("One."), finished()]), {"slow": Slow(nothing)}).start()
    summary = run.finish().summary
    assert summary is not None
    assert [(v.status, v.why) for v in summary.verdicts] == [("not_applicable", "no facts")]


async def test_checks_see_what_still_stands_and_keep_one_memo_a_choice() -> None:
    seen: list[tuple[str, tuple[str, ...], int]] = []

    class Looks(Quick):
        def examine(self, segment: Segment, context: Context) -> Result:
            context.memo["n"] = context.memo.get("n", 0) + 1
            seen.append((segment.text, tuple(s.text for s in context.kept), context.memo["n"]))
            return WRONG if "BAD" in segment.text else ()

    turn = Upstream(
        [opened(), delta("One. BAD. Gone."), finished()], [opened(1), delta(" Two.", attempt=1), finished(1)]
    )
    await Run(turn, {"quick": Looks()}).start()
    assert seen == [("One.", (), 1), (" BAD.", ("One.",), 2), (" Two.", ("One.",), 3)]


# Costs


async def _costs(monkeypatch: pytest.MonkeyPatch, deltas: int) -> dict[str, int]:
    loop = asyncio.get_running_loop()
    counts = dict.fromkeys(("create_task", "call_later", "call_at", "create_future", "run_in_executor"), 0)

    def counting(name: str) -> Callable[..., Any]:
        original = getattr(loop, name)

        def count(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return original(*args, **kwargs)

        return count

    watch = {"content": {"release": "immediate"}}
    run = Run(
        Upstream([opened(), *(delta("word ") for _ in range(deltas)), finished()]), {"slow": Slow(clean)}, watch=watch
    )

    async def emit(out: Sequence[Out]) -> None:
        run.out += out

    run.relay._emit = emit
    with monkeypatch.context() as patch:
        for name in counts:
            patch.setattr(loop, name, counting(name))
        await run.relay.run()
    assert run.text() == "word " * deltas
    return counts


async def test_a_delta_that_closes_no_segment_costs_no_task_timer_future_or_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 60 and 20 deltas of "word " close no segment; a longer run closes one for each ~320 characters.
    assert await _costs(monkeypatch, 60) == await _costs(monkeypatch, 20)


async def test_a_thousand_deltas_of_inline_checks_cost_what_ten_do(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = []
    for deltas in (10, 1000):
        loop = asyncio.get_running_loop()
        counts = {"create_task": 0, "call_later": 0, "call_at": 0}
        for name in counts:
            original = getattr(loop, name)

            def count(*args: Any, name: str = name, original: Any = original, **kwargs: Any) -> Any:
                counts[name] += 1  # noqa: B023
                return original(*args, **kwargs)

            monkeypatch.setattr(loop, name, count)
        run = Run(Upstream([opened(), *(delta("word. ") for _ in range(deltas)), finished()]))
        await run.relay.run()
        assert run.text() == "word. " * deltas
        costs.append(counts)
        monkeypatch.undo()
    assert costs[0] == costs[1]
    assert costs[0]["create_task"] == 1


async def test_while_the_client_does_not_read_the_upstream_is_not_read() -> None:
    go = asyncio.Event()
    turn = Upstream([opened(), *(delta(f"{i}. ") for i in range(50)), finished()])
    run = Run(turn, watch={"content": {"release": "immediate"}})
    blocked = asyncio.Event()

    async def emit(out: Sequence[Out]) -> None:
        run.out += out
        if not go.is_set():
            blocked.set()
            await go.wait()

    run.relay._emit = emit
    task = asyncio.create_task(run.start())
    await blocked.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert turn.read == 2  # Opened, and the delta whose text is being sent
    go.set()
    await task
    assert turn.read == 52
    assert run.text() == "".join(f"{i}. " for i in range(50))


async def test_a_verdict_that_arrives_while_emit_is_blocked_waits_its_turn() -> None:
    go, verdict = asyncio.Event(), asyncio.Event()

    async def on_call(segment: Segment) -> Result:
        await verdict.wait()
        return WRONG if "BAD" in segment.text else ()

    turn = Upstream(
        [opened(), delta("BAD one.", "reasoning"), delta(" Two", "reasoning"), delta(" more", "reasoning"), finished()],
        [opened(1), delta(" Three.", "reasoning", 1), finished(1)],
    )
    run = Run(turn, {"slow": Slow(on_call)})
    blocked = asyncio.Event()

    async def emit(out: Sequence[Out]) -> None:
        if any(isinstance(p, ev.Piece) and p.text == " Two" for _, p in out):
            blocked.set()
            await go.wait()
        await asyncio.sleep(0)
        run.out += out

    run.relay._emit = emit
    task = asyncio.create_task(run.start())
    await blocked.wait()
    verdict.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert run.text("reasoning") == "BAD one."
    assert run.records == []
    go.set()
    await task
    assert run.text("reasoning").startswith("BAD one. Two")
    assert run.text("reasoning").endswith(" No, that is wrong. It is GOOD. Three.")
    assert run.finish().reason == "stop"


# Interruptions


@pytest.mark.parametrize("channel", ["reasoning", "content"])
async def test_what_a_slow_verdict_releases_reaches_a_client_that_reads_slowly(channel: Any) -> None:
    turn = Upstream(
        [opened(), delta("One. BAD two. Gone", channel), asyncio.Event()],
        [opened(1), delta(" Three.", channel, 1), finished(1)],
    )
    run = await Run(turn, {"slow": Slow(suspicious)}).start()
    expected = {
        "content": "One. It is GOOD. Three.",
        "reasoning": "One. BAD two. Gone No, that is wrong. It is GOOD. Three.",
    }
    assert run.text(channel) == expected[channel]
    told = [p.guard.event for _, p in run.out if isinstance(p, ev.Piece) and p.guard]
    assert told == ["retraction" if channel == "content" else "interruption"]


async def test_an_attempt_opens_only_after_the_record() -> None:
    turn = Upstream(
        [opened(), delta("BAD one.", "reasoning"), finished()],
        [opened(1), delta(" BAD two.", "reasoning", 1), finished(1)],
        [opened(2), delta(" Three.", "reasoning", 2), finished(2)],
    )
    run = await Run(turn).start()
    assert run.happened == ["recorded", "opened"] * 2
    assert [number for number, _, _ in turn.opened] == [0, 1, 2]
    assert run.finish().reason == "stop"


@pytest.mark.parametrize("on_error", ["continue", "stop"])
async def test_a_store_that_fails(on_error: str) -> None:
    turn = Upstream(
        [opened(), delta("BAD one.", "reasoning"), finished()], [opened(1), delta(" Two.", "reasoning", 1), finished(1)]
    )
    run = Run(turn, record={"on_store_error": on_error})

    async def record(interruption: Interruption) -> str | None:
        return "disk full"

    run.relay._record = record
    await run.start()
    if on_error == "continue":
        assert run.text("reasoning").endswith(" Two.")
        assert run.finish().reason == "stop"
    else:
        assert len(turn.opened) == 1
        assert (run.finish().reason, run.finish().status) == ("error", 500)
        assert "disk full" in (run.finish().error or "")


async def test_one_cut_choice_goes_on_alone_and_the_other_reads_on() -> None:
    go = asyncio.Event()
    turn = Upstream(
        [
            [*opened(), *opened(choice=1)],
            delta("BAD one. Gone", "reasoning"),
            delta("Fine.", "reasoning", choice=1),
            go,
            delta(" ignored", "reasoning"),
            delta(" On.", "reasoning", choice=1),
            finished(choice=1),
        ],
        [opened(1), delta(" Two.", "reasoning", 1), finished(1)],
    )
    run = Run(turn, n=2)
    task = asyncio.create_task(run.start())
    async with asyncio.timeout(5):
        while not run.finishes(0):
            await asyncio.sleep(0.001)
    go.set()
    await task
    assert [(number, choice) for number, choice, _ in turn.opened] == [(0, 0), (1, 0)]
    assert run.text("reasoning", 0) == "BAD one. No, that is wrong. It is GOOD. Two."
    assert run.text("reasoning", 1) == "Fine. On."
    assert [run.finish(choice).reason for choice in (0, 1)] == ["stop", "stop"]
    nothing_is_left(run, timers())


async def test_when_every_choice_is_cut_attempt_0_is_let_go() -> None:
    turn = Upstream(
        [
            [*opened(), *opened(choice=1)],
            delta("BAD. On", "reasoning"),
            delta("BAD. On", "reasoning", choice=1),
            asyncio.Event(),
        ],
        [opened(1), delta(" A.", "reasoning", 1), finished(1)],
        [opened(1, 1), delta(" B.", "reasoning", 1, 1), finished(1, 1)],
    )
    run = await Run(turn, n=2).start()
    assert sorted((number, choice) for number, choice, _ in turn.opened) == [(0, 0), (1, 0), (1, 1)]
    assert [run.finish(choice).reason for choice in (0, 1)] == ["stop", "stop"]


async def test_a_second_verdict_before_the_first_cut_is_recorded_is_no_trouble() -> None:
    """The attempt that the second one cuts has not been opened."""
    first, recorded = asyncio.Event(), asyncio.Event()

    async def on_call(segment: Segment) -> Result:
        if segment.id == 0:
            await first.wait()
        return WRONG if "BAD" in segment.text else ()

    turn = Upstream(
        [opened(), delta("BAD one. BAD two. Gone", "reasoning"), asyncio.Event()],
        [opened(2), delta(" Three.", "reasoning", 2), finished(2)],
    )
    run = Run(turn, {"slow": Slow(on_call)})
    original = run.record

    async def record(interruption: Interruption) -> str | None:
        first.set()
        if interruption.number == 1:
            await recorded.wait()
        recorded.set()
        return await original(interruption)

    run.relay._record = record
    await run.start()
    assert len(run.records) == 2
    assert [number for number, _, _ in turn.opened] == [0, 2]
    assert run.finish().reason == "stop"
    assert run.text("reasoning").endswith(" Three.")


@limits(max_examples=60, deadline=None)
@given(
    said=st.lists(st.sampled_from(["One. ", "BAD two. ", "three ", "Four.\n"]), min_size=1, max_size=6),
    channel=st.sampled_from(["reasoning", "content"]),
    n=st.integers(1, 2),
    pauses=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    deadline=st.sampled_from([1, 1000]),
)
async def test_whatever_slow_checks_do_every_choice_finishes_once_and_nothing_is_left(
    said: list[str], channel: Any, n: int, pauses: list[int], deadline: int
) -> None:
    before = timers()
    turn = iter(pauses * 50)

    async def pause(_: object = None) -> None:
        for _ in range(next(turn, 0)):
            await asyncio.sleep(0)

    async def answer(segment: Segment) -> Result:
        await pause()
        return WRONG if "BAD" in segment.text else ()

    class Talks(Upstream):
        async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
            self.opened.append((number, choice, resume))
            choices = range(n) if number == 0 else [choice]
            try:
                yield [event for index in choices for event in opened(number, index)]
                for text in said if number == 0 else [" Fine."]:
                    await pause()
                    yield [event for index in choices for event in delta(text, channel, number, index)]
                yield [event for index in choices for event in finished(number, index)]
            finally:
                self.ended.append(number)

    run = Run(Talks(), {"slow": Slow(answer)}, n=n, uses=[{"check": "slow", "deadline_ms": deadline}])
    run.relay._record = lambda made: _recorded(run, made, pause)
    await run.start()
    for choice in range(n):
        assert run.finish(choice).reason == "stop"
        if channel == "content" and not run.unscanned(choice) and said.count("BAD two. ") == 1:  # a repetition is shown
            assert "BAD" not in run.text("content", choice)
    numbers = {(number, choice) for number, choice, _ in run.turn.opened} - {(0, 0)}
    assert numbers <= {(made.attempt + 1, made.choice) for made in run.records}
    nothing_is_left(run, before)


async def _recorded(run: Run, made: Interruption, pause: Callable[[], Awaitable[None]]) -> str | None:
    await pause()
    return await Run.record(run, made)


# Failures


async def test_an_upstream_that_fails_at_once_raises_with_its_status() -> None:
    error = UpstreamError("busy", status=503, body=b"{}")
    run = Run(Upstream([error]))
    with pytest.raises(UpstreamError) as raised:
        await run.start()
    assert raised.value is error
    assert run.out == []
    nothing_is_left(run, timers())


async def test_an_upstream_that_fails_later_finishes_every_choice_with_the_error() -> None:
    turn = Upstream([[*opened(), *opened(choice=1)], delta("One. Two"), UpstreamError("broke", status=503)])
    run = await Run(turn, n=2).start()
    assert run.text() == "One. Two"
    assert [(run.finish(c).reason, run.finish(c).error, run.finish(c).status) for c in (0, 1)] == [
        ("error", "broke", 503)
    ] * 2


async def test_a_continuation_that_fails_ends_the_choice_with_the_error() -> None:
    turn = Upstream([opened(), delta("BAD. On", "reasoning"), asyncio.Event()], [UpstreamError("gone", status=500)])
    run = await Run(turn).start()
    assert (run.finish().error, run.finish().status) == ("gone", 500)
    assert [closing.outcome for closing in run.finish().closings] == ["abandoned"]


async def test_a_stream_that_ends_without_a_finish_is_a_disconnect() -> None:
    run = await Run(Upstream([opened(), delta("One")])).start()
    assert run.finish().status == 502
    assert "without finishing" in (run.finish().error or "")
    with pytest.raises(UpstreamDisconnected):
        await Run(Upstream([])).start()


async def test_an_upstream_that_does_not_end_after_its_finish_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "AFTER_FINISH_S", 0.02)
    run = await Run(Upstream([opened(), delta("One."), finished(), asyncio.Event()])).start()
    assert run.finish().reason == "stop"
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert run.turn.ended == [0]


async def test_usage_behind_the_finish_is_waited_for() -> None:
    go = asyncio.Event()
    turn = Upstream([opened(), delta("One."), finished(), go, [Usage(0, {"prompt_tokens": 7, "completion_tokens": 5})]])
    run = Run(turn)
    task = asyncio.create_task(run.start())
    await turn.waiting.wait()
    go.set()
    await task
    assert run.ledger.total({})["completion_tokens"] == 5


async def test_a_bug_in_a_backend_is_an_error_that_the_client_sees() -> None:
    run = Run(Upstream([opened(), delta("One."), ValueError("secret")]))
    await run.start()
    ends = [item for _, item in run.out if isinstance(item, ev.Finish)]
    assert [(end.error, end.status) for end in ends] == [("the backend failed: ValueError", 502)]


@pytest.mark.parametrize("where", ["record", "emit", "observer"])
async def test_a_bug_surfaces_as_an_error_instead_of_a_hang(where: str) -> None:
    class Bug(RuntimeError):
        pass

    async def broken(*_: object) -> Any:
        raise Bug

    def broken_now(*_: object) -> None:
        raise Bug

    steps: list[Step] = [
        opened(),
        delta("BAD. On", "reasoning"),
        asyncio.Event(),
    ]
    run = Run(Upstream(steps, [asyncio.Event()]))
    if where == "record":
        run.relay._record = broken
    elif where == "emit":
        run.relay._emit = broken
    else:
        run.event = broken_now  # type: ignore[assignment]
    before = timers()
    with pytest.raises(Bug):
        await run.start()
    nothing_is_left(run, before)


# Leaving


async def _leaves(run: Run, reached: Awaitable[Any]) -> None:
    """Let the run come this far, then leave."""
    task = asyncio.create_task(run.start())
    async with asyncio.timeout(5):
        await reached
        await asyncio.sleep(0)
        await run.relay.leave()
        await task


async def test_leaving_before_the_first_event() -> None:
    before = timers()
    run = Run(turn := Upstream([asyncio.Event()]), n=2)
    await _leaves(run, turn.waiting.wait())
    assert [run.finish(choice).reason for choice in (0, 1)] == ["client_left"] * 2
    nothing_is_left(run, before)


async def test_leaving_in_the_middle_of_the_stream() -> None:
    before = timers()
    run = Run(turn := Upstream([opened(), delta("One. Two"), asyncio.Event()]))
    await _leaves(run, turn.waiting.wait())
    summary = run.finish().summary
    assert summary is not None
    assert summary.client_left
    assert summary.text["content"] == "One. Two"
    nothing_is_left(run, before)


async def test_leaving_while_a_check_runs_cancels_it() -> None:
    before = timers()
    run = Run(turn := Upstream([opened(), delta("One. On"), asyncio.Event()]), {"slow": (slow := Slow(forever))})
    await _leaves(run, slow.began.wait())
    assert slow.cancelled == 1
    assert run.text() == ""
    assert turn.read == 2
    nothing_is_left(run, before)


async def test_a_check_that_breaks_while_it_is_cancelled_breaks_nothing_else() -> None:
    before = timers()
    began = asyncio.Event()

    async def asking(segment: Segment) -> Result:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise UpstreamDisconnected("its own call broke off") from None
        return ()

    run = Run(Upstream([opened(), delta("One. On"), asyncio.Event()]), {"slow": Slow(asking)})
    await _leaves(run, began.wait())
    assert len(run.finishes()) == 1
    nothing_is_left(run, before)


@pytest.mark.parametrize("of", ["pump", "check", "hold"])
async def test_leaving_while_emit_is_blocked(of: str) -> None:
    before = timers()
    watch = {"content": {"release": "checked", "max_hold_ms": 20, "correct": "retract"}}
    checks: dict[str, Quick] = {"pump": {"q": Quick()}, "check": {"s": Slow(clean)}, "hold": {"s": Slow(forever)}}[of]  # type: ignore[assignment]
    run = Run(Upstream([opened(), delta("One."), finished(), asyncio.Event()]), checks, watch=watch)
    blocked = asyncio.Event()

    async def emit(out: Sequence[Out]) -> None:
        run.out += out
        if not blocked.is_set():
            blocked.set()
            await asyncio.Event().wait()

    run.relay._emit = emit
    await _leaves(run, blocked.wait())
    assert len(run.finishes()) == 1
    nothing_is_left(run, before)


async def test_leaving_while_the_record_is_written_still_finishes() -> None:
    before = timers()
    turn = Upstream([opened(), delta("BAD. On", "reasoning"), asyncio.Event()])
    run, writing = Run(turn), asyncio.Event()

    async def record(interruption: Interruption) -> str | None:
        writing.set()
        await asyncio.Event().wait()
        return None

    run.relay._record = record
    await _leaves(run, writing.wait())
    assert run.finish().reason == "client_left"
    assert [closing.outcome for closing in run.finish().closings] == ["abandoned"]
    assert len(turn.opened) == 1
    nothing_is_left(run, before)


async def test_leaving_while_an_attempt_continues() -> None:
    before = timers()
    turn = Upstream(
        [opened(), delta("BAD.", "reasoning"), finished()], [opened(1), delta(" Two", "reasoning", 1), asyncio.Event()]
    )
    run = Run(turn)
    await _leaves(run, turn.waiting.wait())
    assert run.finish().reason == "client_left"
    assert [closing.outcome for closing in run.finish().closings] == ["abandoned"]
    nothing_is_left(run, before)


async def test_leaving_after_the_finish_adds_nothing() -> None:
    before = timers()
    turn = Upstream([opened(), delta("One."), finished(), asyncio.Event()])
    run = Run(turn)
    await _leaves(run, turn.waiting.wait())
    assert run.finish().reason == "stop"
    nothing_is_left(run, before)


async def test_a_run_that_is_cancelled_leaves_nothing() -> None:
    before = timers()
    run = Run(turn := Upstream([opened(), delta("One. On"), asyncio.Event()]), {"slow": Slow(forever)})
    task = asyncio.create_task(run.relay.run())
    await turn.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    nothing_is_left(run, before)
