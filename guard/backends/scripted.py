"""A policy model that says what it is told: for tests, demonstrations and the replay of recorded responses.

It ships because users need it too: with it a policy, a client or a dashboard can be tried against errors, slow
streams and cut connections without a model. A script is YAML or JSON:

    answers:
      - when: "born"            # regular expression over the last user message; left out: any
        after: user             # role of the last message (`tool`: the calls were answered); left out: any
        cut: 4                  # characters a delta (0: a step is one delta)
        attempts:               # attempt 0, then what each continuation says; where there are no more, the last one
          - - reasoning: "Ada was born in Kargate. Kargate is in Ostria."   # goes on after the interrupted claim
            - wait_ms: 20
            - content: "Ostria."
            - tool: {id: call_1, name: find, arguments: '{"q": 1}'}
            - finish: stop
        choices: []             # the attempts of choice 1, 2, ... where they differ from choice 0's

Other steps: `error: {status: 503, message: ..., body: ...}` (before the first text: an HTTP error), `disconnect: true`,
`usage: {...}`. A script without a matching answer is a `RequestError`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard import backends
from guard.backends import Batch, ChatRequest, Item, Usage, estimate_tokens
from guard.core import events as ev
from guard.core.types import Resume
from guard.errors import ConfigError, RequestError, UpstreamDisconnected, UpstreamError


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tool(_Model):
    """A tool call, said in two fragments; `index` counts a turn's calls."""

    index: int = 0
    id: str = "call_0"
    name: str
    arguments: str = "{}"


class Error(_Model):
    """An HTTP error of the upstream."""

    status: int = 500
    message: str = "scripted error"
    body: str | None = None


class Step(_Model):
    """One thing that happens; exactly one field is set."""

    reasoning: str | None = None
    content: str | None = None
    tool: Tool | None = None
    wait_ms: Annotated[int, Field(ge=0)] | None = None
    error: Error | None = None
    disconnect: bool | None = None
    finish: str | None = None
    usage: Mapping[str, Any] | None = None


Attempt = tuple[Step, ...]


class Answer(_Model):
    """What is said to a question."""

    when: str = ""
    after: Literal["", "user", "tool"] = ""
    cut: Annotated[int, Field(ge=0)] = 0
    attempts: Annotated[tuple[Attempt, ...], Field(min_length=1)]
    choices: tuple[tuple[Attempt, ...], ...] = ()


class Script(_Model):
    """A whole script."""

    answers: Annotated[tuple[Answer, ...], Field(min_length=1)]


class ScriptedOptions(backends.Options):
    """`script`: a file; or `answers` in place."""

    script: Path | None = None
    answers: tuple[Answer, ...] = ()


class ScriptedBackend:
    """Plays a script."""

    Options: ClassVar[type[backends.Options]] = ScriptedOptions

    def __init__(self, options: ScriptedOptions) -> None:
        self._options = options
        self._answers = options.answers
        self.open_turns = 0
        """Turns that have begun and are not closed: what a test of cancellation looks at."""

    async def start(self) -> None:
        """Read the script."""
        if self._options.script is not None:
            self._answers = _read(self._options.script).answers
        if not self._answers:
            raise ConfigError("the scripted backend needs `script: FILE` or `answers`")

    async def close(self) -> None:
        """Nothing is held."""

    def begin(self, request: ChatRequest) -> ScriptedTurn:
        """A turn with the first answer whose `when` is found in the last user message, or in the raw prompt."""
        asked = [str(m.get("content", "")) for m in request.messages if m["role"] == "user"]
        question = request.prompt or (asked[-1] if asked else "")
        last = str(request.messages[-1]["role"]) if request.messages else ""
        for answer in self._answers:
            if answer.after in ("", last) and re.search(answer.when, question):
                self.open_turns += 1
                return ScriptedTurn(self, answer, request.n)
        raise RequestError(f"the script has no answer to {question[:80]!r}", param="messages")

    def count(self, text: str) -> int:
        """Four characters a token."""
        return estimate_tokens(text)

    async def ready(self) -> Mapping[str, Any]:
        """Always."""
        return {"ok": True, "continuation": "text_exact"}


