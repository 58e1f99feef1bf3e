"""openai-python, the asynchronous client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai

from tests.clients.python.openai_sync import FORMAT, answered, called, fields, gathered, opened
from tests.clients.python.protocol import WEATHER_TOOL, Got, Handler, Job, cancel, serve


async def got(job: Job, **more: Any) -> Got:
    async with openai.AsyncOpenAI(base_url=job["url"], api_key=job["key"], max_retries=0) as client:
        created: Any = client.chat.completions
        answer = await created.create(**fields(job) | more)
        return gathered([chunk async for chunk in answer]) if job["stream"] else opened(answer)


async def tools(job: Job) -> Got:
    first = await got(job, tools=[WEATHER_TOOL])
    messages = [*fields(job)["messages"], *answered(first["calls"])]
    return called(first, await got(job, messages=messages, tools=[WEATHER_TOOL]))


async def structured(job: Job) -> Got:
    answer = await got(job, response_format=FORMAT)
    return answer | {"object": json.loads(answer["content"])}


async def leave(job: Job) -> Got:
    if not job["stream"]:
        return await cancel(got(job), job["watch"])
    async with openai.AsyncOpenAI(base_url=job["url"], api_key=job["key"], max_retries=0) as client:
        created: Any = client.chat.completions
        async with await created.create(**fields(job)) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
    return {"left": True}


def run(work: Callable[[Job], Awaitable[Got]]) -> Handler:
    """A handler of its own event loop."""

    async def whole(job: Job) -> Got:
        return await work(job)

    return lambda job: asyncio.run(whole(job))


if __name__ == "__main__":
    serve(run(got), run(tools), run(structured), run(leave))
