"""`guard demo`: one supervised answer in the terminal, the interruption visible as it happens.

It starts a server of its own and asks it over HTTP, so what is shown is what a client gets. Plain text when the
output is no terminal: a claim between [- and -], guard's words between [+ and +].
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvicorn
from rich.console import Console
from rich.live import Live
from rich.text import Text

from guard.cli.reading import printable
from guard.cli.serving import listen
from guard.errors import GuardError
from guard.server.app import create_app
from guard.settings import built_in
from guard.world.measure import questions

_STYLES = {"kept": "", "claim": "red strike", "put_in": "green", "retracted": "red strike dim"}
_PLAIN = {"claim": ("[-", "-]"), "put_in": ("[+", "+]"), "retracted": ("[-", "-]")}


def show(question: str | None, policy: str) -> None:
    """Ask, and show the answer as it comes."""
    asked = question or questions(1)[0].text
    asyncio.run(_show(asked, policy))


async def _show(question: str, policy: str) -> None:
    console = Console(highlight=False)
    async with serving(policy) as url:
        console.print(Text(f"{question}\n", style="bold"))
        view = View()
        if console.is_terminal:
            with Live(view.styled(), console=console, refresh_per_second=20) as live:
                async for chunk in ask(url, question):
                    view.take(chunk)
                    live.update(view.styled())
                    await asyncio.sleep(0.03)  # the tiny model is faster than an eye
        else:
            async for chunk in ask(url, question):
                view.take(chunk)
            console.print(Text(view.plain()), soft_wrap=True)


class View:
    """An answer as it grows: stretches of text by channel, each kept, struck through or put in."""

    def __init__(self) -> None:
        self.parts: dict[str, list[tuple[str, str]]] = {"reasoning": [], "content": []}

    def take(self, chunk: dict[str, Any]) -> None:
        """Take in one chunk; raises GuardError for an error frame."""
        if "error" in chunk:
            raise GuardError(str(chunk["error"].get("message")))
        event = chunk.get("guard") or {}
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta") or {}
            for channel, name in (("reasoning", "reasoning_content"), ("content", "content")):
                if text := delta.get(name):
                    self._add(channel, printable(text), event)

    def _add(self, channel: str, text: str, event: dict[str, Any]) -> None:
        if not event:
            self.parts[channel].append(("kept", text))
            return
        if event.get("retracted"):
            self.parts[channel].append(("retracted", printable(event["retracted"])))
            text = " " + text.strip()
        for start, end in (event["span"], event["discarded"] or (0, 0)):
            self._strike(channel, start, end)
        self.parts[channel].append(("put_in", text))

    def _strike(self, channel: str, start: int, end: int) -> None:
        """Mark the characters of a channel, as the client received them, as a claim."""
        out: list[tuple[str, str]] = []
        at = 0
        for kind, text in self.parts[channel]:
            low, high = max(start - at, 0), max(end - at, 0)
            at += 0 if kind == "retracted" else len(text)
            if kind != "kept" or high <= low or low >= len(text):
                out.append((kind, text))
                continue
            pieces = (("kept", text[:low]), ("claim", text[low:high]), ("kept", text[high:]))
            out += [(k, t) for k, t in pieces if t]
        self.parts[channel] = out

    def styled(self) -> Text:
        """For a terminal."""
        text = Text()
        for channel, style in (("reasoning", "dim"), ("content", "bold")):
            for kind, piece in self.parts[channel]:
                text.append(piece, style=_STYLES[kind] or style)
            text.append("\n" if self.parts[channel] else "")
        return text

    def plain(self) -> str:
        """For everything else."""
        lines = []
        for channel in ("reasoning", "content"):
            merged: list[list[str]] = []
            for kind, piece in self.parts[channel]:
                if merged and merged[-1][0] == kind:
                    merged[-1][1] += piece
                else:
                    merged.append([kind, piece])
            lines.append("".join(_marked(kind, piece) for kind, piece in merged))
        return "\n".join(f"{name}: {line}" for name, line in zip(("reasoning", "answer"), lines, strict=True) if line)


def _marked(kind: str, text: str) -> str:
    before, after = _PLAIN.get(kind, ("", ""))
    blank = text[: len(text) - len(text.lstrip())]
    return f"{blank}{before}{text[len(blank) :]}{after}"


@contextlib.asynccontextmanager
async def serving(policy: str = "default") -> AsyncIterator[str]:
    """The built-in server on a free port of this machine, its log in a folder that goes with it; yields its URL."""
    with tempfile.TemporaryDirectory() as folder:
        store = {"url": f"sqlite:///{Path(folder) / 'demo.db'}"}
        app = create_app(built_in(policies={"default": policy}, store=store))
        listening = listen("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
        running: asyncio.Task[None] | None = None
        try:
            await app.state.gateway.start()
            running = asyncio.create_task(server.serve(sockets=[listening]))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            if running is not None:
                await running
            await app.state.gateway.close()


async def ask(url: str, question: str) -> AsyncIterator[dict[str, Any]]:
    """The chunks of one streamed answer."""
    body = {
        "model": "guard-world",
        "stream": True,
        "temperature": 0,
        "messages": [{"role": "user", "content": question}],
    }
    async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions", json=body) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                yield msgspec.json.decode(line[6:])
