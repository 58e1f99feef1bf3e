"""The ways in which one cut choice can go on, best first.

Decides; what is sent is `continuation`'s. Rules:
  The first way that keeps what the request asked for: `token_exact`, `text_exact`, `field_prefill`, `reask`, beginning
  at what the options name. Calls that were made are answered; what was asked for anew is asked for again.
  A raw completion loses the server's parsers for tools and formats; a prefilled message loses formats only, which a
  server would apply from the middle of the text.
  A way that the server refuses before its first byte is followed by the next one, for this request; for all others too
  where the route is absent, or after several refusals in a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from guard.backends import ChatRequest
from guard.backends.openai.options import OpenAIOptions
from guard.backends.openai.probe import Open
from guard.backends.openai.prober import Prober
from guard.backends.openai.template import Template, TemplateError
from guard.backends.openai.upstream import Upstream
from guard.chat import asked, continuation
from guard.chat.continuation import Call
from guard.chat.tokens import Tape, splice
from guard.core.types import Resume
from guard.errors import UpstreamError

UNKNOWN_BUDGET = 8192
"""Tokens asked for where neither the request nor the server names a limit: `/completions` would stop after 16."""

_MARGIN = 8  # tokens by which a server's count of a prompt may exceed ours
_ABSENT = (404, 405, 501)
_REFUSED = (400, 422, *_ABSENT)


class Way(NamedTuple):
    """A request that continues the turn, and where the token ids of its answer go."""

    call: Call
    tape: Tape | None = None


class Ways:
    """Those of one chat request."""

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
        self._template = template
        self._prober = prober
        self._model = options.model or str(request.body.get("model", ""))
        self._refused: set[tuple[str, Open | None]] = set()

    async def of(self, choice: int, resume: Resume, form: str, tape: Tape | None) -> AsyncGenerator[Way, None]:
        """The ways for one cut. `form`: the field reasoning came in, `tape`: the choice's token ids so far."""
        request, model = self._request, self._options.model
        if request.prompt is not None:
            yield Way(continuation.raw(request, model, choice, resume))
            return
        if resume.calls and not continuation.goes_on_after_tools(resume):
            yield Way(continuation.tool_answers(request, model, choice, resume, form))
            return
        if not resume.restart and self._options.continuation != "reask":
            if not resume.calls and (way := await self._from_ids(choice, resume, tape)) is not None:
                yield way
            if not resume.calls and (call := await self._exact(choice, resume)) is not None:
                yield Way(call)
            if (call := await self._prefilled(choice, resume, form)) is not None:
                yield Way(call)
        yield Way(continuation.reask(request, model, choice, resume, form))

    def worked(self, call: Call) -> None:
        """The server has taken it."""
        if call.route == "completions":
            self._upstream.completions.clear()
        if call.continuation == "token_exact":
            self._upstream.ids.clear()

    def refused(self, call: Call, resume: Resume, error: UpstreamError) -> None:
        """Step down from this way; raise the error if it is about something else, or if there is no other way."""
        if call.continuation not in ("token_exact", "text_exact", "field_prefill") or self._request.prompt is not None:
            raise error
        if error.status not in _REFUSED:
            raise error
        if call.told is not None:
            self._refused.add((call.continuation, _open(resume)))
            if error.status in _ABSENT or self._options.prefill != "auto":
                self.astray(resume, f"refused with {error.status}")
            else:
                self._prober.refused(_open(resume), self._model)
            return
        self._refused.add((call.continuation, None))
        if error.status not in _ABSENT:
            (self._upstream.ids if call.continuation == "token_exact" else self._upstream.completions).strike()
        elif call.route == "completions":
            self._upstream.completions.condemn()
        else:
            self._upstream.ids.condemn()

    def went_on(self, resume: Resume) -> None:
        """The server has gone on with a prefilled message."""
        self._prober.went_on(_open(resume), self._model)

    def astray(self, resume: Resume, why: str = "it was believed and began anew") -> None:
        """The server does not go on with a prefilled message after all."""
        self._prober.distrust(_open(resume), self._model, why)

    async def _from_ids(self, choice: int, resume: Resume, tape: Tape | None) -> Way | None:
        """The request that continues from the very token ids, or None where they were not told or would not do."""
        request, template, route = self._request, self._template, self._options.token_route
        if tape is None or template is None or self._upstream.ids.refused or request.prefix:
            return None
        if ("token_exact", None) in self._refused:
            return None
        if asked.wants_format(request.body) or not asked.is_text(request):
            return None
        if route == "completions" and (asked.wants_tools(request.body) or self._upstream.completions.refused):
            return None
        spliced = await asyncio.to_thread(splice, tape, resume, self._options.tags, template.encode, template.decode)
        if spliced is None:
            return None
        ids, onward = spliced
        if route == "input_ids":
            call = continuation.from_ids(request, self._options.model, choice, resume, ids)
        else:
            budget = await self._budget(resume, len(ids))
            call = continuation.exact(request, self._options.model, choice, resume, ids, budget)
        return Way(continuation.with_ids(call), onward)

    async def _exact(self, choice: int, resume: Resume) -> Call | None:
        """The request that continues from the very text, or None where that cannot be had."""
        template = self._template
        if template is None or not template.renders or self._options.continuation == "field_prefill":
            return None
        if self._upstream.completions.refused or ("text_exact", None) in self._refused:
            return None
        messages = asked.plain_messages(self._request)
        if messages is None:
            return None
        kept = asked.full(self._request, resume)
        variables = asked.template_variables(self._request.body)
        try:
            prompt, size = await asyncio.to_thread(template.prompt, messages, kept, resume.open_channel, variables)
        except TemplateError:  # the other ways need no template
            return None
        budget = await self._budget(resume, size)
        return continuation.exact(self._request, self._options.model, choice, resume, prompt, budget)

    async def _budget(self, resume: Resume, size: int) -> int:
        """Tokens left in the server's context behind a prompt of `size`, where the request set no limit."""
        if resume.max_tokens is not None:
            return UNKNOWN_BUDGET
        context = await self._upstream.learn_context(self._model or None, self._request.headers)
        return UNKNOWN_BUDGET if context is None else max(1, context - size - _MARGIN)

    async def _prefilled(self, choice: int, resume: Resume, form: str) -> Call | None:
        """The request that has the last message gone on with, or None where the server is not known to do so."""
        request, channel = self._request, _open(resume)
        if asked.wants_format(request.body) or not asked.full(request, resume)[channel].strip():
            return None
        if resume.calls and channel == "reasoning":
            return None
        if ("field_prefill", channel) in self._refused:
            return None
        ability = await self._prober.ability(channel, self._model, request.headers)
        if ability.dialect is None or (ability.inline and not form.startswith("inline")):
            return None
        opening = self._options.tags[0]
        return continuation.prefilled(request, self._options.model, choice, resume, ability.dialect, form, opening)


def _open(resume: Resume) -> Open:
    return "reasoning" if resume.open_channel == "reasoning" else "content"
