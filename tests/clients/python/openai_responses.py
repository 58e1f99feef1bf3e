"""openai-python's Responses API."""

from __future__ import annotations

import json
from typing import Any

import openai

from tests.clients.python.protocol import PERSON, WEATHER_TOOL, Got, Job, calls_of, die, serve, weather

TOOL = {"type": "function", "strict": False, **WEATHER_TOOL["function"]}  # type: ignore[dict-item]
FORMAT = {"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}}


class ResponseFailedError(Exception):
    """A stream ended with `response.failed`, which is how this API tells of it: the client raises nothing."""


def answer(job: Job, stream: bool, **more: Any) -> Any:
    client: Any = openai.OpenAI(base_url=job["url"], api_key=job["key"], max_retries=0)
    asked = {"model": job["model"], "input": job["question"], "temperature": 0, "stream": stream}
    return client.responses.create(**asked | more)


def final(job: Job, **more: Any) -> tuple[Any, list[Any]]:
    """The response, and guard's events on the way; a stream's text is compared with what it ends with."""
    if not job["stream"]:
        response = answer(job, stream=False, **more)
        return response, ((response.model_extra or {}).get("guard") or {}).get("events", [])
    events = list(answer(job, stream=True, **more))
    failed = [event for event in events if event.type in ("error", "response.failed")]
    if failed:
        raise ResponseFailedError(failed[0].to_json(indent=None))
    response = events[-1].response
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == response.output_text, (said, response.output_text)
    return response, [found for event in events if (found := (event.model_extra or {}).get("guard"))]


def got(job: Job, **more: Any) -> Got:
    response, events = final(job, **more)
    reasoning = [item for item in response.output if item.type == "reasoning"]
    told = [part.text for item in reasoning for part in (item.content or item.summary)]
    return {"content": response.output_text, "reasoning": "".join(told), "events": events}


def tools(job: Job) -> Got:
    first, _ = final(job, tools=[TOOL])
    calls = [item for item in first.output if item.type == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": weather(**json.loads(call.arguments))}
        for call in calls
    ]
    asked = [{"role": "user", "content": job["question"]}, *(item.model_dump() for item in first.output), *results]
    last = got(job, input=asked, tools=[TOOL])
    return last | {"calls": calls_of([(call.name, call.arguments) for call in calls])}


def structured(job: Job) -> Got:
    answer = got(job, text=FORMAT)
    return answer | {"object": json.loads(answer["content"])}


def leave(job: Job) -> Got:
    if not job["stream"]:
        return die(lambda: got(job), job["watch"])
    with answer(job, stream=True) as stream:
        next(event for event in stream if event.type == "response.output_text.delta")
    return {"left": True}


if __name__ == "__main__":
    serve(got, tools, structured, leave)
