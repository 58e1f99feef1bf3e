"""Who asks the encoder gets its own answer, whatever else is asked, breaks or is not wanted any more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.checks.grounding.encoders import Asked, EncoderBusy, EncoderError, Logits
from guard.checks.grounding.encoders.worker import WAITING, Worker

ROOT = Path(__file__).parent.parent.parent


class Numbers:
    """An encoder of numbers: says the number that it is given, and breaks over "bad". It can be made to wait."""

    def __init__(self, batch: int = 16) -> None:
        self.files: dict[str, str] = {}
        self.batch = batch
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()

    def score(self, asked: Sequence[Asked]) -> list[Logits]:
        self.threads.add(threading.get_ident())
        self.batches.append([one.text for one in asked])
        self.begun.set()
        assert self.go.wait(10)
        if any(one.text == "bad" for one in asked):
            raise ValueError("bad")
        return [Logits(float(one.text)) for one in asked]


@pytest.fixture
def made() -> Iterator[Callable[[int], tuple[Numbers, Worker]]]:
    workers: list[tuple[Numbers, Worker]] = []

    def make(batch: int = 16) -> tuple[Numbers, Worker]:
        encoder = Numbers(batch)
        workers.append((encoder, Worker(encoder)))
        return workers[-1]

    yield make
    for encoder, worker in workers:
        encoder.go.set()
        worker.close()


Made = Callable[..., tuple[Numbers, Worker]]


def row(text: object) -> Asked:
    return Asked(str(text), "", [])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


async def test_what_waits_goes_together_in_order_and_no_more_than_the_encoder_wants(made: Made) -> None:
    encoder, worker = made(3)
    encoder.go.clear()
    tasks = [asyncio.create_task(worker.score(row(number))) for number in range(8)]
    await until(lambda: encoder.begun.is_set() and worker.waiting >= 5)
    encoder.go.set()
    assert [one.statement for one in await asyncio.gather(*tasks)] == list(range(8))
    assert [text for batch in encoder.batches for text in batch] == [str(number) for number in range(8)]
    assert all(len(batch) <= 3 for batch in encoder.batches)
    assert len(encoder.threads) == 1
    assert threading.get_ident() not in encoder.threads


async def test_one_more_than_may_wait_is_refused_at_once(made: Made) -> None:
    encoder, worker = made(1)
    encoder.go.clear()
    first = asyncio.create_task(worker.score(row(0)))
    await until(encoder.begun.is_set)
    tasks = [asyncio.create_task(worker.score(row(number))) for number in range(WAITING)]
    await until(lambda: worker.waiting == WAITING)
    with pytest.raises(EncoderBusy, match="256 statements wait"):
        await asyncio.wait_for(worker.score(row(1)), 10)
    tasks[7].cancel()
    await until(lambda: worker.waiting == WAITING - 1)  # who leaves makes room
    more = asyncio.create_task(worker.score(row(-1)))
    await until(lambda: worker.waiting == WAITING)
    encoder.go.set()
    assert (await more).statement == -1
    assert (await first).statement == 0
    assert [task.result().statement for task in tasks if not task.cancelled()] == [n for n in range(WAITING) if n != 7]
    assert "7" not in [text for batch in encoder.batches for text in batch]


async def test_a_statement_that_breaks_the_encoder_fails_alone(made: Made) -> None:
    encoder, worker = made()
    encoder.go.clear()
    tasks = [asyncio.create_task(worker.score(row(text))) for text in (0, 1, "bad", 3)]
    await until(lambda: encoder.begun.is_set() and worker.waiting == 4 - len(encoder.batches[0]))
    encoder.go.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[2], ValueError)
    assert [one.statement for one in done if isinstance(one, Logits)] == [0, 1, 3]


async def test_too_few_answers_are_none(made: Made) -> None:
    encoder, worker = made()
    encoder.score = lambda asked: []  # type: ignore[method-assign]
    with pytest.raises(EncoderError, match="0 answers to 1"):
        await worker.score(row(1))


async def test_closing_fails_what_waits_and_ends_the_thread(made: Made) -> None:
    encoder, worker = made(1)
    encoder.go.clear()
    tasks = [asyncio.create_task(worker.score(row(number))) for number in range(3)]
    await until(lambda: worker.waiting == 2)
    closing = asyncio.create_task(asyncio.to_thread(worker.close))
    await until(lambda: worker.waiting == 0)
    encoder.go.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    await closing
    assert isinstance(done[0], Logits)
    assert all(isinstance(one, EncoderError) for one in done[1:])
    with pytest.raises(EncoderError, match="stopped"):
        await worker.score(row(1))
    worker.close()
    assert not encoder.threads & {thread.ident for thread in threading.enumerate()}


async def test_a_worker_that_nobody_holds_any_more_leaves_no_thread() -> None:
    encoder = Numbers()
    worker = Worker(encoder)
    assert (await worker.score(row(4))).statement == 4
    assert encoder.threads & {thread.ident for thread in threading.enumerate()}
    del worker
    await until(lambda: not encoder.threads & {thread.ident for thread in threading.enumerate()})


def test_several_event_loops_ask_one_encoder(made: Made) -> None:
    _, worker = made(4)
    heard: dict[int, list[float]] = {}

    async def ask(at: int) -> None:
        asked = [worker.score(row(1000 * at + number)) for number in range(40)]
        heard[at] = [one.statement for one in await asyncio.gather(*asked)]

    threads = [threading.Thread(target=asyncio.run, args=(ask(at),)) for at in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert heard == {at: [1000 * at + number for number in range(40)] for at in range(5)}


def test_a_loop_that_ended_hurts_nobody(made: Made) -> None:
    encoder, worker = made(1)
    encoder.go.clear()

    async def leave() -> None:
        task = asyncio.create_task(worker.score(row(1)))
        await until(encoder.begun.is_set)
        assert not task.done()

    asyncio.run(leave())
    encoder.go.set()
    assert asyncio.run(worker.score(row(2))).statement == 2


def test_the_interpreter_ends_with_work_left() -> None:
    """An event loop is abandoned with statements waiting; the process ends by itself and says nothing."""
    program = (
        "import asyncio\n"
        "from tests.checks.test_grounding_worker import Numbers, Worker, row\n"
        "worker = Worker(Numbers())\n"
        "async def main():\n"
        "    tasks = [asyncio.create_task(worker.score(row(n))) for n in range(100)]\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
        "print('end')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "ask", "bad", "cancel", "let", "stop", "pause"]), st.integers(0, 30)),
    max_size=60,
)


@settings(max_examples=120, deadline=None)
@given(STEPS, st.integers(1, 5))
def test_everybody_gets_their_own_answer_whatever_comes_when(steps: list[Step], batch: int) -> None:
    """Invariant: a statement that was not cancelled is answered once, with its own number, or fails if it is bad."""

    async def play() -> None:
        encoder = Numbers(batch)
        worker = Worker(encoder)
        tasks: list[asyncio.Task[Logits]] = []
        texts: list[str] = []
        try:
            for what, number in steps:
                match what:
                    case "ask" | "bad":
                        texts.append("bad" if what == "bad" else str(len(texts)))
                        tasks.append(asyncio.create_task(worker.score(row(texts[-1]))))
                    case "cancel" if tasks:
                        tasks[number % len(tasks)].cancel()
                    case "let":
                        encoder.go.set()
                    case "stop":
                        encoder.go.clear()
                    case "pause":
                        await asyncio.sleep(0)
                        time.sleep(number / 30_000)
            encoder.go.set()
            async with asyncio.timeout(20):
                done = await asyncio.gather(*tasks, return_exceptions=True)
            for text, one in zip(texts, done, strict=True):
                if isinstance(one, asyncio.CancelledError):
                    continue
                assert isinstance(one, ValueError) if text == "bad" else one == Logits(float(text))
            assert worker.waiting == 0
        finally:
            encoder.go.set()
            worker.close()

    asyncio.run(play())
