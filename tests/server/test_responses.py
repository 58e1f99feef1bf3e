"""`/v1/responses` over real HTTP: supervised as a chat is, read by the official client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from openai.types.responses import Response

from tests.server.live import Live, answer, eventually

THOUGHT = [{"reasoning": "One. BAD two. Three."}, {"content": "The answer is 7."}, {"finish": "stop"}]
AGAIN = [{"reasoning": " Then so."}, {"content": "The answer is 8."}, {"finish": "stop"}]
SAID = [{"content": "One. BAD two. Three."}, {"finish": "stop"}]


@pytest.fixture
def client(live: Live) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{live.url}/v1", api_key="x", max_retries=0) as made:
        yield made


def events(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream; name and `type` agree and the numbers rise by one."""
    found = []
    for block in raw.decode().removesuffix("\n\n").split("\n\n"):
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        name, data = lines
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


@pytest.mark.parametrize("cut", [0, 1, 4])
def test_reasoning_is_interrupted_in_the_stream(live: Live, client: OpenAI, cut: int) -> None:
    live.say(answer(THOUGHT, AGAIN, cut=cut))
    with client.responses.stream(model="m", input="What is it?") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert final.output_text == "The answer is 8."
    reasoning = next(item for item in final.output if item.type == "reasoning")
    assert reasoning.content is not None
    assert reasoning.content[0].text == "One. BAD two. No, that is wrong. It is GOOD. Then so."
    raw = live.client.post("/v1/responses", json={"model": "m", "input": "What is it?", "stream": True}).content
    told = [event["guard"]["event"] for event in events(raw) if "guard" in event]
    assert told == ["interruption"]


def test_a_false_answer_is_replaced_and_the_whole_response_says_so(live: Live) -> None:
    live.say(answer(SAID, [{"content": " Three."}, {"finish": "stop"}]))
    whole = live.client.post("/v1/responses", json={"model": "m", "input": "What is it?"}).json()
    assert Response.model_validate(whole).output_text == "One. It is GOOD. Three."
    assert [event["event"] for event in whole["guard"]["events"]] == ["retraction"]
    assert whole["usage"]["guard"]["interruptions"] == 1
    assert whole["status"] == "completed"
    assert whole["store"] is False
    record = live.interruptions()[-1]
    assert (record.provenance.route, record.provenance.session) == ("responses", whole["id"])


def test_tools_go_there_and_come_back(live: Live, client: OpenAI) -> None:
    live.say(answer([{"tool": {"id": "call_9", "name": "find", "arguments": '{"q": 1}'}}, {"finish": "tool_calls"}]))
    tool: Any = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": False}
    made = client.responses.create(model="m", input="Look it up.", tools=[tool])
    call: Any = made.output[0]
    assert (call.type, call.name, call.arguments) == ("function_call", "find", '{"q": 1}')
    live.say(answer([{"content": "It is 1."}, {"finish": "stop"}]))
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "1"}
    asked: Any = [{"role": "user", "content": "Look it up."}, call.model_dump(exclude_none=True), result]
    assert client.responses.create(model="m", input=asked, tools=[tool]).output_text == "It is 1."


def test_a_stream_that_fails_says_so(live: Live) -> None:
    live.say(answer([{"content": "Half a sentence. And"}, {"error": {"status": 503, "message": "down"}}]))
    raw = live.client.post("/v1/responses", json={"model": "m", "input": "?", "stream": True})
    assert raw.status_code == 200
    assert events(raw.content)[-1]["type"] == "response.failed"
    assert live.client.post("/v1/responses", json={"model": "m", "input": "?"}).status_code == 503


@pytest.mark.parametrize(
    ("body", "param"),
    [({"previous_response_id": "resp_1"}, "previous_response_id"), ({"background": True}, "background")],
)
def test_what_needs_kept_responses_is_refused_where_nobody_keeps_them(
    live: Live, body: dict[str, Any], param: str
) -> None:
    response = live.client.post("/v1/responses", json={"model": "m", "input": "?"} | body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, "unsupported_parameter")
    assert "as `input`" in error["message"]


def test_a_client_that_leaves_is_recorded(live: Live) -> None:
    left = live.metric("guard_client_left_total", model="m", policy="test")
    live.say(answer([{"reasoning": "One. Two"}, {"wait_ms": 30_000}, {"finish": "stop"}]))
    with live.client.stream("POST", "/v1/responses", json={"model": "m", "input": "?", "stream": True}) as response:
        for line in response.iter_lines():
            if "reasoning_text.delta" in line:
                break
    eventually(lambda: live.backend.open_turns == 0)
    assert eventually(lambda: live.metric("guard_client_left_total", model="m", policy="test") == left + 1)
