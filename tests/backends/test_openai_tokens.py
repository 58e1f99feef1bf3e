"""Continuing from token ids at a server that tells them: what is asked, what is sent back, what the client sees."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from transformers import AutoTokenizer

from guard.backends import ChatRequest
from guard.core.events import Delta, Extra, Finished, Opened
from guard.core.types import Resume
from tests.backends.test_openai_server import backend, collect, text

WORLD = "guard/world/model"
TOKENIZER = AutoTokenizer.from_pretrained(WORLD)
ASKED = [{"role": "user", "content": "What is the birth country of Ada Velm?"}]
THOUGHT, SAID = "Ada Velm was born in Dundal. Dundal is in Thuria.", "So it is Thuria. That is it."
NO = " No, Ada Velm was born in Velwick."
ONWARD = [(" Velwick is a city.", ""), ("", " And so on.")]
HEAD = str(TOKENIZER.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True))


def encode(text: str) -> list[int]:
    return list(TOKENIZER.encode(text, add_special_tokens=False))


@dataclass
class Server:
    """vLLM as its documentation tells, with `SIZES` tokens a delta; `parser`: it has one for reasoning."""

    sizes: Any
    parser: bool = True
    tells: bool = True
    route: bool = True
    seen: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""

    def groups(self, ids: list[int]) -> Iterator[list[int]]:
        dice = random.Random(3)
        while ids:
            size = dice.randint(1, 5) if self.sizes == "random" else self.sizes or len(ids)
            yield ids[:size]
            ids = ids[size:]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(("chat", body))
        if "input_ids" in body:
            return await self.onward(request, body, body["input_ids"])
        ids = encode(f"{THOUGHT}</think>{SAID}")
        return await self.stream(request, body, encode(HEAD), ids, chat=True)

    async def completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(("raw", body))
        if not self.route:
            raise web.HTTPNotFound
        return await self.onward(request, body, body["prompt"])

    async def onward(self, request: web.Request, body: Any, prompt: Any) -> web.StreamResponse:
        given = TOKENIZER.decode(prompt) if isinstance(prompt, list) else prompt
        inside = "</think>" not in given.removeprefix(HEAD)
        said = " Velwick is a city.</think>Thuria it is." if inside else " And so on."
        ids = prompt if isinstance(prompt, list) else encode(prompt)
        return await self.stream(request, body, ids, encode(said), chat="messages" in body, inside=inside)

    async def stream(
        self, request: web.Request, body: Any, prompt: list[int], ids: list[int], chat: bool, inside: bool = True
    ) -> web.StreamResponse:
        tells = self.tells and body.get("return_token_ids")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        if chat:
            first = {"prompt_token_ids": prompt} if tells else {}
            await send(response, first | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        for at, group in enumerate(self.groups(ids)):
            choice: Any = {"index": 0, "token_ids": group} if tells else {"index": 0}
            if chat:
                choice["delta"], inside = self.delta(group, inside)
            else:
                choice["text"] = TOKENIZER.decode(group)
                choice |= {"prompt_token_ids": prompt} if tells and not at else {}
            await send(response, {"id": "u", "choices": [choice]})
        await send(response, {"choices": [{"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}]})
        await response.write(b"data: [DONE]\n\n")
        return response

    def delta(self, group: list[int], inside: bool) -> tuple[Any, bool]:
        if not self.parser:
            return {"content": TOKENIZER.decode(group)}, inside
        before, tag, after = TOKENIZER.decode(group).partition("</think>")
        if not inside:
            return {"content": before}, False
        return {name: words for name, words in (("reasoning", before), ("content", after)) if words}, not tag


async def send(response: web.StreamResponse, chunk: Any) -> None:
    await response.write(b"data: %s\n\n" % json.dumps(chunk).encode())


@asynccontextmanager
async def running(sizes: Any, **options: Any) -> AsyncIterator[Server]:
    server = Server(sizes, **options)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_post("/v1/completions", server.completions)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def ask(**body: Any) -> ChatRequest:
    return ChatRequest(body={"model": "m", "messages": ASKED, "max_tokens": 90} | body)


def cut(before: str) -> Resume:
    """The first sentence of the reasoning, interrupted; or of the content."""
    kept: Any = {"reasoning": before + NO} if before in THOUGHT else {"reasoning": THOUGHT, "content": before + NO}
    channel: Any = "reasoning" if before in THOUGHT else "content"
    return Resume(kept=kept, open_channel=channel, put_in=NO, sent=kept, message="No.", max_tokens=50)


def said(events: Any, channel: str) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta) and event.channel == channel)


ANSWERED = {"tokenizer": WORLD, "continuation": "token_exact"}
FIRST = "Ada Velm was born in Dundal."


@pytest.mark.parametrize("parser", [True, False])
@pytest.mark.parametrize("sizes", [1, 3, "random"])
@pytest.mark.parametrize("before", [FIRST, "So it is Thuria."])
async def test_a_cut_turn_goes_on_from_its_own_ids(sizes: Any, parser: bool, before: str) -> None:
    async with running(sizes, parser=parser) as server:
        made = await backend(server.url, reasoning="field" if parser else "inline_open", **ANSWERED)
        turn = made.begin(ask(top_k=3))
        first = await collect(turn.attempt(0))
        assert (said(first, "reasoning"), said(first, "content")) == (THOUGHT, SAID)
        assert not [e for e in first if isinstance(e, Delta | Extra | Finished) and b"token_ids" in (e.raw or b"")]
        events = await collect(turn.attempt(1, 0, cut(before)))
        assert (await made.ready())["continuation"]["content"] == "token_exact"
        await made.close()
    assert events[0] == Opened(1, "token_exact")
    assert text(events) == (" And so on." if before in SAID else " Velwick is a city.Thuria it is.")
    (_, asked), (route, body) = server.seen
    assert (route, asked["return_token_ids"], body["return_token_ids"]) == ("raw", True, True)
    assert (body["max_tokens"], body["top_k"]) == (50, 3)
    kept = before if before in THOUGHT else f"{THOUGHT}</think>{before}"
    assert TOKENIZER.decode(body["prompt"]) == HEAD + kept + NO
    own = encode(HEAD) + encode(f"{THOUGHT}</think>{SAID}")
    assert body["prompt"][: len(encode(HEAD + kept)) - 5] == own[: len(encode(HEAD + kept)) - 5]


async def test_a_turn_that_was_continued_so_is_continued_so_again() -> None:
    async with running(1) as server:
        made = await backend(server.url, reasoning="field", **ANSWERED)
        turn = made.begin(ask())
        await collect(turn.attempt(0))
        await collect(turn.attempt(1, 0, cut(FIRST)))
        kept: Any = {"reasoning": FIRST + NO + " Velwick is a city.", "content": "Thuria it is." + NO}
        again = Resume(kept=kept, open_channel="content", put_in=NO, max_tokens=9)
        assert (await collect(turn.attempt(2, 0, again)))[0] == Opened(2, "token_exact")
        await made.close()
    whole = f"{HEAD}{FIRST}{NO} Velwick is a city.</think>Thuria it is.{NO}"
    assert TOKENIZER.decode(server.seen[2][1]["prompt"]) == whole


async def test_a_client_that_asks_for_ids_gets_them() -> None:
    async with running(3) as server:
        made = await backend(server.url, reasoning="field", **ANSWERED)
        first = await collect(made.begin(ask(return_token_ids=True)).attempt(0))
        assert [e for e in first if isinstance(e, Delta) and b'"token_ids"' in (e.raw or b"")]
        assert [e for e in first if isinstance(e, Extra) and b'"prompt_token_ids"' in e.raw]
        await made.close()


async def test_ids_are_asked_for_only_where_that_is_configured() -> None:
    async with running(3) as server:
        made = await backend(server.url, tokenizer=WORLD)
        turn = made.begin(ask())
        await collect(turn.attempt(0))
        assert "return_token_ids" not in server.seen[0][1]
        assert (await collect(turn.attempt(1, 0, cut(FIRST))))[0] == Opened(1, "text_exact")
        await made.close()


TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("server", "request_", "way"),
    [
        ({"tells": False}, ask(), "text_exact"),
        ({}, ask(tools=TOOLS), "reask"),
        ({"route": False}, ask(), "reask"),
    ],
)
async def test_what_ids_cannot_serve_goes_the_next_way(server: Any, request_: ChatRequest, way: str) -> None:
    async with running(1, **server) as upstream:
        made = await backend(upstream.url, reasoning="field", **ANSWERED)
        turn = made.begin(request_)
        await collect(turn.attempt(0))
        assert (await collect(turn.attempt(1, 0, cut(FIRST))))[0] == Opened(1, way)  # type: ignore[arg-type]
        await made.close()


async def test_the_chat_route_takes_ids_with_tools() -> None:
    async with running(1) as server:
        made = await backend(server.url, reasoning="field", token_route="input_ids", **ANSWERED)
        turn = made.begin(ask(tools=TOOLS))
        await collect(turn.attempt(0))
        events = await collect(turn.attempt(1, 0, cut(FIRST)))
        await made.close()
    assert events[0] == Opened(1, "token_exact")
    assert (said(events, "reasoning"), said(events, "content")) == (" Velwick is a city.", "Thuria it is.")
    body = server.seen[1][1]
    assert (body["tools"], body["messages"], body["max_tokens"]) == (TOOLS, ASKED, 50)
    assert TOKENIZER.decode(body["input_ids"]) == HEAD + FIRST + NO


async def test_what_guard_puts_in_is_text_whatever_it_spells() -> None:
    async with running(1) as server:
        made = await backend(server.url, reasoning="field", **ANSWERED)
        turn = made.begin(ask())
        await collect(turn.attempt(0))
        kept: Any = {"reasoning": FIRST + "</think>"}
        await collect(turn.attempt(1, 0, Resume(kept=kept, open_channel="reasoning", put_in="</think>", max_tokens=9)))
        await made.close()
    assert TOKENIZER.convert_tokens_to_ids("</think>") not in server.seen[1][1]["prompt"]
