"""A chat in the terminal that shows a correction as it happens: the claim struck through, guard's words in green.

What an app needs to know is in `Channel`: each channel of an answer (reasoning, content) is a text that grows, and a
chunk with a `guard` object says which characters of it, counted as they were received, no longer count. The text of
such a chunk is guard's own.

Where the output is no terminal, a claim stands between [- and -] and guard's words between [+ and +].
"""

from __future__ import annotations

import os
import sys
from itertools import groupby
from typing import Any

from openai import APIError, OpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from rich.console import Console
from rich.live import Live
from rich.text import Text

URL = os.environ.get("GUARD_URL", "http://127.0.0.1:8900/v1")
MODEL = os.environ.get("GUARD_MODEL", "guard-world")
STYLES = {"claim": "red strike", "guard": "green"}
MARKS = {"claim": ("[-", "-]"), "guard": ("[+", "+]")}
# Servers differ in what they call the reasoning; some send both names with the same text.
REASONING = ("reasoning_content", "reasoning")


class Channel:
    """One channel as it was received: every character, and what it is (`model`, `claim` or `guard`)."""

    def __init__(self) -> None:
        self.characters: list[str] = []
        self.kinds: list[str] = []

    def add(self, text: str, event: dict[str, Any] | None) -> None:
        """Take the text of a chunk, and what its `guard` object says about the text before it."""
        if event:
            self.strike(*event["span"])
            self.strike(*(event["discarded"] or (0, 0)))
        # A model's text is untrusted: no control character of it reaches the terminal.
        self.characters += [c if c.isprintable() or c == "\n" else "\ufffd" for c in text]
        self.kinds += ["guard" if event else "model"] * len(text)

    def strike(self, start: int, end: int) -> None:
        """These characters no longer count. The span of a retraction is empty: that claim was never sent."""
        self.kinds[start:end] = ["claim"] * len(self.kinds[start:end])

    def stretches(self) -> list[tuple[str, str]]:
        """The text in stretches of one kind."""
        pairs = groupby(zip(self.kinds, self.characters, strict=True), key=lambda pair: pair[0])
        return [(kind, "".join(character for _, character in group)) for kind, group in pairs]


class Turn:
    """One answer as it grows."""

    def __init__(self) -> None:
        self.channels = {"reasoning": Channel(), "content": Channel()}
        self.events: list[dict[str, Any]] = []

    def take(self, chunk: ChatCompletionChunk) -> None:
        """Take one chunk. The openai client keeps fields that it does not know in `model_extra`."""
        event = (chunk.model_extra or {}).get("guard")
        texts = {"reasoning": "", "content": ""}
        for choice in chunk.choices:
            more = choice.delta.model_extra or {}
            texts["reasoning"] += next((more[name] for name in REASONING if more.get(name)), "")
            texts["content"] += choice.delta.content or ""
        for name, channel in self.channels.items():
            if texts[name] or (event and event["channel"] == name):
                channel.add(texts[name], event)
        if event:
            self.events.append(event)

    def styled(self) -> Text:
        """For a terminal."""
        shown = Text()
        for name, style in (("reasoning", "dim"), ("content", "bold")):
            for kind, text in self.channels[name].stretches():
                shown.append(text, style=STYLES.get(kind, style))
            shown.append("\n")
        return shown

    def plain(self) -> str:
        """For everything else."""
        lines = []
        for name, channel in self.channels.items():
            marks = [(MARKS.get(kind, ("", "")), text) for kind, text in channel.stretches()]
            lines.append(f"{name}: " + "".join(f"{before}{text}{behind}" for (before, behind), text in marks))
        return "\n".join(lines)

    def told(self) -> str:
        """What guard did, a line each."""
        return "\n".join(f"({event['event']} in the {event['channel']}, by {event['check']})" for event in self.events)


def answer(client: OpenAI, messages: list[ChatCompletionMessageParam], console: Console) -> str:
    """Ask, show the answer as it comes, and return its content: reasoning is not sent back to a model."""
    turn = Turn()
    stream = client.chat.completions.create(model=MODEL, messages=messages, temperature=0, stream=True)
    if console.is_terminal:
        with Live(turn.styled(), console=console) as live:
            for chunk in stream:
                turn.take(chunk)
                live.update(turn.styled())
    else:
        for chunk in stream:
            turn.take(chunk)
        print(turn.plain())
    print(turn.told() or "(nothing to correct)")
    return "".join(turn.channels["content"].characters)


def main() -> None:
    """Ask what is typed, until the input ends."""
    console = Console()
    client = OpenAI(base_url=URL, api_key=os.environ.get("GUARD_API_KEY", "unused"))
    messages: list[ChatCompletionMessageParam] = []
    prompt = "\n> " if sys.stdin.isatty() else ""
    print(f"Talking to {MODEL} at {URL}. Ctrl-D ends it.")
    while True:
        try:
            question = input(prompt)
        except EOFError:
            return
        messages.append({"role": "user", "content": question})
        try:
            said = answer(client, messages, console)
        except APIError as error:
            sys.exit(f"no answer from {URL}: {error}")
        messages.append({"role": "assistant", "content": said})


if __name__ == "__main__":
    main()
