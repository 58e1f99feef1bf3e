"""LangChain's ChatOpenAI."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.clients.python import protocol
from tests.clients.python.protocol import PERSON, Got, Job, cancel, serve

SCHEMA = {"title": "person", "description": "A person.", **PERSON}
WEATHER: Any = tool(protocol.weather)


def model(job: Job) -> Any:
    return ChatOpenAI(base_url=job["url"], api_key=job["key"], model=job["model"], temperature=0, max_retries=0)


def answer(asked: Any, messages: list[Any], stream: bool) -> Any:
    if not stream:
        return asked.invoke(messages)
    first, *others = asked.stream(messages)
    for chunk in others:
        first += chunk
    return first


def got(job: Job) -> Got:
    message = answer(model(job), [HumanMessage(job["question"])], job["stream"])
    return {"content": message.text, "reasoning": message.additional_kwargs.get("reasoning_content", "")}


def tools(job: Job) -> Got:
    asked = model(job).bind_tools([WEATHER])
    messages: list[Any] = [HumanMessage(job["question"])]
    first = answer(asked, messages, job["stream"])
    results = [ToolMessage(protocol.weather(**c["args"]), tool_call_id=c["id"]) for c in first.tool_calls]
    last = answer(asked, [*messages, first, *results], job["stream"])
    return {"content": last.text, "calls": [{"name": c["name"], "arguments": c["args"]} for c in first.tool_calls]}


def structured(job: Job) -> Got:
    asked = model(job).with_structured_output(SCHEMA, method="json_schema")
    if not job["stream"]:
        return {"object": asked.invoke(job["question"])}
    *_, whole = asked.stream(job["question"])
    return {"object": whole}


def leave(job: Job) -> Got:
    if not job["stream"]:
        return asyncio.run(cancel(model(job).ainvoke(job["question"]), job["watch"]))
    stream = model(job).stream(job["question"])
    next(chunk for chunk in stream if chunk.text)
    stream.close()
    return {"left": True}


if __name__ == "__main__":
    serve(got, tools, structured, leave)
