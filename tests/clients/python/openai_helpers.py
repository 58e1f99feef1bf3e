"""openai-python's helpers: `.stream()`, which assembles the answer, and `.parse()`, which reads the object."""

from __future__ import annotations

from typing import Any

import openai
from pydantic import BaseModel

from tests.clients.python.openai_sync import answered, called, completions, fields, opened
from tests.clients.python.protocol import WEATHER_TOOL, Got, Job, die, serve

STRICT = openai.pydantic_function_tool


class Person(BaseModel):
    """The object that is asked for."""

    name: str
    town: str


class Weather(BaseModel):
    """The weather in a city."""

    city: str


TOOL: Any = STRICT(Weather, name=WEATHER_TOOL["function"]["name"])  # type: ignore[index]


def final(job: Job, **more: Any) -> Any:
    asked = fields(job) | more
    del asked["stream"]
    if not job["stream"]:
        return completions(job).parse(**asked)
    with completions(job).stream(**asked) as stream:
        return stream.until_done().get_final_completion()


def got(job: Job, **more: Any) -> Got:
    return opened(final(job, **more))


def tools(job: Job) -> Got:
    first = got(job, tools=[TOOL])
    messages = [*fields(job)["messages"], *answered(first["calls"])]
    return called(first, got(job, messages=messages, tools=[TOOL]))


def structured(job: Job) -> Got:
    answer = final(job, response_format=Person)
    return opened(answer) | {"object": answer.choices[0].message.parsed.model_dump()}


def leave(job: Job) -> Got:
    if not job["stream"]:
        return die(lambda: got(job), job["watch"])
    asked = fields(job)
    del asked["stream"]
    with completions(job).stream(**asked) as stream:
        next(event for event in stream if event.type == "content.delta")
    return {"left": True}


if __name__ == "__main__":
    serve(got, tools, structured, leave)
