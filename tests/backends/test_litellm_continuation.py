"""How a cut turn is continued behind litellm: what the provider is asked, and what is made of its answer."""

from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.core.events import Delta, Finished, Opened
from guard.core.types import Resume, ToolCall
from guard.errors import UpstreamError
from tests.backends.litellm_wire import (
    CLAUDE,
    CLAUDE_NEW,
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
from tests.backends.test_openai_server import Server, answer, chunked, collect, text
from tests.backends.test_openai_server import server as server

pytestmark = QUIET

REFUSED = answer(
    b'{"type":"error","error":{"type":"invalid_request_error","message":"This model does not support assistant message'
    b' prefill. The conversation must end with a user message."}}',
    "400 Bad Request",
    "application/json",
)
GO_ON = "No, B. Go on."


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)


def cut(content: str = "A. No, B. ", reasoning: str = "", **more: Any) -> Resume:
    kept: dict[Any, str] = {"reasoning": reasoning, "content": content}
    fields: dict[str, Any] = {
        "kept": kept,
        "put_in": " No, B. ",
        "sent": kept,
        "message": GO_ON,
        "open_channel": "content" if content else "reasoning",
    }
    return Resume(**fields | more)


async def resumed(backend: Any, request: ChatRequest, resume: Resume) -> list[Any]:
    return await collect(backend.begin(request).attempt(1, 0, resume))


def way(events: list[Any]) -> Any:
    assert isinstance(events[0], Opened)
    assert [type(event) for event in events].count(Opened) == 1
    assert sum(isinstance(event, Finished) for event in events) == 1
    return events[0].continuation


def turns(body: Any) -> list[tuple[str, str]]:
    """Role and text of Anthropic's messages."""
    return [(m["role"], "".join(part.get("text", "") for part in m["content"])) for m in body["messages"]]


@pytest.mark.parametrize("said", [" C.", "C.", "  C."])
@pytest.mark.parametrize("size", [1, 99])
async def test_an_answer_is_gone_on_with_where_the_model_can(server: Server, said: str, size: int) -> None:
    server.replies = [chunked(*claude({"text": said}, cut=size))]
    backend = await made(server.url)
    events = await resumed(backend, ask(seed=None), cut())
    await backend.close()
    assert way(events) == "field_prefill"
    assert turns(server.seen[0][2]) == [("user", "Why?"), ("assistant", "A. No, B.")]  # no space at its end
    assert "A. No, B. " + text(events) == "A. No, B. " + said.removeprefix(" ")  # and not two in the answer
    assert all(event.raw is None for event in events if isinstance(event, Delta))


@pytest.mark.parametrize(
    ("model", "request_", "resume", "options"),
    [
        (CLAUDE_NEW, ask(), cut(), {}),
        (PLAIN, ask(), cut(), {}),
        (GEMINI, ask(), cut(), {}),
        (CLAUDE, ask(), cut(), {"continuation": "reask"}),
        (CLAUDE, ask(), cut(restart=True), {}),
        (CLAUDE, ask(), cut("", "A. No, B. "), {}),
        (CLAUDE, ask(), cut("A. No, B. ", "Reasons."), {}),
        (CLAUDE, ask(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2000), cut(), {}),
        (CLAUDE, ask(response_format={"type": "json_object"}), cut(), {}),
    ],
    ids=["the table says no", "no table", "gemini", "told not to", "restart", "open", "reasoned", "reasons", "json"],
)
async def test_else_it_is_asked_again(
    server: Server, model: str, request_: ChatRequest, resume: Resume, options: dict[str, Any]
) -> None:
    parts = {PLAIN: plain({"content": "C."}), GEMINI: gemini({"text": "C."})}.get(model, claude({"text": "C."}))
    server.replies = [chunked(*parts)]
    backend = await made(server.url, model, **options)
    events = await resumed(backend, request_, resume)
    await backend.close()
    assert way(events) == "reask"
    assert text(events) == "C."
    assert GO_ON in str(server.seen[0][2])
    assert len(server.seen) == 1


async def test_a_model_that_is_not_in_the_table_can_be_said_to_go_on(server: Server) -> None:
    server.replies = [chunked(*plain({"content": "C."}))]
    backend = await made(server.url, PLAIN, continuation="field_prefill")
    assert (await backend.ready())["continuation"] == "field_prefill"
    assert way(await resumed(backend, ask(), cut())) == "field_prefill"
    assert server.seen[0][2]["messages"][-1] == {"role": "assistant", "content": "A. No, B."}
    await backend.close()


async def test_a_provider_that_wants_the_message_marked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    server.replies = [chunked(*plain({"content": "C."}))]
    backend = await made(server.url, "deepseek/deepseek-chat")
    assert way(await resumed(backend, ask(), cut("A. No, B. ", "Reasons."))) == "field_prefill"
    last = server.seen[0][2]["messages"][-1]
    assert (last["content"], last["prefix"], last["reasoning_content"]) == ("A. No, B.", True, "Reasons.")
    await backend.close()