class ScriptedTurn:
    """One playback."""

    headers: Mapping[str, str] = {"x-request-id": "scripted"}

    def __init__(self, backend: ScriptedBackend, answer: Answer, n: int) -> None:
        self._backend = backend
        self._answer = answer
        self._n = n
        self._places: dict[int, list[tuple[str, str, int]]] = {}
        self._playing: dict[int, Attempt] = {}
        self._closed = False

    async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
        """Play attempt `number`: for every choice in turn at 0, for one later."""
        indexes = range(self._n) if resume is None else [choice]
        opened: list[Item] = [
            (index, ev.Opened(number, None if resume is None else _continuation(resume))) for index in indexes
        ]
        for index in indexes:
            for step in self._steps(number, index, resume):
                async for batch in self._play(step, number, index):
                    if opened:  # not before: until it says something, an error is an HTTP error
                        yield opened
                        opened = []
                    yield batch

    async def close(self) -> None:
        """Count down, once."""
        self._backend.open_turns -= not self._closed
        self._closed = True

    def _steps(self, number: int, index: int, resume: Resume | None) -> Sequence[Step]:
        own = self._answer.choices[index - 1] if 0 < index <= len(self._answer.choices) else self._answer.attempts
        if resume is None or number < len(own):
            self._playing[index] = own[number]
            self._places[index] = [("", "", 0)] if resume is None else _beginnings(resume)
            return own[number]
        self._playing.setdefault(index, own[0])  # a turn may begin in its middle
        self._places.setdefault(index, [("", "", 0)])
        return _after_claim(self._playing[index], self._place(index, resume), resume)

    def _place(self, index: int, resume: Resume) -> int:
        """How far into the recording's open channel the kept text reaches, guard's words left out."""
        kept = resume.kept.get(resume.open_channel, "")
        before = kept[: len(kept) - len(resume.put_in)]
        for base, channel, start in reversed(self._places[index]):
            if before.startswith(base) and channel in ("", resume.open_channel):
                place = start + len(before) - len(base)
                break
        else:
            place = 0
        self._places[index].append((kept, resume.open_channel, place + len(resume.retracted)))
        return place

    async def _play(self, step: Step, number: int, index: int) -> AsyncIterator[Batch]:
        if step.wait_ms is not None:
            await asyncio.sleep(step.wait_ms / 1000)
        elif step.error is not None:
            body = None if step.error.body is None else step.error.body.encode()
            raise UpstreamError(step.error.message, status=step.error.status, body=body)
        elif step.disconnect:
            raise UpstreamDisconnected("the scripted upstream closed the connection")
        elif step.usage is not None:
            yield [Usage(number, step.usage)]
        else:
            for event in self._events(step, number):
                yield [(index, event)]

    def _events(self, step: Step, number: int) -> Sequence[ev.Event]:
        if step.finish is not None:
            return [ev.Finished(number, step.finish)]
        if step.tool is not None:
            half = len(step.tool.arguments) // 2
            tool = step.tool
            first = ev.ToolDelta(number, tool.index, tool.id, tool.name, tool.arguments[:half])
            return [first, ev.ToolDelta(number, tool.index, arguments=tool.arguments[half:])]
        text = step.reasoning if step.reasoning is not None else step.content or ""
        size = self._answer.cut or len(text) or 1
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        if step.reasoning is not None:
            return [ev.Delta(number, "reasoning", piece, form="reasoning_content") for piece in pieces]
        return [ev.Delta(number, "content", piece, form="content") for piece in pieces]


def _continuation(resume: Resume) -> Any:
    return "tool_answers" if resume.calls else "text_exact"


def _beginnings(resume: Resume) -> list[tuple[str, str, int]]:
    """Where a continuation of its own begins: behind what is kept in the open channel, at the start of the other."""
    other = "content" if resume.open_channel == "reasoning" else "reasoning"
    return [("", other, 0), (resume.kept.get(resume.open_channel, ""), resume.open_channel, 0)]


def _after_claim(recording: Attempt, place: int, resume: Resume) -> list[Step]:
    """The recording from a place in the open channel on; a claim that was taken out is skipped."""
    if resume.calls:
        return [step for step in recording if step.finish is not None]
    steps: list[Step] = []
    place += len(resume.retracted)
    offset, passed = 0, False
    for step in recording:
        text: str | None = getattr(step, resume.open_channel)
        if passed or step.finish is not None:
            steps.append(step)
        elif text is not None:
            passed = offset + len(text) >= place
            if passed and (rest := text[place - offset :]):
                steps.append(Step(**{resume.open_channel: rest}))
            offset += len(text)
    return steps


def _read(path: Path) -> Script:
    try:
        text = path.read_text(encoding="utf-8")
        return Script.model_validate(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))
    except (OSError, ValueError, yaml.YAMLError, ValidationError) as error:
        first = str(error).replace("\n", " ")[:300]
        raise ConfigError(f"script {str(path)!r} cannot be used: {first}") from None


plugin = ScriptedBackend
