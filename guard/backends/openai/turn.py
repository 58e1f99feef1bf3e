"""One chat request at one server: attempt 0 and the attempts that continue its cut choices.

Joins the parts: which requests can be made (`ways`), who sends them (`upstream`), who reads them (`reading`).
Knows no policies and no clients. Rules: nothing is yielded before the first event, so that until then a failure can
still be answered with its status; a way to continue that the server refuses before its first byte, or that turns out in
its first characters to be none, is followed by the next one; closing the iterator closes the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import aiohttp

from guard.backends import Batch
from guard.backends.openai.answers import passed_headers
from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.prober import Prober
from guard.backends.openai.reading import batches
from guard.backends.openai.stream import BodyStream
from guard.backends.openai.template import Template
from guard.backends.openai.upstream import Upstream
from guard.backends.openai.ways import Way, Ways
from guard.chat import continuation
from guard.chat.asked import Telling
from guard.chat.continuation import Call
from guard.chat.echo import Echo
from guard.chat.opening import Opening
from guard.chat.reader import Reader
from guard.chat.tags import Start, TagSplitter
from guard.chat.tokens import Collector, Tape
from guard.core.types import Resume
from guard.errors import UpstreamError


class OpenAITurn:
    """See `guard.backends.Turn`. Holds which field reasoning came in, so that a continued turn stays with it, and the
    token ids of its choices where they were asked for."""

    def __init__(
        self,
        told: Telling,
        options: OpenAIOptions,
        upstream: Upstream,
        template: Template | None,
        prober: Prober,
    ) -> None:
        self._request = request = told.request
        self._told = told
        self._options = options
        self._upstream = upstream
        self._ways = Ways(request, options, upstream, template, prober)
        self._headers: Mapping[str, str] = {}
        self._forms: dict[int, str] = {}
        self._tapes: dict[int, Tape] = {}
        self._streams: set[BodyStream] = set()

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers of attempt 0 worth passing on."""
        return self._headers

    async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncGenerator[Batch, None]:
        """Run one upstream call; see `guard.backends.Turn.attempt`."""
        async with aclosing(self._steps(choice, resume)) as ways:
            async for way in ways:
                started = asyncio.get_running_loop().time()
                response = await self._open(way, resume, started)
                if response is None:
                    continue
                told = way.call.told
                opening: Opening | Echo | None = None
                if resume is None:
                    opening = Echo(self._request.prefix, range(self._request.n)) if self._request.prefix else None
                elif told is not None:
                    opening = Opening(resume.open_channel, told)
                reader = self._reader(number, choice, way, resume)
                async with aclosing(self._read(response, reader, opening, started)) as read:
                    async for batch in read:
                        yield batch
                if resume is None or opening is None:
                    return
                if not opening.astray:
                    self._ways.went_on(resume)
                    return
                self._ways.astray(resume)

    async def close(self) -> None:
        """Cut every connection of this turn."""
        for stream in tuple(self._streams):
            stream.close()

    async def _steps(self, choice: int, resume: Resume | None) -> AsyncGenerator[Way, None]:
        if resume is not None:
            tape = self._tapes.pop(choice, None)
            async with aclosing(self._ways.of(choice, resume, self._form(choice), tape)) as ways:
                async for way in ways:
                    yield way
            return
        call = continuation.first(self._request, self._options.model)
        if self._options.continuation == "token_exact" and self._request.prompt is None:
            self._tapes = {index: Tape() for index in range(self._request.n)}
            call = continuation.with_ids(call)
        yield Way(call)

    async def _open(self, way: Way, resume: Resume | None, started: float) -> aiohttp.ClientResponse | None:
        """The answer, once it has begun; None if the server refuses this way of continuing."""
        deadline = started + self._options.timeouts.first_token_s
        try:
            response = await self._upstream.post(way.call.route, way.call.body, self._request.headers, deadline)
        except UpstreamError as error:
            if resume is None:
                raise
            self._ways.refused(way.call, resume, error)
            return None
        if resume is None:
            self._headers = passed_headers(response.headers)
        else:
            self._ways.worked(way.call)
        return response

    async def _read(
        self, response: aiohttp.ClientResponse, reader: Reader, opening: Opening | Echo | None, started: float
    ) -> AsyncGenerator[Batch, None]:
        """What the answer brings; nothing, if its opening is astray."""
        stream = BodyStream(response, self._options.timeouts, where=self._upstream.where, started=started)
        self._streams.add(stream)
        try:
            async with aclosing(batches(response, stream, reader)) as read:
                async for batch in read:
                    passed = batch if opening is None else opening.feed(batch)
                    if opening is not None and opening.astray:
                        return
                    if passed:
                        yield passed
            if opening is not None and (held := opening.end()):
                yield held
            if reader.error is not None:
                raise reader.error
        finally:
            stream.close()
            self._streams.discard(stream)

    def _reader(self, number: int, choice: int, way: Way, resume: Resume | None) -> Reader:
        start = self._start() if resume is None else self._onward(choice, way.call, resume)
        start = None if self._request.prompt is not None else start
        if way.tape is not None:
            self._tapes[choice] = way.tape
        tapes = self._tapes if resume is None else {} if way.tape is None else {0: way.tape}
        for tape in tapes.values():
            tape.start = start
        strip = resume is None and not self._request.body.get("return_token_ids")
        top = self._request.top_logprobs
        # What `/completions` tells beside a chat's text has another shape than what the client asked for.
        foreign = top > 0 and way.call.route == "completions" and self._request.prompt is None
        return Reader(
            number,
            {index: index for index in range(self._request.n)} if resume is None else {0: choice},
            where=self._upstream.where,
            splitter=lambda: TagSplitter(self._options.tags, start) if start is not None else None,
            forms=self._forms,
            continuation=way.call.continuation,
            collector=Collector(tapes, strip=strip) if tapes else None,
            scrub=lambda text: self._upstream.scrub(text, self._request.headers),
            hide=self._told.hide or foreign,
            most=self._told.most,
            top=top,
        )

    def _form(self, choice: int) -> str:
        """The field reasoning came in; before any came, tags if the options say so."""
        inline = self._options.reasoning.startswith("inline")
        return self._forms.get(choice) or ("inline" if inline else "")

    def _start(self) -> Start | None:
        """How the content of a new turn starts."""
        if self._options.reasoning == "field":
            return None
        return "open" if self._options.reasoning == "inline_open" else "undecided"

    def _onward(self, choice: int, call: Call, resume: Resume) -> Start | None:
        """How the content of a turn that goes on starts."""
        if call.route == "completions":
            self._forms.setdefault(choice, self._form(choice) or "reasoning_content")
            return _exact_start(resume)
        if call.continuation not in ("token_exact", "field_prefill"):
            return self._start()
        if resume.open_channel == "reasoning" and self._form(choice).startswith("inline"):
            return "inside"
        # Tags behind content that goes on are a server's that begins anew: its reasoning must not pass for an answer.
        return None if self._options.reasoning in ("field", "inline_open") else "undecided"


def _exact_start(resume: Resume) -> Start | None:
    """How the text of a raw completion starts: in reasoning, in content, or (nothing kept) at the turn's start."""
    if resume.open_channel == "reasoning":
        return "inside"
    return None if any(resume.kept.values()) else "undecided"