async def test_a_refusal_to_go_on_is_remembered(server: Server) -> None:
    server.replies = [REFUSED, chunked(*claude({"text": "C."}))]
    backend = await made(server.url)
    for asked in (2, 3):
        events = await resumed(backend, ask(), cut())
        assert (way(events), text(events), len(server.seen)) == ("reask", "C.", asked)
    assert turns(server.seen[-1][2])[-1] == ("user", GO_ON)
    assert (await backend.ready())["continuation"] == "reask"
    await backend.close()


async def test_another_fault_of_the_request_is_told_and_not_remembered(server: Server) -> None:
    server.replies = [answer(b'{"error": {"message": "too long"}}', "400 Bad", "application/json")]
    backend = await made(server.url)
    with pytest.raises(UpstreamError, match="too long"):
        await resumed(backend, ask(), cut())
    assert len(server.seen) == 2
    assert (await backend.ready())["continuation"] == "field_prefill"
    await backend.close()


async def test_an_answer_that_begins_anew_is_not_a_continuation(server: Server) -> None:
    told = "The first of the answers is A. No, B. "
    server.replies = [chunked(*claude({"text": told + "C."})), chunked(*claude({"text": "C."}))]
    backend = await made(server.url)
    events = await resumed(backend, ask(), cut(told))
    await backend.close()
    assert (way(events), text(events)) == ("reask", "C.")


async def test_a_cut_choice_goes_on_alone_with_what_is_left(server: Server) -> None:
    server.replies = [chunked(*plain({"content": "C."}))]
    backend = await made(server.url, PLAIN)
    stream = backend.begin(ask(3, seed=5, max_tokens=90)).attempt(2, 2, cut(max_tokens=40))
    items = [item for batch in [b async for b in stream] for item in batch]
    await backend.close()
    sent = server.seen[0][2]
    assert (sent["seed"], sent["max_tokens"], sent.get("n", 1)) == (7, 40, 1)
    assert {item[0] for item in items if isinstance(item, tuple)} == {2}


CALL = ToolCall(index=0, id="toolu_1", name="f", arguments='{"x": 1}')
THINKING = {"type": "enabled", "budget_tokens": 1024}


async def called(server: Server, resume: Resume, first: list[bytes], **body: Any) -> Any:
    """What is sent after an attempt that made a call."""
    server.replies = [chunked(*first), chunked(*claude({"text": "C."}))]
    backend = await made(server.url)
    turn = backend.begin(ask(tools=TOOLS, max_tokens=2000, **body))
    async for _ in turn.attempt(0):
        pass
    events = await collect(turn.attempt(1, 0, resume))
    await backend.close()
    assert way(events) == "tool_answers"
    return server.seen[-1][2]


MADE = claude({"thinking": "Reasons."}, {"tool": "f", "input": '{"x": 1}'}, stop="tool_use")
ANSWERED = cut("", "Reasons.", open_channel="tool_calls", put_in="", calls=((CALL, "Not run. No, B."),))


async def test_calls_are_answered_behind_their_signed_reasoning(server: Server) -> None:
    sent = await called(server, ANSWERED, MADE, thinking=THINKING)
    assert sent["thinking"] == THINKING
    _, assistant, user = sent["messages"]
    assert assistant["content"] == [
        {"type": "thinking", "thinking": "Reasons.", "signature": "signed-0"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1}},
    ]
    (result,) = user["content"]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "toolu_1")
    assert "Not run. No, B." in str(result["content"])


async def test_without_signed_reasoning_the_attempt_goes_on_without_any(server: Server) -> None:
    made_without = claude({"tool": "f", "input": '{"x": 1}'}, stop="tool_use")
    sent = await called(server, ANSWERED, made_without, thinking=THINKING)
    assert "thinking" not in sent
    assert [part["type"] for part in sent["messages"][1]["content"]] == ["tool_use"]


async def test_another_provider_gets_its_reasoning_back_in_its_field(server: Server) -> None:
    calls = [{"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]
    first = plain({"reasoning_content": "Reasons."}, {"tool_calls": calls}, finish="tool_calls")
    server.replies = [chunked(*first), chunked(*plain({"content": "C."}))]
    backend = await made(server.url, PLAIN)
    turn = backend.begin(ask(tools=TOOLS))
    async for _ in turn.attempt(0):
        pass
    assert way(await collect(turn.attempt(1, 0, ANSWERED))) == "tool_answers"
    await backend.close()
    _, assistant, tool = server.seen[-1][2]["messages"]
    assert assistant["reasoning_content"] == "Reasons."
    assert (tool["role"], tool["content"]) == ("tool", "Not run. No, B.")
