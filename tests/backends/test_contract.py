"""One contract, held against every backend: what `guard.backends.Turn` promises to the relay."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from guard.backends import Backend, ChatRequest, Item, Turn, Usage
from guard.backends.litellm import LiteLLMBackend, LiteLLMOptions
from guard.backends.openai import OpenAIBackend, OpenAIOptions
from guard.backends.scripted import Answer, ScriptedBackend, ScriptedOptions
from guard.core.events import Delta, Failed, Finished, Opened
from guard.core.types import Resume
from guard.errors import RequestError, UpstreamError
from guard.settings import WORLD
from tests.backends.litellm_wire import QUIET

SAID = "One is so. Two is so. Three is so."
KEPT = "One is so. No, it is not."
PUT_IN = " No, it is not."


@dataclass
class Subject:
    """A backend under test.

    `asked` is what the policy model was given for the last attempt, where that can be seen; `gone` returns once an
    attempt whose iterator was closed costs nothing any more; `bad` is a request that must fail.
    """

    backend: Backend
    messages: list[dict[str, Any]]
    gone: Callable[[], Awaitable[None]]
    bad: dict[str, Any]
    asked: list[Any] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    def request(self, n: int = 1, **fields: Any) -> ChatRequest:
        body = {"model": "m", "messages": self.messages, "n": n, "seed": 1} | self.fields | fields
        return ChatRequest(body=body, n=n, id="chatcmpl-1", created=1)


@asynccontextmanager
async def scripted() -> AsyncIterator[Subject]:
    steps = [{"reasoning": SAID}, {"content": "Yes."}, {"finish": "stop"}, {"usage": {"completion_tokens": 9}}]
    answers = [
        Answer.model_validate({"when": "fail", "attempts": [[{"error": {"status": 503}}]]}),
        Answer.model_validate({"cut": 4, "attempts": [steps]}),
    ]
    backend = ScriptedBackend(ScriptedOptions(answers=tuple(answers)))

    async def gone() -> None:
        assert backend.open_turns == 1  # it is the turn that holds something, and nothing runs between two steps

    yield Subject(
        backend,
        [{"role": "user", "content": "Well?"}],
        gone,
        {"messages": [{"role": "user", "content": "fail"}]},
    )


def _by_openai(url: str) -> Backend:
    return OpenAIBackend(OpenAIOptions(base_url=url, continuation="reask"))


def _by_litellm(url: str) -> Backend:
    return LiteLLMBackend(LiteLLMOptions(model="openai/m", api_base=url, pass_fields=("slow",)))


@asynccontextmanager
async def litellm() -> AsyncIterator[Subject]:
    if importlib.util.find_spec("litellm") is None:
        pytest.skip("litellm is not installed")
    async with openai(_by_litellm) as made:
        yield made


@asynccontextmanager
async def openai(make: Callable[[str], Backend] = _by_openai) -> AsyncIterator[Subject]:
    asked: list[Any] = []
    left = asyncio.Event()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(x[15:]) for x in head.decode().lower().split("\r\n") if x.startswith("content-length:")
                )
                body = json.loads(await reader.readexactly(length))
                asked.append(body)
                if body["messages"][-1].get("content") == "fail":
                    error = b'{"error": {"message": "no"}}'
                    writer.write(b"HTTP/1.1 503 No\r\ncontent-length: %d\r\n\r\n%s" % (len(error), error))
                    continue
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
                await _stream(writer, body, resumed=body["messages"][-1]["content"].endswith("Go on."))
                writer.close()
                return
        except (ConnectionError, asyncio.IncompleteReadError):
            left.set()
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]

    async def gone() -> None:
        async with asyncio.timeout(5):
            await left.wait()

    backend = make(f"http://127.0.0.1:{port}/v1")
    bad = {"messages": [{"role": "user", "content": "fail"}]}
    yield Subject(backend, [{"role": "user", "content": "Well?"}], gone, bad, asked)
    listening.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _stream(writer: asyncio.StreamWriter, body: dict[str, Any], resumed: bool) -> None:
    text = " Three is so." if resumed else SAID
    for piece in (text[i : i + 4] for i in range(0, len(text), 4)):
        for index in range(body.get("n") or 1):
            await _send(writer, index, {"reasoning_content": piece})
    for index in range(body.get("n") or 1):
        await _send(writer, index, {"content": "Yes."})
        await _send(writer, index, {}, "stop")
    if not body.get("slow"):
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        return
    while True:  # until the client has gone
        await _send(writer, 0, {})
        await asyncio.sleep(0.01)


async def _send(writer: asyncio.StreamWriter, index: int, delta: dict[str, Any], reason: str | None = None) -> None:
    chunk = {"id": "u", "choices": [{"index": index, "delta": delta, "finish_reason": reason}]}
    writer.write(b"data: %s\n\n" % json.dumps(chunk).encode())
    await writer.drain()
    await asyncio.sleep(0)


@asynccontextmanager
async def transformers() -> AsyncIterator[Subject]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    torch.set_num_threads(1)
    from guard.backends.transformers.backend import LocalOptions, TransformersBackend
    from guard.world.measure import questions

    steps = 0

    def count(step: Any) -> None:
        nonlocal steps
        steps += 1

    backend = TransformersBackend(LocalOptions(model=str(WORLD / "model")))
    backend.on_step = count

    async def gone() -> None:
        await asyncio.sleep(0.1)  # what is being computed may end
        before = steps
        await asyncio.sleep(0.1)
        assert steps == before

    messages = [{"role": "user", "content": questions(1)[0].text}]
    yield Subject(backend, messages, gone, {"tools": [{"type": "function"}]}, fields={"max_tokens": 60})


@pytest.fixture(
    params=[scripted, openai, pytest.param(litellm, marks=QUIET), transformers], ids=lambda make: make.__name__
)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with request.param() as made:
        await made.backend.start()
        yield made
        await made.backend.close()


async def read(turn: Turn, number: int = 0, choice: int = 0, resume: Resume | None = None) -> list[Item]:
    items: list[Item] = []
    async with asyncio.timeout(30):
        async for batch in turn.attempt(number, choice, resume):
            assert batch, "a batch is never empty"
            items += batch
    return items


def said(items: list[Item], channel: str, choice: int = 0) -> str:
    events = [item[1] for item in items if not isinstance(item, Usage) and item[0] == choice]
    return "".join(event.text for event in events if isinstance(event, Delta) and event.channel == channel)


def keeps_the_contract(items: list[Item], number: int, choices: set[int]) -> None:
    """Opened first and one Finished last, for every choice; every event carries the attempt's number."""
    events: dict[int, list[Any]] = {}
    for item in items:
        if isinstance(item, Usage):
            assert item.attempt == number
        else:
            events.setdefault(item[0], []).append(item[1])
    assert set(events) == choices
    for each in events.values():
        assert all(event.attempt == number for event in each)
        assert [type(event) for event in each].count(Opened) == 1
        assert [type(event) for event in each].count(Finished) == 1
        assert isinstance(each[0], Opened)
        assert isinstance(each[-1], Finished)
        assert not any(isinstance(event, Failed) for event in each)
        assert (each[0].continuation is None) == (number == 0)


