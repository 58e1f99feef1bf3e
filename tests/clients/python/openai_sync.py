"""openai-python, the plain client."""

from __future__ import annotations

import json
from typing import Any

import openai

from tests.clients.python.protocol import PERSON, WEATHER_TOOL, Got, Job, calls_of, die, serve, weather

FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}


def completions(job: Job) -> Any:
    return openai.OpenAI(base_url=job["url"], api_key=job["key"], max_retries=0).chat.completions


def fields(job: Job) -> dict[str, Any]:
    asked = {"role": "user", "content": job["question"]}
    return {"model": job["model"], "messages": [asked], "stream": job["stream"], "temperature": 0}


def gathered(chunks: list[Any]) -> Got:
    """A stream's chunks as one answer."""
    content, reasoning, events = "", "", []
    calls: dict[int, Got] = {}
    for chunk in chunks:
        events += [event] if (event := (chunk.model_extra or {}).get("guard")) else []
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reasoning += (choice.delta.model_extra or {}).get("reasoning_content") or ""
            for call in choice.delta.tool_calls or ():
                known = calls.setdefault(call.index, {"id": call.id, "name": call.function.name, "arguments": ""})
                known["arguments"] += call.function.arguments or ""
    return {"content": content, "reasoning": reasoning, "calls": list(calls.values()), "events": events}


def opened(answer: Any) -> Got:
    """A whole answer."""
    message = answer.choices[0].message
    calls = [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for call in message.tool_calls or ()
    ]
    return {
        "content": message.content or "",
        "reasoning": (message.model_extra or {}).get("reasoning_content") or "",
        "calls": calls,
        "events": ((answer.model_extra or {}).get("guard") or {}).get("events", []),
    }


def answered(calls: list[Got]) -> list[Any]:
    """The assistant's message with its calls, and what the tools say."""
    made = [
        {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}} for c in calls
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": weather(**json.loads(call["arguments"]))}
        for call in calls
    ]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *results]


def called(first: Got, last: Got) -> Got:
    """What came of a call and the answer after it."""
    return last | {"calls": calls_of([(call["name"], call["arguments"]) for call in first["calls"]])}


def got(job: Job, **more: Any) -> Got:
    answer = completions(job).create(**fields(job) | more)
    return gathered(list(answer)) if job["stream"] else opened(answer)


def tools(job: Job) -> Got:
    first = got(job, tools=[WEATHER_TOOL])
    messages = [*fields(job)["messages"], *answered(first["calls"])]
    return called(first, got(job, messages=messages, tools=[WEATHER_TOOL]))


def structured(job: Job) -> Got:
    answer = got(job, response_format=FORMAT)
    return answer | {"object": json.loads(answer["content"])}


def leave(job: Job) -> Got:
    if not job["stream"]:
        return die(lambda: got(job), job["watch"])
    with completions(job).create(**fields(job)) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
    return {"left": True}


if __name__ == "__main__":
    serve(got, tools, structured, leave)
