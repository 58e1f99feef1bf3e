"""The litellm backend in front of fakes that speak the providers' own formats: what comes out of their streams."""

import json
import random
import sys
from dataclasses import replace
from typing import Any

import pytest

from guard.backends import Usage
from guard.core.events import Delta, Extra, Finished, Opened, ToolDelta
from guard.errors import RequestError
from tests.backends.litellm_wire import (
    CLAUDE,
    GEMINI,
    KEY,
    PLAIN,
    QUIET,
    TOOLS,
    ask,
    claude,
    gemini,
    made,
    plain,
)
from tests.backends.test_openai_server import Server, chunked, collect
from tests.backends.test_openai_server import server as server

pytestmark = QUIET


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)


async def get(server: Server, model: str = CLAUDE, n: int = 1, **options: Any) -> list[Any]:
    body = options.pop("body", {})
    backend = await made(server.url, model, **options)
    try:
        return await collect(backend.begin(ask(n, **body)).attempt(0))
    finally:
        await backend.close()


def said(events: list[Any], channel: str) -> str:
    return "".join(e.text for e in events if isinstance(e, Delta) and e.channel == channel)


def calls(events: list[Any]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, ToolDelta):
            entry = found.setdefault(event.index, ["", "", ""])
            found[event.index] = [entry[0] + event.id, entry[1] + event.name, entry[2] + event.arguments]
    return found


SAID = [
    {"thinking": "One is so. Two is not."},
    {"text": "Three is so."},
    {"tool": "f", "input": '{"x": 1}'},
    {"tool": "g", "input": '{"y": [2]}'},
]


def cuttings(parts: list[bytes]) -> list[list[bytes]]:
    """Whole, a byte at a time, and at random."""
    body, dice = b"".join(parts), random.Random(7)
    at = sorted(dice.sample(range(len(body)), 20))
    pieces = [body[i:j] for i, j in zip([0, *at], [*at, len(body)], strict=True)]
    return [[body], [body[i : i + 1] for i in range(len(body))], [p for p in pieces if p]]


@pytest.mark.parametrize("way", range(3), ids=["whole", "bytes", "random"])
async def test_claude_however_its_stream_is_cut(server: Server, way: int) -> None:
    server.replies = [chunked(*cuttings(claude(*SAID, stop="tool_use"))[way])]
    events = await get(server, body={"tools": TOOLS, "max_tokens": 90})
    assert isinstance(events[0], Opened)
    assert said(events, "reasoning") == "One is so. Two is not."
    assert said(events, "content") == "Three is so."
    assert calls(events) == {0: ["toolu_2", "f", '{"x": 1}'], 1: ["toolu_3", "g", '{"y": [2]}']}
    assert [e.reason for e in events if isinstance(e, Finished)] == ["tool_calls"]
    assert all(e.form == "reasoning_content" for e in events if isinstance(e, Delta) and e.channel == "reasoning")
    usage = [e.counts for e in events if isinstance(e, Usage)][-1]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (10, 15)
    sent = server.seen[0][2]
    assert (sent["model"], sent["max_tokens"], sent["stream"]) == ("claude-sonnet-4-5", 90, True)


async def test_what_goes_on_untouched_is_an_ordinary_chunk(server: Server) -> None:
    server.replies = [chunked(*claude(*SAID[:2]))]
    events = await get(server)
    chunks = [json.loads(e.raw[6:]) for e in events if isinstance(e, (Delta, Extra, Finished)) and e.raw]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == "Three is so."
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "One is so. Two is not."
    blocks = [block for delta in deltas for block in delta.get("thinking_blocks", ())]
    assert "".join(block["thinking"] for block in blocks) == "One is so. Two is not."
    assert [block["signature"] for block in blocks if block.get("signature")] == ["signed-0"]
    assert not any("provider_specific_fields" in delta for delta in deltas)  # the same text once more


@pytest.mark.parametrize("way", range(3), ids=["whole", "bytes", "random"])
async def test_gemini(server: Server, way: int) -> None:
    parts = gemini(
        {"text": "One is so.", "thought": True},
        {"text": "Two "},
        {"text": "is not."},
        {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "U0lH"},
    )
    server.replies = [chunked(*cuttings(parts)[way])]
    events = await get(server, GEMINI, body={"tools": TOOLS})
    assert said(events, "reasoning") == "One is so."
    assert said(events, "content") == "Two is not."
    ((id_, name, arguments),) = calls(events).values()
    assert (name, json.loads(arguments)) == ("f", {"x": 1})
    assert "U0lH" in id_  # the signature that Gemini wants back travels in the call's id
    assert [e.reason for e in events if isinstance(e, Finished)] == ["tool_calls"]


