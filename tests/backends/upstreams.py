"""Servers over loopback that go on with a last message as the documentation of real ones says, or do not.

Each reads a request as its original does, renders a prompt with a template of its own, and lets a small model speak
from there: one that does as it is told, or one that does not. Tokens are words, marks, tags and line ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Json = dict[str, Any]
_TOKEN = re.compile(r"<[|/]?\w+\|?>|\w+|[^\w\s]|\n")

ANSWER = "The answer is A, as everybody knows. All is well."
THOUGHT = "It was A in the beginning. So it is A."


class Refused(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Open:
    """The turn as it stands, and which channel of it is open; `echo`: the reply begins with what was given."""

    channel: Literal["reasoning", "content"]
    reasoning: str = ""
    content: str = ""
    echo: bool = False


Reading = Callable[[Json], Open | None]
"""How a server understands a request: the turn that goes on, or None: a new one begins."""


def _last(body: Json) -> Json | None:
    last = body["messages"][-1]
    return last if last["role"] == "assistant" else None


def _flag(body: Json) -> Any:
    flag = body.get("continue_final_message", False)
    if flag and body.get("add_generation_prompt", True):
        raise Refused(400, "Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
    return flag


def _from(last: Json, field: str = "reasoning_content", tags: bool = False) -> Open:
    content, reasoning = last.get("content") or "", last.get(field) or ""
    if not isinstance(content, str):
        raise Refused(400, "unsupported content[].type")
    if tags and content.startswith("<think>") and "</think>" not in content:
        return Open("reasoning", content.removeprefix("<think>").removeprefix("\n"))
    return Open("content", reasoning, content) if content else Open("reasoning", reasoning)


def vllm(body: Json) -> Open | None:
    """The flag is true or false; open reasoning can only be written into the content."""
    flag = _flag(body)
    if not isinstance(flag, bool):
        raise Refused(400, "continue_final_message: Input should be a valid boolean")
    last = _last(body)
    return _from(last, "reasoning", tags=True) if flag and last else None


def sglang(body: Json) -> Open | None:
    """As vLLM, but the reasoning field of the last message is dropped; without the flag it becomes the user's."""
    flag = _flag(body)
    if not isinstance(flag, bool):
        raise Refused(422, "continue_final_message: Input should be a valid boolean")
    last = _last(body)
    return _from({"content": last["content"]}, tags=True) if flag and last else None


def llama(body: Json) -> Open | None:
    """The flag names the field; without it a trailing message goes on as well, and is repeated in the stream."""
    flag, last = _flag(body), _last(body)
    if last is None:
        return None
    if last.get("tool_calls"):
        raise Refused(400, "Cannot continue an assistant message that contains tool calls.")
    found = _from(last)
    if flag == "reasoning_content":
        return Open("reasoning", found.reasoning)
    return Open("content", found.reasoning, found.content, echo=not flag)


def deepseek(body: Json) -> Open | None:
    """`prefix` on the message."""
    last = _last(body)
    return _from(last) if last and last.get("prefix") else None


def mistral(body: Json) -> Open | None:
    """`prefix` on the message; what is not documented is refused; reasoning is a part of the content."""
    if unknown := sorted(body.keys() - {"model", "messages", "stream", "max_tokens", "temperature"}):
        raise Refused(422, f"extra_forbidden: {unknown!r}")
    last = _last(body)
    if last is None:
        return None
    if unknown := sorted(last.keys() - {"role", "content", "prefix"}):
        raise Refused(422, f"extra_forbidden: {unknown!r}")
    if not last.get("prefix"):
        raise Refused(400, "Expected last role User or Tool (or Assistant with prefix True) for serving")
    if isinstance(last["content"], str):
        return _from(last)
    thinking, *rest = last["content"]
    reasoning = "".join(part["text"] for part in thinking["thinking"])
    content = "".join(part["text"] for part in rest)
    return Open("content", reasoning, content) if thinking.get("closed", True) else Open("reasoning", reasoning)


def ollama(body: Json) -> Open | None:
    """A trailing message goes on, white space trimmed; flags are unknown and ignored."""
    last = _last(body)
    if last is None:
        return None
    if not isinstance(last["content"], str):
        raise Refused(400, "invalid message format")
    return _from({**last, "content": last["content"].strip()}, "reasoning")


def moonshot(body: Json) -> Open | None:
    """`partial` on the message."""
    last = _last(body)
    return _from(last) if last and last.get("partial") else None


def openai(body: Json) -> Open | None:
    """A trailing message is answered by a new one; what is not documented is refused."""
    for name in ("continue_final_message", "add_generation_prompt", "max_tokens"):
        if name in body:
            raise Refused(400, f"Unsupported parameter: {name!r}")
    if (last := _last(body)) and last.keys() - {"role", "content", "tool_calls"}:
        raise Refused(400, "Additional properties are not allowed")
    return None


