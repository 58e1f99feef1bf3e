"""An agent with two tools, one of which changes something, behind guard.

    python agent.py ["a message of the customer's"]

The model makes two calls in one turn and makes up the order number of one. guard holds the calls of a turn until all
are judged, so the agent never sees these two; it sees the ones that the model made once it had been told.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import httpx
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletionMessageParam

URL = os.environ.get("GUARD_URL", "http://127.0.0.1:8900/v1")
MODEL = os.environ.get("GUARD_MODEL", "desk")
MESSAGE = "Where is my order SO-10233? And please cancel SO-10871."
ROUNDS = 5

ORDERS = {"SO-10233": "with the courier, arrives tomorrow", "SO-10871": "being packed"}


def order_status(order: str) -> str:
    """Where an order is."""
    return ORDERS.get(order, "unknown order")


def cancel_order(order: str) -> str:
    """Cancel an order; what is cancelled is gone."""
    return "cancelled" if ORDERS.pop(order, None) else "unknown order"


RUN = {"order_status": order_status, "cancel_order": cancel_order}
PARAMETERS = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "description": tool.__doc__, "parameters": PARAMETERS}}
    for name, tool in RUN.items()
]


def work(client: OpenAI, messages: list[ChatCompletionMessageParam]) -> list[str]:
    """Ask and run tools until the model answers; returns the ids of what guard corrected on the way."""
    corrected: list[str] = []
    for _ in range(ROUNDS):
        turn = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        corrected += [event["id"] for event in (turn.model_extra or {}).get("guard", {}).get("events", [])]
        said: Any = turn.choices[0].message
        messages.append(said.to_dict())
        if not said.tool_calls:
            print(f"answer:   {said.content}")
            return corrected
        for call in said.tool_calls:
            result = RUN[call.function.name](**json.loads(call.function.arguments))
            print(f"ran:      {call.function.name} {call.function.arguments} -> {result}")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    sys.exit(f"no answer after {ROUNDS} rounds")


def show(ids: list[str]) -> None:
    """What guard's log has on these corrections."""
    for key in ids:
        entry = httpx.get(f"{URL.removesuffix('/v1')}/guard/api/interruptions/{key}").raise_for_status().json()
        print(f"not sent: {entry['claim']} ({entry['check']}, {entry['outcome']})")


def main() -> None:
    """Work on one message, and print the log of it."""
    client = OpenAI(base_url=URL, api_key=os.environ.get("GUARD_API_KEY", "unused"))
    message = " ".join(sys.argv[1:]) or MESSAGE
    print(f"customer: {message}")
    try:
        show(work(client, [{"role": "user", "content": message}]))
    except (APIError, httpx.HTTPError) as error:
        sys.exit(f"guard at {URL} does not answer: {error}")


if __name__ == "__main__":
    main()
