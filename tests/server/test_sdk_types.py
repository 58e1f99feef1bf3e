"""Every chunk, every whole answer and every error is what the official SDK's types say it is, taken strictly: no field
missing that they require, no value of another type, whatever guard does to the stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.shared import ErrorObject
from pydantic import ValidationError

from tests.server.live import Live, answer, frames, policy_file, serving, settings
from tests.server.upstream import speaking

FINISH = {"finish": "stop"}
TOOL = {"tool": {"id": "c1", "name": "find", "arguments": '{"q": "BAD"}'}}
FINE = {"tool": {"id": "c0", "name": "find", "arguments": '{"q": 1}'}}
COUNTS = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "completion_tokens_details": {"x": 1}}
WRONG = [{"reasoning": "One. BAD two. Three."}, {"content": "Yes. BAD no. So."}, FINISH]

CASES: dict[str, tuple[str, dict[str, Any], Any, set[str]]] = {
    "nothing": (
        "test",
        {},
        answer([{"reasoning": "Hm."}, {"content": "Yes."}, FINISH, {"usage": COUNTS}], cut=2),
        set(),
    ),
    "silence": ("test", {}, answer([FINISH]), set()),
    "cut by length": ("test", {"max_tokens": 2}, answer([{"content": "Yes"}, {"finish": "length"}]), set()),
    "interruption and retraction": ("test", {}, answer(WRONG, cut=3), {"interruption", "retraction"}),
    "three choices": ("test", {"n": 3}, answer(WRONG, cut=1), {"interruption", "retraction"}),
    "calls": ("test", {}, answer([{"content": "So:"}, FINE, {"finish": "tool_calls"}]), set()),
    "calls alone": ("test", {}, answer([FINE, {"finish": "tool_calls"}]), set()),
    "a call is retracted": ("test", {}, answer([TOOL, {"finish": "tool_calls"}]), {"retraction"}),
    "a caveat": ("limited", {}, answer(WRONG, cut=3), {"limit"}),
    "a stop": ("stopping", {}, answer(WRONG, cut=3), {"limit"}),
    "a call meets the limit": ("limited", {}, answer([TOOL, {"finish": "tool_calls"}]), {"limit"}),
    "too late": ("immediate", {}, answer([TOOL, {"finish": "tool_calls"}]), {"late"}),
    "unscanned": ("closed", {}, answer([FINE, {"content": "And so."}, FINISH]), {"unscanned"}),
    "only observed": ("observe", {}, answer(WRONG, cut=3), set()),
    "off": ("off", {}, answer(WRONG, cut=3), set()),
}


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder: Path = tmp_path_factory.mktemp("typed")
    at_once = {"tool_calls": {"release": "immediate"}}
    files = [
        policy_file(folder, "limited", interrupt={"max_per_response": 0}),
        policy_file(folder, "stopping", interrupt={"max_per_response": 0, "at_limit": "stop"}),
        policy_file(folder, "immediate", watch=at_once),
        policy_file(folder, "closed", on_unscanned="stop"),
    ]
    policies = {"default": policy_file(folder), "allowed": ["off", "observe", *files]}
    with serving(settings(folder, policies=policies)) as live:
        yield live


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with speaking() as upstream:
        model = {"name": "m", "backend": "openai", "base_url": upstream.url}
        with serving(settings(tmp_path_factory.mktemp("foreign"), models=[model])) as live:
            yield live


def chunk_of(frame: str) -> ChatCompletionChunk:
    """A chunk, strictly."""
    return ChatCompletionChunk.model_validate_json(frame, strict=True)


def answer_of(body: bytes) -> ChatCompletion:
    """A whole answer, strictly."""
    return ChatCompletion.model_validate_json(body, strict=True)


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_every_chunk_is_a_chunk(typed: Live, name: str, usage: bool) -> None:
    policy, fields, said, events = CASES[name]
    typed.say(said)
    asked = {"model": f"m@{policy}", "stream_options": {"include_usage": usage}}
    response = typed.post(stream=True, **asked, **fields)
    *data, done = frames(response.content)
    chunks = [chunk_of(frame) for frame in data]
    assert done == "[DONE]"
    told: list[Any] = [chunk.model_extra["guard"] for chunk in chunks if chunk.model_extra]
    assert {event["event"] for event in told} == events
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - usage) + [True] * usage
    assert all(len(chunk.choices) == 1 for chunk in chunks if chunk.usage is None)
    roles = [choice.index for chunk in chunks for choice in chunk.choices if choice.delta.role]
    assert sorted(roles) == list(range(fields.get("n", 1)))


@pytest.mark.parametrize("name", CASES)
def test_every_answer_is_an_answer(typed: Live, name: str) -> None:
    policy, fields, said, events = CASES[name]
    typed.say(said)
    whole = answer_of(typed.post(model=f"m@{policy}", **fields).content)
    guard: Any = (whole.model_extra or {}).get("guard", {"events": []})
    assert {event["event"] for event in guard["events"]} == events
    assert whole.usage is not None
    assert len(whole.choices) == fields.get("n", 1)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("said", "fields", "status"),
    [
        (answer([{"error": {"status": 429, "message": "slow down"}}]), {}, 429),
        (answer([{"content": "Half. An"}, {"disconnect": True}]), {}, 502),
        (answer([FINISH]), {"model": "nope"}, 404),
        (answer([FINISH]), {"n": "2"}, 400),
        (answer([FINISH]), {"messages": []}, 400),
    ],
)
def test_every_error_is_an_error(typed: Live, said: Any, fields: dict[str, Any], status: int, stream: bool) -> None:
    typed.say(said)
    response = typed.post(stream=stream, **({"model": "m@observe"} | fields))
    if stream and status == 502:  # it had begun
        *chunks, last, _ = frames(response.content)
        assert [chunk_of(frame).object for frame in chunks]
    else:
        assert response.status_code == status
        last = response.text
    ErrorObject.model_validate(json.loads(last)["error"], strict=True)


@pytest.mark.parametrize("reasoning", ["reasoning_content", "reasoning", "both", "inline", ""])
@pytest.mark.parametrize("usage", ["nulls", "every", "with_finish", "none"])
def test_what_is_made_of_a_servers_chunks_is_too(foreign: Live, reasoning: str, usage: str) -> None:
    plain = {"azure": False, "odd": "", "whole": False, "together": True, "paired": True, "finish": "with_text"}
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = {"n": 2, "logprobs": True, "dialect": plain | {"reasoning": reasoning, "usage": usage}, "tools": tools}
    for policy in ("test", "observe", "off"):
        raw = foreign.post(stream=True, model=f"m@{policy}", **body).content
        assert [chunk_of(frame).id for frame in frames(raw)[:-1]]
        assert answer_of(foreign.post(model=f"m@{policy}", **body).content).id == "chatcmpl-up"


GOOD: dict[str, Any] = {
    "id": "a",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "x"}, "finish_reason": None}],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": None},
        {"object": "chat.completion"},
        {"created": "1"},
        {"created": 1.5},
        {"choices": None},
        {"choices": [{"delta": {}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": 5}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"role": "guard"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"id": "c"}]}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": None, "logprobs": {"content": [{"token": 1}]}}]},
        {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {"usage": {"prompt_tokens": "1", "completion_tokens": 1, "total_tokens": 2}},
    ],
)
def test_a_broken_chunk_is_none(wrong: dict[str, Any]) -> None:
    assert chunk_of(json.dumps(GOOD)).choices[0].delta.content == "x"
    with pytest.raises(ValidationError):
        chunk_of(json.dumps(GOOD | wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": ["x"]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": None, "type": "function", "function": {}}]},
    ],
)
def test_a_broken_answer_is_none(wrong: dict[str, Any]) -> None:
    entry = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop", "logprobs": None}
    good = GOOD | {"object": "chat.completion", "choices": [entry]}
    assert answer_of(json.dumps(good).encode()).choices[0].message.content == "x"
    with pytest.raises(ValidationError):
        answer_of(json.dumps(good | {"choices": [entry | {"message": wrong}]}).encode())