def anthropic(body: Json) -> Open | None:
    """Claude from 4.6 on."""
    if _last(body):
        raise Refused(400, "This model does not support assistant message prefill.")
    return None


def liar(body: Json) -> Open | None:
    """200, whatever is asked, and a new message."""
    return None


@dataclass
class Upstream:
    """A running server.

    Attributes:
        obedient: its model repeats codes when asked to.
        thinks: its model reasons before it answers, in `form`: the field of that name, `typed`, or `inline`.
        forced: its template opens the thinking block; `empty`: it writes an empty one before continued content.
        shows: it tells what prompt it makes of a request, as llama.cpp's server does.
        cut: characters of each delta.
        believes: how many more messages it goes on with; then it begins anew.
        status: of every answer, where it is not 200.
    """

    reading: Reading
    obedient: bool = True
    usage: bool = True
    thinks: bool = True
    form: str = "reasoning_content"
    forced: bool = False
    empty: bool = False
    shows: bool = False
    cut: Callable[[str], Iterator[str]] = lambda text: iter([text])
    believes: int = 1 << 20
    status: int = 200
    seen: list[Json] = field(default_factory=list)
    url: str = ""

    @property
    def trials(self) -> list[Json]:
        return [body for body in self.seen if _codes(body)]

    @property
    def asked(self) -> list[Json]:
        return [body for body in self.seen if not _codes(body)]

    def prompt(self, body: Json, turn: Open | None) -> str:
        """What the template makes of it."""
        messages = body["messages"][:-1] if turn else body["messages"]
        text = "".join(f"<|{m['role']}|>\n{_text(m)}<|end|>\n" for m in messages) + "<|assistant|>\n"
        if turn is None:
            text += "<think>\n" * self.forced
        elif turn.channel == "reasoning":
            text += f"<think>\n{turn.reasoning}"
        else:
            text += f"<think>\n{turn.reasoning}\n</think>\n\n" if turn.reasoning or self.empty else ""
            text += turn.content
        return text

    def speak(self, body: Json, turn: Open | None) -> list[tuple[str, str]]:
        """What the model writes, by channel."""
        thought, answer = self._whole(body)
        if turn is None:
            return [("reasoning", thought), ("content", answer)] if self.thinks else [("content", answer)]
        if turn.channel == "reasoning":
            return [("reasoning", self._rest(body, thought, turn.reasoning, " So B.")), ("content", "B it is.")]
        said = self._rest(body, answer, turn.content, " And so on.")
        return [("content", turn.content + said if turn.echo else said)]

    def _whole(self, body: Json) -> tuple[str, str]:
        codes = _codes(body)
        if codes and self.obedient:
            return codes, codes
        return ("Hm.", "La la la.") if codes else (THOUGHT, ANSWER)

    def _rest(self, body: Json, whole: str, given: str, otherwise: str) -> str:
        if _codes(body) and not self.obedient:
            return " la la"
        return whole[len(given) :] if given and whole.startswith(given) else otherwise

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(body)
        try:
            if self.status != 200:
                raise Refused(self.status, "not now")
            turn = self.reading(body)
            if turn is not None and not _codes(body):
                self.believes -= 1
                turn = turn if self.believes >= 0 else None
        except Refused as refused:
            return web.json_response({"error": {"message": str(refused)}}, status=refused.status)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for channel, text in self.speak(body, turn):
            for piece in self.cut(text):
                await _send(response, {"choices": [{"index": 0, "delta": self._delta(channel, piece)}]})
        await _send(response, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if self.usage:
            await _send(
                response, {"choices": [], "usage": {"prompt_tokens": len(_TOKEN.findall(self.prompt(body, turn)))}}
            )
        await response.write(b"data: [DONE]\n\n")
        return response

    def _delta(self, channel: str, text: str) -> Json:
        if channel == "content":
            return {"content": text}
        if self.form == "typed":
            return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
        return {self.form: text}

    async def template(self, request: web.Request) -> web.Response:
        if not self.shows:
            raise web.HTTPNotFound
        body = await request.json()
        return web.json_response({"prompt": self.prompt(body, self.reading(body))})

    async def models(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.status)
        return web.json_response({"data": [{"id": "m"}]})


def _codes(body: Json) -> str:
    """The words that the model is asked to repeat, or "" if it is asked something else."""
    asked = str(body["messages"][0].get("content"))
    return asked.rpartition(": ")[2] if asked.startswith("Repeat these codes") else ""


def _text(message: Json) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)


async def _send(response: web.StreamResponse, chunk: Json) -> None:
    await response.write(b"data: %s\n\n" % json.dumps(chunk).encode())


@asynccontextmanager
async def running(upstream: Upstream) -> AsyncIterator[Upstream]:
    """The server on a free port of loopback."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.chat)
    app.router.add_get("/v1/models", upstream.models)
    app.router.add_post("/apply-template", upstream.template)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield upstream
    finally:
        await runner.cleanup()
