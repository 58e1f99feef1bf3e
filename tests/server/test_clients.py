"""The clients people use: the real `openai` package, synchronous and not, streaming and not, and aiohttp."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import openai
import pytest

from tests.server.live import QUESTION, Heard, Live, answer

SAID = answer([{"reasoning": "One. BAD two. Three."}, {"content": "Yes."}, {"finish": "stop"}], cut=2)
REASONING = "One. BAD two. No, that is wrong. It is GOOD. Three."


@pytest.fixture
def talking(live: Live) -> Live:
    live.say(SAID)
    return live


def _collected(chunks: list[Any]) -> tuple[str, str, list[str], list[str], list[dict[str, Any]]]:
    reasoning = content = ""
    reasons, roles, events = [], [], []
    for chunk in chunks:
        if guard := (chunk.model_extra or {}).get("guard"):
            events.append(guard)
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reasoning += (choice.delta.model_extra or {}).get("reasoning_content") or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
            roles += [choice.delta.role] if choice.delta.role else []
    return reasoning, content, reasons, roles, events


def test_openai_streaming(talking: Live) -> None:
    with openai.OpenAI(base_url=f"{talking.url}/v1", api_key="k") as client:
        stream = client.chat.completions.create(
            model="m",
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks: list[Any] = list(stream)
    reasoning, content, reasons, roles, events = _collected(chunks)
    assert (reasoning, content, reasons, roles) == (REASONING, "Yes.", ["stop"], ["assistant"])
    assert [event["event"] for event in events] == ["interruption"]
    start, end = events[0]["span"]
    assert reasoning[start:end] == " BAD two."
    assert chunks[-1].usage.model_extra["guard"]["interruptions"] == 1


def test_openai_whole(talking: Live) -> None:
    with openai.OpenAI(base_url=f"{talking.url}/v1", api_key="k") as client:
        body: Any = client.chat.completions.create(
            model="m",
            messages=QUESTION,
            extra_body={"guard": {"policy": "test"}},
        )
        assert [model.id for model in client.models.list()] == ["m"]
    assert body.choices[0].message.content == "Yes."
    assert body.choices[0].message.model_extra["reasoning_content"] == REASONING
    assert [event["event"] for event in body.model_extra["guard"]["events"]] == ["interruption"]


async def test_openai_async(talking: Live) -> None:
    async with openai.AsyncOpenAI(base_url=f"{talking.url}/v1", api_key="k") as client:
        created: Any = client.chat.completions
        stream = await created.create(model="m@test", messages=QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
        whole = await created.create(model="m", messages=QUESTION)
    reasoning, content, reasons, *_ = _collected(chunks)
    assert (reasoning, content, reasons) == (REASONING, "Yes.", ["stop"])
    assert whole.choices[0].message.content == "Yes."
    assert whole.usage.model_extra["guard"]["interruptions"] == 1


def test_openai_stream_helper_assembles_the_answer(talking: Live) -> None:
    client = openai.OpenAI(base_url=f"{talking.url}/v1", api_key="k")
    with client, client.chat.completions.stream(model="m", messages=QUESTION) as stream:
        final = stream.until_done().get_final_completion()
    assert final.choices[0].message.content == "Yes."
    assert final.choices[0].finish_reason == "stop"


def test_openai_raises_its_own_errors(talking: Live) -> None:
    with openai.OpenAI(base_url=f"{talking.url}/v1", api_key="k", max_retries=0) as client:
        created: Any = client.chat.completions
        with pytest.raises(openai.NotFoundError) as missing:
            created.create(model="nope", messages=QUESTION)
        with pytest.raises(openai.BadRequestError) as wrong:
            created.create(model="m", messages=[])
        talking.say(answer([{"error": {"status": 429, "message": "slow down"}}]))
        with pytest.raises(openai.RateLimitError):
            created.create(model="m", messages=QUESTION, stream=True)
        talking.say(answer([{"content": "Half. An"}, {"disconnect": True}]))
        with pytest.raises(openai.APIError):
            list(created.create(model="m", messages=QUESTION, stream=True))
    assert missing.value.code == "model_not_found"
    assert wrong.value.param == "messages"


async def test_aiohttp_reads_the_stream_as_it_comes(live: Live) -> None:
    live.say(answer([{"reasoning": "One. "}, {"wait_ms": 300}, {"content": "Yes."}, {"finish": "stop"}]))
    loop, arrived = asyncio.get_running_loop(), []
    async with aiohttp.ClientSession() as session:
        body = {"model": "m", "messages": QUESTION, "stream": True}
        async with session.post(f"{live.url}/v1/chat/completions", json=body) as response:
            raw = b""
            async for part in response.content.iter_any():
                arrived.append(loop.time())
                raw += part
    assert Heard(raw).text() == "Yes."
    assert arrived[-1] - arrived[0] > 0.15  # the first text did not wait for the last