@pytest.mark.parametrize("n", [1, 2])
async def test_an_attempt_is_opened_and_finished_once_a_choice(subject: Subject, n: int) -> None:
    turn = subject.backend.begin(subject.request(n))
    items = await read(turn)
    keeps_the_contract(items, 0, set(range(n)))
    assert all(said(items, "reasoning", choice) and said(items, "content", choice) for choice in range(n))
    await turn.close()
    await turn.close()


async def test_a_resumed_attempt_goes_on_from_what_is_kept(subject: Subject) -> None:
    turn = subject.backend.begin(subject.request(2))
    first = said(await read(turn), "reasoning", 1)
    claim = first[: first.index(".") + 1]
    kept = claim + PUT_IN
    resume = Resume(
        kept={"reasoning": kept}, open_channel="reasoning", put_in=PUT_IN, sent={"reasoning": kept}, message="Go on."
    )
    items = await read(turn, 1, 1, resume)
    keeps_the_contract(items, 1, {1})
    assert not said(items, "reasoning", 1).startswith(claim)
    assert PUT_IN not in said(items, "reasoning", 1)
    for body in subject.asked[-1:]:
        assert body["messages"] == [{"role": "user", "content": "Well?\n\nGo on."}]  # no reasoning, the correction
    await turn.close()


async def test_closing_the_iterator_ends_the_attempt(subject: Subject) -> None:
    turn = subject.backend.begin(subject.request(slow=True))
    stream = turn.attempt(0)
    async with asyncio.timeout(30):
        await anext(stream)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await subject.gone()
    await turn.close()


async def test_closing_the_turn_ends_what_runs(subject: Subject) -> None:
    turn = subject.backend.begin(subject.request(slow=True))
    stream = turn.attempt(0)
    async with asyncio.timeout(30):
        await anext(stream)
        await turn.close()
        await stream.aclose()  # type: ignore[attr-defined]
        if not isinstance(subject.backend, ScriptedBackend):
            await subject.gone()


async def test_turns_do_not_disturb_each_other(subject: Subject) -> None:
    turns = [subject.backend.begin(subject.request(temperature=0)) for _ in range(3)]
    alone, *others = await asyncio.gather(*(read(turn) for turn in turns))
    assert all(said(other, "reasoning") == said(alone, "reasoning") for other in others)
    for turn in turns:
        await turn.close()


async def test_what_fails_is_an_error_of_guards_own(subject: Subject) -> None:
    request = subject.request(**subject.bad)
    with pytest.raises((UpstreamError, RequestError)) as raised:
        await read(subject.backend.begin(request))
    assert getattr(raised.value, "status", None) in (400, 503)


async def test_tokens_are_counted_and_readiness_is_told(subject: Subject) -> None:
    assert subject.backend.count("") == 0
    assert 0 < subject.backend.count("One is so.") <= 10
    assert isinstance((await subject.backend.ready())["ok"], bool)
