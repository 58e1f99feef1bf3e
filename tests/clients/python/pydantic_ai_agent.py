"""pydantic-ai: an agent with tools, and one with an output type."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.messages import ThinkingPart, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.python.openai_async import run
from tests.clients.python.protocol import Got, Job, calls_of, cancel, serve, weather


class Person(BaseModel):
    """The object that is asked for."""

    name: str
    town: str


def agent(job: Job, **more: Any) -> Any:
    client = openai.AsyncOpenAI(base_url=job["url"], api_key=job["key"], max_retries=0)
    model = OpenAIChatModel(job["model"], provider=OpenAIProvider(openai_client=client))
    return Agent(model, model_settings={"temperature": 0}, retries=0, **more)


async def outcome(job: Job, asked: Any) -> tuple[Any, list[Any]]:
    """What the agent ends with, and the parts of every message of the model."""
    if job["stream"]:
        async with asked.run_stream(job["question"]) as result:
            output, messages = await result.get_output(), result.all_messages()
    else:
        result = await asked.run(job["question"])
        output, messages = result.output, result.all_messages()
    return output, [part for message in messages for part in message.parts]


async def got(job: Job, **more: Any) -> Got:
    output, parts = await outcome(job, agent(job, **more))
    calls = [(part.tool_name, part.args) for part in parts if isinstance(part, ToolCallPart)]
    reasoning = "".join(part.content for part in parts if isinstance(part, ThinkingPart))
    return {"content": output, "reasoning": reasoning, "calls": calls_of(calls)}


async def tools(job: Job) -> Got:
    return await got(job, tools=[weather])


async def structured(job: Job) -> Got:
    output, _ = await outcome(job, agent(job, output_type=NativeOutput(Person)))
    return {"object": output.model_dump()}


async def leave(job: Job) -> Got:
    if not job["stream"]:
        return await cancel(got(job), job["watch"])

    async def read() -> None:
        async with agent(job).run_stream(job["question"]) as result:
            async for _ in result.stream_text():
                seen.set()

    seen = asyncio.Event()
    reading = asyncio.create_task(read())
    await seen.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return {"left": True}


if __name__ == "__main__":
    serve(run(got), run(tools), run(structured), run(leave))
