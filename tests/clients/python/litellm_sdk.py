"""litellm's `completion`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import litellm

from tests.clients.python.openai_sync import FORMAT, answered, called
from tests.clients.python.protocol import WEATHER_TOOL, Got, Job, cancel, serve


def fields(job: Job) -> dict[str, Any]:
    return {
        "model": f"openai/{job['model']}",
        "api_base": job["url"],
        "api_key": job["key"],
        "temperature": 0,
        "num_retries": 0,
        "max_retries": 0,
        "stream": job["stream"],
        "messages": [{"role": "user", "content": job["question"]}],
    }


def got(job: Job, **more: Any) -> Got:
    answer = litellm.completion(**fields(job) | more)
    if not job["stream"]:
        return opened(answer, ((answer.model_extra or {}).get("guard") or {}).get("events", []))
    chunks = list(answer)
    events = [chunk.guard for chunk in chunks if getattr(chunk, "guard", None)]
    return opened(litellm.stream_chunk_builder(chunks), events)


def opened(answer: Any, events: list[Any]) -> Got:
    message = answer.choices[0].message
    calls = [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for call in message.tool_calls or ()
    ]
    reasoning = getattr(message, "reasoning_content", None) or ""
    return {"content": message.content or "", "reasoning": reasoning, "calls": calls, "events": events}


def tools(job: Job) -> Got:
    first = got(job, tools=[WEATHER_TOOL])
    messages = [*fields(job)["messages"], *answered(first["calls"])]
    return called(first, got(job, messages=messages, tools=[WEATHER_TOOL]))


def structured(job: Job) -> Got:
    answer = got(job, response_format=FORMAT)
    return answer | {"object": json.loads(answer["content"])}


def leave(job: Job) -> Got:
    if not job["stream"]:
        return asyncio.run(cancel(litellm.acompletion(**fields(job)), job["watch"]))

    async def go() -> None:
        stream: Any = await litellm.acompletion(**fields(job))
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.aclose()

    asyncio.run(go())
    return {"left": True}


if __name__ == "__main__":
    serve(got, tools, structured, leave)
