"""How a cut turn is continued: the very bodies that are sent, and what is made of the answers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.core.events import Delta, Extra, Finished, Opened
from guard.core.types import Resume, ToolCall
from guard.errors import UpstreamError
from tests.backends.test_openai_server import END, Server, answer, backend, collect, data, text
from tests.backends.test_openai_server import server as server
from tests.backends.test_openai_template import OPENED, QWEN, QWEN_HEAD, make_tokenizer

ASKED = [{"role": "user", "content": "Why?"}]
STREAMED = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
CHAT, RAW = "POST /v1/chat/completions HTTP/1.1", "POST /v1/completions HTTP/1.1"
NO_ROUTE = answer(b'{"detail":"Not Found"}', "404 Not Found", "application/json")


def ask(prefix: dict[Any, str] | None = None, n: int = 1, **body: Any) -> ChatRequest:
    return ChatRequest(body={"model": "m", "messages": ASKED} | body, prefix=prefix or {}, n=n)


def raw(*texts: str) -> bytes:
    chunks = [{"choices": [{"index": 0, "text": t, "finish_reason": None}]} for t in texts]
    chunks.append({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    return b"".join(b"data: %s\n\n" % json.dumps(c).encode() for c in chunks)


def cut(open_channel: Any = "content", **more: Any) -> Resume:
    reasoning, content = ("It is A. No, B.", "") if open_channel == "reasoning" else ("", "A. No, B.")
    kept = {"reasoning": reasoning, "content": content}
    fields: dict[str, Any] = {"kept": kept, "put_in": "No, B.", "sent": kept, "message": "No, B. Go on."} | more
    return Resume(open_channel=open_channel, **fields)


async def resumed(server: Server, request: ChatRequest, resume: Resume, choice: int = 0, **options: Any) -> list[Any]:
    made = await backend(server.url, **options)
    try:
        return await collect(made.begin(request).attempt(1, choice, resume))
    finally:
        await made.close()


async def sent(server: Server, request: ChatRequest, resume: Resume, choice: int = 0, **options: Any) -> Any:
    """The body of the one request that continues."""
    server.replies = [answer(data("so") + END)]
    events = await resumed(server, request, resume, choice, **options)
    assert text(events) == "so"
    assert len(server.seen) == 1
    return server.seen[0][2]


USER = {"role": "user", "content": "No, B. Go on."}


async def test_reask_shows_what_the_client_has(server: Server) -> None:
    assert await sent(server, ask(top_k=3), cut()) == STREAMED | {
        "top_k": 3,
        "messages": [*ASKED, {"role": "assistant", "content": "A. No, B."}, USER],
    }


@pytest.mark.parametrize("resume", [cut("reasoning"), cut(sent={}), cut(restart=True)])
async def test_reask_where_the_answer_starts_again(server: Server, resume: Resume) -> None:
    merged = {"role": "user", "content": "Why?\n\nNo, B. Go on."}
    assert (await sent(server, ask(), resume))["messages"] == [merged]


async def test_reask_leaves_a_message_alone_that_is_more_than_text(server: Server) -> None:
    resume = cut(restart=True)
    assert (await sent(server, ask(messages=[IMAGE]), resume))["messages"] == [IMAGE, USER]
    server.seen.clear()
    asked = [*ASKED, {"role": "tool", "tool_call_id": "c", "content": "r"}]
    assert (await sent(server, ask(messages=asked), resume))["messages"] == [*asked, USER]


async def test_reask_extends_what_the_client_began(server: Server) -> None:
    messages = [*ASKED, {"role": "assistant", "content": "Well: ", "prefix": True}]
    request = ask({"content": "Well: "}, messages=messages, continue_final_message=True, add_generation_prompt=False)
    body = await sent(server, request, cut(sent={"content": "A. No, B."}))
    assert body == STREAMED | {"messages": [*ASKED, {"role": "assistant", "content": "Well: A. No, B."}, USER]}


async def test_limits_seed_and_number_of_choices(server: Server) -> None:
    request = ask(n=3, seed=5, max_tokens=90, max_completion_tokens=None)
    request = ChatRequest(body=dict(request.body) | {"n": 3}, n=3)
    body = await sent(server, request, cut(max_tokens=40), choice=2)
    assert {k: body[k] for k in ("n", "seed", "max_tokens", "max_completion_tokens")} == {
        "n": 1,
        "seed": 7,
        "max_tokens": 40,
        "max_completion_tokens": None,
    }
    server.seen.clear()
    assert "max_tokens" not in await sent(server, ask(), cut(max_tokens=40))


CALLS = (
    (ToolCall(index=0, id="c0", name="f", arguments='{"x": 1}'), "Not run. No, B."),
    (ToolCall(index=1, id="c1", name="g", arguments="{"), "Not run."),
)
AS_MADE = [
    {"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
    {"id": "c1", "type": "function", "function": {"name": "g", "arguments": "{"}},
]
ANSWERED = [
    {"role": "tool", "tool_call_id": "c0", "content": "Not run. No, B."},
    {"role": "tool", "tool_call_id": "c1", "content": "Not run."},
]


async def test_tool_calls_are_answered(server: Server) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = await sent(
        server, ask(tools=tools), cut("tool_calls", kept={"content": "Look:"}, put_in="", calls=CALLS, calls_at=5)
    )
    message = {"role": "assistant", "content": "Look:", "tool_calls": AS_MADE}
    assert body == STREAMED | {"tools": tools, "messages": [*ASKED, message, *ANSWERED]}


async def test_what_was_written_behind_answered_calls_is_asked_for_behind_them(server: Server) -> None:
    kept = {"content": "Look: Then this. No, B."}
    body = await sent(server, ask(), cut("content", kept=kept, put_in=" No, B.", calls=CALLS, calls_at=5))
    roles = [(message["role"], message["content"]) for message in body["messages"][len(ASKED) :]]
    assert roles == [
        ("assistant", "Look:"),
        ("tool", "Not run. No, B."),
        ("tool", "Not run."),
        ("assistant", " Then this. No, B."),
        ("user", USER["content"]),
    ]


async def test_an_upstream_with_a_reasoning_field_gets_its_reasoning_back(server: Server) -> None:
    field = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\n\n'
    server.replies = [answer(field + END), answer(data("so") + END)]
    made = await backend(server.url)
    turn = made.begin(ask())
    await collect(turn.attempt(0))
    events = await collect(turn.attempt(1, 0, cut("tool_calls", kept={"reasoning": "hm"}, put_in="", calls=CALLS)))
    assert events[0] == Opened(1, "tool_answers")
    message = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": AS_MADE}
    assert server.seen[1][2]["messages"] == [*ASKED, message, *ANSWERED]
    await made.close()


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tokenizer(tmp_path_factory.mktemp("qwen"), QWEN)


async def test_text_exact(server: Server, qwen: str) -> None:
    server.replies = [answer(raw(" Then", " C.</th", "ink>\n\n", "So C.") + b"data: [DONE]\n\n")]
    body: dict[str, Any] = {
        "temperature": 0.5,
        "stop": ["x"],
        "seed": 1,
        "top_k": 3,
        "logprobs": True,
        "reasoning_effort": "low",
    }
    events = await resumed(server, ask(max_tokens=50, **body), cut("reasoning", max_tokens=20), tokenizer=qwen)
    assert server.seen[0][0] == RAW
    assert server.seen[0][2] == STREAMED | {
        "prompt": QWEN_HEAD + "<think>\nIt is A. No, B.",
        "max_tokens": 20,
        "temperature": 0.5,
        "stop": ["x"],
        "seed": 1,
        "top_k": 3,
    }
    assert events == [
        Opened(1, "text_exact"),
        Delta(1, "reasoning", " Then", None, "reasoning_content"),
        Delta(1, "reasoning", " C.", None, "reasoning_content"),
        Delta(1, "content", "\n\n", None, "content"),
        Delta(1, "content", "So C.", None, "content"),
        Finished(1, "stop"),
    ]


async def test_text_exact_keeps_to_the_form_the_turn_began_in(server: Server, qwen: str) -> None:
    server.replies = [answer(data("<think>", "A.") + END), answer(raw(" C.</think>", "So")), answer(raw(" C."))]
    made = await backend(server.url, tokenizer=qwen)
    turn = made.begin(ask(max_tokens=9))
    await collect(turn.attempt(0))
    assert (await collect(turn.attempt(1, 0, cut("reasoning", max_tokens=5))))[1:-1] == [
        Delta(1, "reasoning", " C.", None, "inline"),
        Extra(1, None, "</think>", "close"),
        Delta(1, "content", "So", None, "content"),
    ]
    turn = made.begin(ask(max_tokens=9))
    assert (await collect(turn.attempt(2, 0, cut(max_tokens=5))))[1] == Delta(2, "content", " C.", None, "content")
    await made.close()


async def test_text_exact_extends_what_the_client_began(server: Server, qwen: str) -> None:
    server.replies = [answer(raw("C"))]
    messages = [{"role": "developer", "content": [{"type": "text", "text": "Be"}]}, *ASKED]
    request = ask({"content": "Well: "}, messages=[*messages, {"role": "assistant", "content": "Well: "}])
    await resumed(server, request, cut(kept={"content": "Well: A. No, B."}, max_tokens=5), tokenizer=qwen)
    assert server.seen[0][2]["prompt"] == "<|im_start|>system\nBe<|im_end|>\n" + QWEN_HEAD + "Well: A. No, B."


async def test_text_exact_without_a_limit_asks_for_what_the_context_leaves(server: Server, qwen: str) -> None:
    models = answer(b'{"data": [{"id": "x", "max_model_len": 9}, {"id": "m", "max_model_len": 1000}]}')
    server.replies = [models, answer(raw("C")), answer(raw("C"))]
    made = await backend(server.url, tokenizer=qwen)
    for _ in range(2):
        await collect(made.begin(ask()).attempt(1, 0, cut()))
    size = made.count(QWEN_HEAD + "A. No, B.")
    assert [body and body["max_tokens"] for _, _, body in server.seen] == [None, 992 - size, 992 - size]
    await made.close()


IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
        {"guided_json": {}, "structured_outputs": {"regex": "a"}},
        {"messages": [IMAGE]},
        {"messages": [*ASKED, {"role": "tool", "tool_call_id": "c", "content": "r"}]},
        {"messages": [{"role": "critic", "content": "the template refuses it"}]},
    ],
)
async def test_text_exact_only_where_nothing_asked_for_is_lost(server: Server, qwen: str, body: Any) -> None:
    assert "messages" in await sent(server, ask(**body), cut(max_tokens=5), tokenizer=qwen)


async def test_text_exact_can_be_switched_off_and_needs_a_template(server: Server, qwen: str, tmp_path: Path) -> None:
    assert "messages" in await sent(server, ask(), cut(), tokenizer=qwen, continuation="reask")
    server.seen.clear()
    bare = make_tokenizer(tmp_path, None)
    assert "messages" in await sent(server, ask(), cut(), tokenizer=bare)
    with pytest.raises(ValueError, match="needs a tokenizer"):
        await backend(server.url, continuation="text_exact")


async def test_a_server_without_completions_is_asked_again(server: Server, qwen: str) -> None:
    server.replies = [NO_ROUTE, answer(data("so") + END)]
    made = await backend(server.url, tokenizer=qwen)
    for _ in range(2):
        events = await collect(made.begin(ask(max_tokens=9)).attempt(1, 0, cut(max_tokens=5)))
        assert events[0] == Opened(1, "reask")
        assert text(events) == "so"
    assert [first for first, _, _ in server.seen] == [RAW, CHAT, CHAT]
    assert (await made.ready())["continuation"]["content"] == "unprobed"
    assert server.trials
    await made.close()


async def test_one_bad_request_does_not_condemn_completions(server: Server, qwen: str) -> None:
    bad = answer(b'{"error": "too long"}', "400 Bad Request", "application/json")
    server.replies = [answer(raw("C")), bad, answer(data("so") + END), answer(raw("C"))]
    made = await backend(server.url, tokenizer=qwen)
    for _ in range(3):
        await collect(made.begin(ask(max_tokens=9)).attempt(1, 0, cut(max_tokens=5)))
    assert [first for first, _, _ in server.seen] == [RAW, RAW, CHAT, RAW]
    assert (await made.ready())["continuation"]["content"] == "text_exact"
    await made.close()


async def test_an_overloaded_server_is_not_asked_another_way(server: Server, qwen: str) -> None:
    server.replies = [answer(b"{}", "503 Service Unavailable", "application/json")]
    with pytest.raises(UpstreamError):
        await resumed(server, ask(), cut(max_tokens=5), tokenizer=qwen)
    assert len(server.seen) == 1


async def test_a_template_that_opens_reasoning(server: Server, tmp_path: Path) -> None:
    server.replies = [answer(raw(" C.", "</think>So"))]
    tokenizer = make_tokenizer(tmp_path, OPENED)
    events = await resumed(server, ask(), cut("reasoning", max_tokens=5), tokenizer=tokenizer, reasoning="inline_open")
    assert server.seen[0][2]["prompt"] == "<|user|>Why?<|end|><|assistant|><think>It is A. No, B."
    assert events[1:4] == [
        Delta(1, "reasoning", " C.", None, "inline"),
        Extra(1, None, "</think>", "close"),
        Delta(1, "content", "So", None, "content"),
    ]


def test_importing_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'litellm', 'openai'}"
    code = f"import sys, guard.backends.openai; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