@pytest.mark.parametrize(("body", "told"), [({}, None), ({"logprobs": True, "top_logprobs": 1}, 1)])
async def test_alternatives_that_guard_keeps(server: Server, body: dict[str, Any], told: int | None) -> None:
    top = [{"token": f"t{i}", "logprob": -0.5 - i, "bytes": None} for i in range(3)]
    logprobs = {"content": [{"token": "c", "logprob": -0.5, "bytes": None, "top_logprobs": top}]}
    chunk = {"choices": [{"index": 0, "delta": {"content": "c"}, "logprobs": logprobs}], "id": "u"}
    server.replies = [chunked(b"data: %s\n\n" % json.dumps(chunk).encode(), *plain({"content": "b"}))]
    backend = await made(server.url, PLAIN)
    try:
        events = await collect(backend.begin(replace(ask(**body), top_logprobs=3)).attempt(0))
    finally:
        await backend.close()
    deltas = [e for e in events if isinstance(e, Delta)]
    assert (server.seen[0][2]["logprobs"], server.seen[0][2]["top_logprobs"]) == (True, 3)
    assert [token.top_texts for e in deltas for token in e.tokens] == [("t0", "t1", "t2")]
    seen = [len(e.logprobs["content"][0]["top_logprobs"]) for e in deltas if e.logprobs]
    assert seen == ([] if told is None else [told])
    raw = [json.loads(e.raw[6:])["choices"][0].get("logprobs") for e in deltas if e.raw]
    assert [len(one["content"][0]["top_logprobs"]) for one in raw if one] == seen


@pytest.mark.parametrize("way", range(3), ids=["whole", "bytes", "random"])
async def test_an_openai_like_server(server: Server, way: int) -> None:
    logprobs = {"content": [{"token": "c", "logprob": -0.5, "bytes": None, "top_logprobs": []}]}
    chunk = {"choices": [{"index": 0, "delta": {"content": "c"}, "logprobs": logprobs}], "id": "u"}
    parts = plain({"role": "assistant", "reasoning": "a"}, {"content": "b"})
    parts.insert(2, b"data: %s\n\n" % json.dumps(chunk).encode())
    server.replies = [chunked(*cuttings(parts)[way])]
    events = await get(server, PLAIN, body={"logprobs": True, "top_k": 5, "seed": 3})
    assert (said(events, "reasoning"), said(events, "content")) == ("a", "bc")
    (told,) = [e.logprobs for e in events if isinstance(e, Delta) and e.logprobs]
    assert (told["content"][0]["token"], told["content"][0]["logprob"]) == ("c", -0.5)
    assert [e.counts["completion_tokens"] for e in events if isinstance(e, Usage)][-1] == 5
    sent = server.seen[0][2]
    assert (sent["top_k"], sent["seed"], sent["logprobs"]) == (5, 3, True)


async def test_inline_reasoning_is_found_in_the_content(server: Server) -> None:
    server.replies = [chunked(*plain({"content": "<thi"}, {"content": "nk>a</think>"}, {"content": "b"}))]
    events = await get(server, PLAIN)
    assert (said(events, "reasoning"), said(events, "content")) == ("a", "b")


async def test_a_hundred_and_fifty_equal_chunks_are_an_answer(server: Server) -> None:
    server.replies = [chunked(*claude({"text": "same" * 150}))]
    assert said(await get(server), "content") == "same" * 150


async def test_several_choices_are_several_calls(server: Server) -> None:
    server.replies = [chunked(*plain({"content": "a"}, {"content": "b"}, finish="length"))]
    backend = await made(server.url, PLAIN)
    batches = [b async for b in backend.begin(ask(3, seed=5)).attempt(0)]
    await backend.close()
    items = [item for batch in batches for item in batch]
    events = [item for item in items if not isinstance(item, Usage)]
    for choice in range(3):
        own = [event for index, event in events if index == choice]
        assert isinstance(own[0], Opened)
        assert "".join(e.text for e in own if isinstance(e, Delta)) == "ab"
        assert [e.reason for e in own if isinstance(e, Finished)] == ["length"]
        chunks = [json.loads(e.raw[6:]) for e in own if isinstance(e, Delta)]
        assert {(chunk["id"], chunk["choices"][0]["index"]) for chunk in chunks} == {("chatcmpl-1", choice)}
    assert sorted(body["seed"] for _, _, body in server.seen) == [5, 6, 7]
    assert [item.counts["completion_tokens"] for item in items if isinstance(item, Usage)][-1] == 15


async def test_fields_that_may_not_pass_are_refused_by_name(server: Server) -> None:
    for name in ("api_base", "base_url", "mock_response", "fallbacks", "extra_headers", "aws_bedrock_runtime_endpoint"):
        with pytest.raises(RequestError, match=name) as caught:
            await get(server, body={name: "http://127.0.0.1:9"})
        assert caught.value.param == name
    assert not server.seen
    server.replies = [chunked(*claude({"text": "a"}))]
    await get(server, body={"top_k": 4, "metadata": {"a": "b"}, "my_own": 3, "seed": None}, pass_fields=["my_own"])
    sent = server.seen[0][2]
    assert (sent["top_k"], sent["my_own"]) == (4, 3)
    assert "metadata" not in sent


async def test_what_the_client_sent_is_not_changed(server: Server) -> None:
    server.replies = [chunked(*claude({"text": "a"}))]
    content = [{"type": "text", "text": "Why?", "cache_control": {"type": "ephemeral"}}]
    body = {
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": content}],
        "stop": ["x"],
    }
    before = json.dumps(body)
    await get(server, body=body)
    assert json.dumps(body) == before
    assert server.seen[0][2]["stop_sequences"] == ["x"]


async def test_tools_go_to_the_model_alone(server: Server) -> None:
    server.replies = [chunked(*claude({"text": "a"}))]
    tool = {"type": "mcp", "server_label": "l", "server_url": "litellm_proxy", "require_approval": "never"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "mcp", None)
        await get(server, body={"tools": [*TOOLS, tool]})
    assert len(server.seen) == 1
