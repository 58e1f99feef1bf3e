"""One chat request at one server: attempt 0 and the attempts that continue its cut choices.

Joins the parts: which request is made (`continuation`), who sends it (`upstream`), who reads it (`stream`, `reader`).
Knows no policies and no clients. Rules: nothing is yielded before the first event, so that until then a failure can
still be answered with its status; a way to continue that the server refuses before its first byte is followed by the
next one; closing the iterator closes the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import aiohttp

from guard.backends import Batch, ChatRequest
from guard.chat import continuation
from guard.chat.continuation import Call
from guard.backends.openai.options import OpenAIOptions
from guard.chat.reader import Reader
from guard.backends.openai.stream import BodyStream
from guard.chat.tags import Start, TagSplitter
from guard.backends.openai.template import Template, TemplateError
from guard.backends.openai.upstream import Upstream, passed_headers
from guard.core.types import Resume
from guard.errors import UpstreamError

WHOLE_LIMIT = 64 << 20
"""Bytes of an answer that was not streamed."""

UNKNOWN_BUDGET = 8192
"""Tokens asked for where neither the request nor the server names a limit: `/completions` would stop after 16."""

_MARGIN = 8  # tokens by which a server's count of a prompt may exceed ours


class OpenAITurn:
    """See `guard.backends.Turn`. Holds which field reasoning came in, so that a continued turn stays with it."""

    def __init__(
        self, request: ChatRequest, options: OpenAIOptions, upstream: Upstream, template: Template | None
    ) -> None:
        self._request = request
        self._options = options
        self._upstream = upstream
        self._template = template
        self._headers: Mapping[str, str] = {}
        self._forms: dict[int, str] = {}
        self._streams: set[BodyStream] = set()

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers of attempt 0 worth passing on."""
        return self._headers

    async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
        """Run one upstream call; see `guard.backends.Turn.attempt`."""
        started = asyncio.get_running_loop().time()
        call, response = await self._open(choice, resume, started)
        reader = self._reader(number, choice, call, resume)
        stream = BodyStream(response, self._options.timeouts, where=self._upstream.where, started=started)
        self._streams.add(stream)
        try:
            if response.content_type == "application/json":
                if batch := await _whole(stream, reader):
                    yield batch
            else:
                begun = False
                while not reader.done and reader.error is None and (data := await stream.read()):
                    if batch := reader.feed(data):
                        if not begun:
                            begun = True
                            stream.begin()
                        yield batch
            if reader.error is None and (batch := reader.finish()):
                yield batch
            if reader.error is not None:
                raise self._scrubbed(reader.error)
            await stream.drain()
        finally:
            stream.close()
            self._streams.discard(stream)

    async def close(self) -> None:
        """Cut every connection of this turn."""
        for stream in tuple(self._streams):
            stream.close()

    async def _open(self, choice: int, resume: Resume | None, started: float) -> tuple[Call, aiohttp.ClientResponse]:
        request, model = self._request, self._options.model
        if resume is None:
            call = continuation.first(request, model)
            response = await self._post(call, started)
            self._headers = passed_headers(response.headers)
            return call, response
        form = self._forms.get(choice, "")
        if resume.calls:
            again = continuation.goes_on_after_tools(resume)
            ask = continuation.reask if again else continuation.tool_answers
            call = ask(request, model, choice, resume, form)
        elif (exact := await self._exact(choice, resume)) is not None:
            try:
                response = await self._post(exact, started)
                self._upstream.completions_worked = True
                return exact, response
            except UpstreamError as error:
                self._fall_back(error)
            call = continuation.reask(request, model, choice, resume)
        else:
            call = continuation.reask(request, model, choice, resume)
        return call, await self._post(call, started)

    async def _post(self, call: Call, started: float) -> aiohttp.ClientResponse:
        deadline = started + self._options.timeouts.first_token_s
        return await self._upstream.post(call.route, call.body, self._request.headers, deadline)

    async def _exact(self, choice: int, resume: Resume) -> Call | None:
        """The request that continues from the very text, or None where that cannot be had."""
        template = self._template
        if template is None or not template.renders or self._options.continuation == "reask":
            return None
        if resume.restart or self._upstream.completions_refused:
            return None
        messages = continuation.plain_messages(self._request)
        if messages is None:
            return None
        kept = continuation.full(self._request, resume)
        variables = continuation.template_variables(self._request.body)
        try:
            prompt, size = await asyncio.to_thread(template.prompt, messages, kept, resume.open_channel, variables)
        except TemplateError:  # asking again needs no template
            return None
        budget = UNKNOWN_BUDGET if resume.max_tokens is not None else await self._budget(size)
        return continuation.exact(self._request, self._options.model, choice, resume, prompt, budget)

    async def _budget(self, size: int) -> int:
        """Tokens left in the server's context behind a prompt of `size`."""
        model = self._options.model or self._request.body.get("model")
        context = await self._upstream.learn_context(model, self._request.headers)
        return UNKNOWN_BUDGET if context is None else max(1, context - size - _MARGIN)

    def _fall_back(self, error: UpstreamError) -> None:
        """Go on to the next way of continuing if the server has no `/completions` (or not for this); else raise.

        A 400 or 422 from a server that has continued before is about this request only.
        """
        if error.status not in (400, 404, 405, 422, 501):
            raise error
        if error.status in (404, 405, 501) or not self._upstream.completions_worked:
            self._upstream.completions_refused = True

    def _reader(self, number: int, choice: int, call: Call, resume: Resume | None) -> Reader:
        exact = resume is not None and call.route == "completions"
        start = _exact_start(resume) if exact and resume else self._start()
        if exact:
            inline = self._options.reasoning.startswith("inline")
            self._forms.setdefault(choice, "inline" if inline else "reasoning_content")
        return Reader(
            number,
            {index: index for index in range(self._request.n)} if resume is None else {0: choice},
            where=self._upstream.where,
            splitter=lambda: TagSplitter(self._options.tags, start) if start is not None else None,
            forms=self._forms,
            continuation=call.continuation,
        )

    def _start(self) -> Start | None:
        """How the content of a new turn starts."""
        if self._options.reasoning == "field":
            return None
        return "open" if self._options.reasoning == "inline_open" else "undecided"

    def _scrubbed(self, error: UpstreamError) -> UpstreamError:
        if error.body is not None:
            error.body = self._upstream.scrub(error.body, self._request.headers)
        return error


def _exact_start(resume: Resume) -> Start | None:
    """How the text of a raw completion starts: in reasoning, in content, or (nothing kept) at the turn's start."""
    if resume.open_channel == "reasoning":
        return "inside"
    return None if any(resume.kept.values()) else "undecided"


async def _whole(stream: BodyStream, reader: Reader) -> Batch:
    """A server that ignored `stream`: its one JSON document."""
    body = bytearray()
    while len(body) <= WHOLE_LIMIT and (data := await stream.read()):
        body += data
    if len(body) > WHOLE_LIMIT:
        reader.error = UpstreamError(f"an answer of more than {WHOLE_LIMIT} bytes that was not streamed")
        return ()
    if stream.broken:  # half a document: `finish` will say that the answer is not whole
        return ()
    return reader.whole(bytes(body))
