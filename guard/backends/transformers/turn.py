"""One chat request at the local model.

Knows the order of a turn's attempts. Does not know tokens or tensors: it hands attempts to the engine and reads their
mailbox. Its rules:

1. A later attempt of a choice takes the choice over: the earlier one is stopped first, and what it computed beyond
   the cut is rewound.
2. A reader that goes away, or stops reading, stops the computing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from guard.backends import Batch, ChatRequest, Item, Usage
from guard.backends.transformers.choice import Attempt, Choice, Loaded, Setting
from guard.backends.transformers.engine import Engine
from guard.backends.transformers.fields import Fields
from guard.backends.transformers.mailbox import Mailbox
from guard.backends.transformers.prompt import Template
from guard.core.events import Finished
from guard.core.types import Channel, Resume
from guard.errors import RequestError, UpstreamError

UNREAD = 32
"""Deltas that may wait for a reader before its request pauses."""


class LocalTurn:
    """A request's choices, kept between its attempts; `close` frees their caches."""

    def __init__(
        self,
        request: ChatRequest,
        fields: Fields,
        engine: Engine,
        template: Template,
        loaded: Loaded,
    ) -> None:
        self._request = request
        self._fields = fields
        self._engine = engine
        self._template = template
        self._loaded = loaded
        self._setting: Setting | None = None
        self._choices: dict[int, Choice] = {}
        self._running: dict[int, Attempt] = {}
        self._closed = False

    @property
    def headers(self) -> Mapping[str, str]:
        """None: nothing upstream sent any."""
        return {}

    async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
        """Run attempt `number`: all choices for 0, else `choice` alone, gone on with where `resume` says.

        The first batch tells the attempt's `prompt_tokens`, the last item its whole `Usage`. `prompt_tokens` is the
        context that it began with (for a resumed attempt: prompt, kept and put-in text), `completion_tokens` what it
        sampled, the end token included.

        Raises:
            RequestError: the messages cannot be used, or the resume asks for what this backend cannot do.
            UpstreamError: the model failed, or the engine or the turn is closed.
        """
        _accept(resume)
        setting = await self._prepared()
        box = Mailbox(UNREAD, self._engine.wake)
        attempts = self._resumed(number, choice, resume, setting, box) if resume else self._first(setting, box)
        self._engine.submit(attempts)
        try:
            open_, begun = len(attempts), False
            while open_:
                batch: list[Item] = await box.get()
                open_ -= sum(isinstance(item, tuple) and isinstance(item[1], Finished) for item in batch)
                if not open_:
                    batch = [*batch, _usage(number, attempts)]
                elif not begun:  # an attempt that is cut never gets to the end: what it read is told at once
                    batch = [*batch, Usage(number, {"prompt_tokens": attempts[0].prompt_tokens})]
                begun = True
                yield batch
        finally:
            self._stop(attempts)

    async def close(self) -> None:
        """Stop what runs and let go of every cache."""
        self._closed = True
        self._stop(list(self._running.values()))
        self._running.clear()
        self._choices.clear()

    async def _prepared(self) -> Setting:
        if self._setting is None:
            schema = self._fields.schema
            grammar = None if schema is None else await self._loaded.grammars.wanted(schema)
            # Off the loop: a long conversation takes the tokenizer a while.
            prompt = await asyncio.to_thread(self._template.prompt, self._request, self._fields.variables)
            before = self._request.prefix.get("content", "")
            self._setting = Setting(self._loaded, self._fields, prompt, grammar, before)
        if self._closed:
            raise UpstreamError("the turn is closed", status=503)
        return self._setting

    def _first(self, setting: Setting, box: Mailbox) -> list[Attempt]:
        attempts = [
            Attempt(0, self._choice(index, setting), setting, box, follows=index > 0)
            for index in range(self._request.n)
        ]
        attempts[0].followers = attempts[1:]
        self._running.update(enumerate(attempts))
        return attempts

    def _resumed(self, number: int, index: int, resume: Resume, setting: Setting, box: Mailbox) -> list[Attempt]:
        if (earlier := self._running.get(index)) is not None and not earlier.over:
            earlier.cancel(superseded=True)
        told = _behind(resume, self._request.prefix)
        attempt = Attempt(number, self._choice(index, setting), setting, box, resume=told)
        self._running[index] = attempt
        return [attempt]

    def _choice(self, index: int, setting: Setting) -> Choice:
        if index not in self._choices:
            self._choices[index] = Choice(index, setting)
        return self._choices[index]

    def _stop(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            if not attempt.over:
                attempt.cancel()
        self._engine.wake()


def _accept(resume: Resume | None) -> None:
    if resume is not None and (resume.calls or resume.kept.get("tool_calls")):
        raise RequestError("tools: this backend does not call tools, so no call can be answered", param="tools")


def _behind(resume: Resume, prefix: Mapping[Channel, str]) -> Resume:
    """The same, without the client's own unfinished turn: that is in the prompt."""
    kept = {channel: text.removeprefix(prefix.get(channel, "")) for channel, text in resume.kept.items()}
    return replace(resume, kept=kept)


def _usage(number: int, attempts: Sequence[Attempt]) -> Usage:
    prompt = attempts[0].prompt_tokens
    completion = sum(attempt.sampled for attempt in attempts)
    reasoning = sum(attempt.reasoning for attempt in attempts)
    return Usage(
        number,
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        },
    )
