"""Finding out by trying how a server goes on with a prefilled message.

Asks; how answers are read is `guard.chat.trial`'s, what is remembered is `prober`'s. Rules:
  A trial is small: a short question, at most `LIMIT` tokens, temperature 0, the headers of the request.
  What a server refuses is a verdict, a failure is none; a 500 is one if the repeat says the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Literal

import msgspec

from guard.backends import Timeouts, Usage
from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.reading import batches
from guard.backends.openai.stream import BodyStream
from guard.backends.openai.upstream import Upstream
from guard.chat.prefill import TO_CONTENT, TO_REASONING, Dialect, Prefill, in_content, in_reasoning
from guard.chat.reader import Reader
from guard.chat.tags import TagSplitter
from guard.chat.trial import (
    COUNTS,
    LETTERS,
    WORDS,
    Ability,
    Codes,
    Reply,
    Trial,
    judge,
    overhead,
    rendered,
    weighed,
    weight,
)
from guard.core.events import Delta
from guard.errors import UpstreamError

Open = Literal["content", "reasoning"]

LIMIT = 24
"""Tokens that an answer may have: enough for the beginning to tell."""

_PATIENCE = Timeouts(first_token_s=20, idle_s=20, total_s=30)
_NO_VERDICT = (401, 402, 403, 407, 408, 409, 425, 429)
# OpenAI's reasoning models know neither `max_tokens` nor a temperature.
_LIMITS: tuple[Mapping[str, Any], ...] = ({"temperature": 0, "max_tokens": LIMIT}, {"max_completion_tokens": LIMIT})


class Examination:
    """One model at one server, tried.

    Attributes:
        bare: the answer to the question alone, once it has been asked.
    """

    def __init__(self, upstream: Upstream, options: OpenAIOptions, model: str, headers: Mapping[str, str]) -> None:
        self._upstream = upstream
        self._options = options
        self._model = model
        self._headers = headers
        self._codes = Codes([_word() for _ in range(WORDS)])
        self._limits = _LIMITS[0]
        self.bare: Reply | None = None

    async def of(self, channel: Open, *, every: bool = False) -> Ability:
        """Try dialects until one goes on; `every` one if asked. Raises UpstreamError where nothing can be learnt."""
        await self._ask_bare()
        trials: list[Trial] = []
        for dialect in TO_CONTENT if channel == "content" else TO_REASONING:
            trials.append(await self._try(channel, dialect))
            if trials[-1].verdict == "continues" and not trials[-1].inline and not every:
                break
        able = [trial for trial in trials if trial.verdict == "continues"]
        good = min(able, key=lambda trial: trial.inline, default=None)
        if good is None:
            return Ability(dialect=None, why="no dialect goes on", trials=tuple(trials))
        return Ability(dialect=good.dialect, why=good.why, inline=good.inline, trials=tuple(trials))

    async def _ask_bare(self) -> None:
        """What the question costs by itself; if that is refused, a verdict on anything else would say nothing."""
        if self.bare is not None:
            return
        try:
            self.bare = await self._ask(None)
        except UpstreamError as error:
            if not refuses(error):
                raise
            self._limits = _LIMITS[1]
            self.bare = await self._ask(None)

    async def _try(self, channel: Open, dialect: Dialect) -> Trial:
        prefill = self._unfinished(channel, dialect, self._codes.given)
        try:
            reply = await self._ask_twice(prefill)
            trial = judge(self._codes, channel, dialect, reply)
            if trial.verdict != "undecided":
                return trial
            deadline = asyncio.get_running_loop().time() + _PATIENCE.connect_s
            prompt = await self._upstream.prompt(self._body(prefill), self._headers, deadline)
            if prompt is not None:
                return rendered(trial, self._codes, reply, channel, prompt)
            return weighed(trial, channel, reply, await self._weigh(channel, dialect))
        except UpstreamError as error:
            if not refuses(error) and error.status != 500:
                raise
            return Trial(dialect=dialect, verdict="refused", why=said(error))

    async def _weigh(self, channel: Open, dialect: Dialect) -> int | None:
        bare = self.bare.prompt_tokens if self.bare is not None else None
        if bare is None:
            return None
        light, heavy = [await self._ask_twice(self._unfinished(channel, dialect, weight(n))) for n in COUNTS]
        return overhead(bare, light.prompt_tokens, heavy.prompt_tokens)

    def _unfinished(self, channel: Open, dialect: Dialect, text: str) -> Prefill | None:
        if channel == "content":
            return in_content(dialect, text)
        return in_reasoning(dialect, text, self._options.tags[0])

    def _body(self, prefill: Prefill | None) -> dict[str, Any]:
        messages: list[Any] = [{"role": "user", "content": self._codes.question}]
        body: dict[str, Any] = {"model": self._model, "messages": messages, **self._limits}
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        if prefill is not None:
            messages.append(prefill.message)
            body |= prefill.flags
        return body

    async def _ask_twice(self, prefill: Prefill | None) -> Reply:
        """A 500 may be an accident, or a template that breaks on the message: then it comes again."""
        try:
            return await self._ask(prefill)
        except UpstreamError as error:
            if error.status != 500:
                raise
        return await self._ask(prefill)

    async def _ask(self, prefill: Prefill | None) -> Reply:
        started = asyncio.get_running_loop().time()
        deadline = started + _PATIENCE.first_token_s
        response = await self._upstream.post("chat/completions", self._body(prefill), self._headers, deadline)
        stream = BodyStream(response, _PATIENCE, where=self._upstream.where, started=started)
        forms: dict[int, str] = {}
        reader = Reader(
            1,
            {0: 0},
            where=self._upstream.where,
            splitter=self._splitter,
            forms=forms,
            scrub=lambda text: self._upstream.scrub(text, self._headers),
        )
        try:
            async with aclosing(batches(response, stream, reader)) as read:
                items = [item async for batch in read for item in batch]
        finally:
            stream.close()
        if reader.error is not None:
            raise reader.error
        counts = [item.counts.get("prompt_tokens") for item in items if isinstance(item, Usage)]
        text = {"reasoning": "", "content": ""}
        for item in items:
            if not isinstance(item, Usage) and isinstance(item[1], Delta):
                text[item[1].channel] += item[1].text
        tokens = counts[-1] if counts and isinstance(counts[-1], int) else None
        return Reply(**text, form=forms.get(0, ""), prompt_tokens=tokens)

    def _splitter(self) -> TagSplitter | None:
        return None if self._options.reasoning == "field" else TagSplitter(self._options.tags)


def refuses(error: UpstreamError) -> bool:
    """Whether a failure is the server's word on this very request, not on the key, the load or the network."""
    return error.status == 501 or (400 <= error.status < 500 and error.status not in _NO_VERDICT)


def said(error: UpstreamError) -> str:
    """A server's refusal in one line, its own words included."""
    try:
        document = msgspec.json.decode(error.body or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"refused with {error.status}"
    told = document.get("error", document.get("detail", document)) if isinstance(document, dict) else document
    told = told.get("message", told) if isinstance(told, dict) else told
    return f"refused with {error.status}: {' '.join(str(told).split())[:120]}"


def _word() -> str:
    letters = [random.choice("bdfgklmnprstvz" if at % 2 == 0 else "aeiou") for at in range(LETTERS)]
    return "".join(letters)
