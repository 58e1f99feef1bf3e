"""LangChain's ChatOpenAI in front of guard: invoke, stream, and tools. Nothing but the address changes.

LangChain drops the fields that it does not know, the `guard` object and the reasoning among them: a correction is seen
in the text, and in guard's log.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import APIError

URL = os.environ.get("GUARD_URL", "http://127.0.0.1:8900/v1")
MODEL = os.environ.get("GUARD_MODEL", "shop")
COUNT = "There are 12 boxes of 4. How many stickers do I need?"
COST = "What do 48 of them cost?"


@tool
def price(item: str, count: int) -> str:
    """The price of a number of things, in euros."""
    return f"{count * {'sticker': 0.25}[item]:g}"


def chat(**options: Any) -> ChatOpenAI:
    """The model. `extra_body` is where a request's own `guard` object goes."""
    key = os.environ.get("GUARD_API_KEY", "unused")
    return ChatOpenAI(base_url=URL, model=MODEL, api_key=key, **options)


def with_tools() -> str:
    """Let the model call `price`, run it, and let it answer."""
    model = chat().bind_tools([price])
    messages: list[BaseMessage] = [HumanMessage(COST)]
    asked = model.invoke(messages)
    results = [ToolMessage(price.invoke(call["args"]), tool_call_id=call["id"]) for call in asked.tool_calls]
    print(f"tools:        {[call['args'] for call in asked.tool_calls]} -> {[result.content for result in results]}")
    return model.invoke([*messages, asked, *results]).text


def main() -> None:
    """The same question three ways, then the tool."""
    print(f"unsupervised: {chat(extra_body={'guard': {'policy': 'off'}}).invoke(COUNT).text}")
    print(f"invoke:       {chat().invoke(COUNT).text}")
    print(f"stream:       {''.join(chunk.text for chunk in chat().stream(COUNT))}")
    print(f"answer:       {with_tools()}")


if __name__ == "__main__":
    try:
        main()
    except APIError as error:
        sys.exit(f"no answer from {URL}: {error}")
