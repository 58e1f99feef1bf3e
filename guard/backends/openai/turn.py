"""One chat request at one server: attempt 0 and the attempts that continue its cut choices.

Joins the parts: which requests can be made (`ways`), who sends them (`upstream`), who reads them (`reading`).
Knows no policies and no clients. Rules: nothing is yielded before the first event, so that until then a failure can
still be answered with its status; a way to continue that the server refuses before its first byte, or that turns out in
its first characters to be none, is followed by the next one; closing the iterator closes the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

import aiohttp

from guard.backends import Batch, ChatRequest
from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.probe import Prober
from guard.backends.openai.reading import batches
from guard.backends.openai.stream import BodyStream
from guard.backends.openai.template import Template
from guard.backends.openai.upstream import Upstream, passed_headers
from guard.backends.openai.ways import Way, Ways
from guard.chat import continuation
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
        request: ChatRequest,
        options: OpenAIOptions,
        upstream: Upstream,
        template: Template | None,
        prober: Prober,
    ) -> None:
        self._request = request
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

    async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
        """Run one upstream call; see `guard.backends.Turn.attempt`."""
        if resume is None:
            started = asyncio.get_running_loop().time()
            response = await self._post(way := self._first(), started)
            self._headers = passed_headers(response.headers)
            reader = self._reader(number, {index: index for index in range(self._request.n)}, way, self._start())
            async with aclosing(self._read(response, reader, started)) as read:
                async for batch in read:
                    yield batch
            return
        tape = self._tapes.pop(choice, None)
        async with aclosing(self._ways.of(choice, resume, self._form(choice), tape)) as ways:
            async for way in ways:
                started = asyncio.get_running_loop().time()
                if (opened := await self._try(way, resume, started)) is None:
                    continue
                async with aclosing(self._onward(number, choice, resume, way, opened, started)) as read:
                    async for batch in read:
                        yield batch
                if way.astray is False:
                    return

    async def close(self) -> None:
        """Cut every connection of this turn."""
        for stream in tuple(self._streams):
            stream.close()
