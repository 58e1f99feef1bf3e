"""One chat request at one provider: attempt 0 and the attempts that continue its cut choices.

Joins the parts: what is asked (`guard.chat.continuation`, `fields`), who asks it (`caller`), who reads it (`answer`,
`guard.chat.reader`). Knows no policies and no clients. Rules:
  Every choice is a call of its own: few providers know `n`, and litellm loses all finishes but the first.
  A cut answer is gone on with, as the provider's last message, only where the model is known to do so and nothing that
  is signed, open or structured stands in the way; what refuses that, or begins anew, is asked again.
  Nothing is yielded before the first event; closing the iterator closes the connections.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from guard.backends import Batch
from guard.backends.litellm import thinking
from guard.backends.litellm.fields import arguments
from guard.backends.litellm.options import LiteLLMOptions
from guard.backends.litellm.together import together
from guard.chat import continuation
from guard.chat.asked import Telling
from guard.chat.continuation import Call
from guard.chat.opening import Opening
from guard.chat.prefill import Dialect
from guard.chat.reader import Reader
from guard.chat.tags import TagSplitter
from guard.core.types import Resume
from guard.errors import UpstreamError

if TYPE_CHECKING:
    from guard.backends.litellm.answer import Answer
    from guard.backends.litellm.caller import Caller

TAGS = ("<think>", "</think>")
"""Where a server leaves reasoning in the content, litellm does too."""

_MARKED = frozenset({"deepseek", "mistral"})  # `prefix: true` on the message


class _Refused(Exception):
    """The provider will not go on with the message it was given; nothing of its answer was handed on."""


def prefills(options: LiteLLMOptions, caller: Caller) -> bool:
    """Whether a cut answer is gone on with in place, where the request allows it."""
    if options.continuation == "reask" or caller.prefill_refused:
        return False
    return caller.prefill is True or (options.continuation == "field_prefill" and caller.prefill is None)


class LiteLLMTurn:
    """See `guard.backends.Turn`. Holds the signed reasoning of each choice's latest attempt."""

    def __init__(self, told: Telling, options: LiteLLMOptions, caller: Caller) -> None:
        self._request = told.request
        self._told = told
        self._options = options
        self._caller = caller
        self._headers: Mapping[str, str] = {}
        self._forms: dict[int, str] = {}
        self._blocks: dict[int, Sequence[Mapping[str, Any]]] = {}
        self._answers: set[Answer] = set()

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers of attempt 0 worth passing on."""
        return self._headers

    async def attempt(self, number: int, choice: int = 0, resume: Resume | None = None) -> AsyncIterator[Batch]:
        """Run one upstream call, or `n` for attempt 0; see `guard.backends.Turn.attempt`."""
        async with aclosing(self._attempt(number, choice, resume)) as batches:
            async for batch in batches:
                yield batch

    async def close(self) -> None:
        """Cut every connection of this turn."""
        for answer in tuple(self._answers):
            await answer.close()

    def _attempt(self, number: int, choice: int, resume: Resume | None) -> AsyncGenerator[Batch, None]:
        if resume is not None:
            return self._continued(number, choice, resume)
        calls = [self._called(number, index, self._first(index)) for index in range(self._request.n)]
        return calls[0] if len(calls) == 1 else together(calls)

    def _first(self, choice: int) -> Call:
        call = continuation.first(self._request, None)
        if choice and isinstance(seed := call.body.get("seed"), int):
            call.body["seed"] = seed + choice
        return call

    async def _continued(self, number: int, choice: int, resume: Resume) -> AsyncGenerator[Batch, None]:
        for call in self._ways(choice, resume):
            try:
                async with aclosing(self._called(number, choice, call)) as batches:
                    async for batch in batches:
                        yield batch
                return
            except _Refused:
                continue

    def _ways(self, choice: int, resume: Resume) -> list[Call]:
        """The calls that continue a cut choice, in the order they are tried; the last is the last word."""
        request, form = self._request, self._forms.get(choice, "")
        signed = self._signed()
        if resume.calls:
            again = continuation.goes_on_after_tools(resume)
            ask = continuation.reask if again else continuation.tool_answers
            call = ask(request, None, choice, resume, "" if signed else form)
            return [self._with_reasoning(call, choice) if signed else call]
        reask = continuation.reask(request, None, choice, resume)
        prefill = self._prefill(choice, resume, form)
        return [reask] if prefill is None else [prefill, reask]

    def _prefill(self, choice: int, resume: Resume, form: str) -> Call | None:
        """The call that goes on in place, or None where that cannot be had."""
        body = self._request.body
        kind = body.get("response_format") or {}
        structured = not isinstance(kind, Mapping) or kind.get("type", "text") != "text"
        if not prefills(self._options, self._caller) or resume.restart or structured:
            return None
        marked = self._caller.provider in _MARKED
        reasons = thinking.asked(body) or bool(resume.kept.get("reasoning"))
        if resume.open_channel != "content" or (reasons and not marked):
            return None
        dialect: Dialect = "prefix" if marked else "trailing"
        return continuation.prefilled(self._request, None, choice, resume, dialect, form, "")

    def _signed(self) -> bool:
        return self._caller.provider == "anthropic" or "claude" in self._options.model.lower()

    def _with_reasoning(self, call: Call, choice: int) -> Call:
        return thinking.returned(call, self._blocks.get(choice, ())) if thinking.asked(call.body) else call

    async def _called(self, number: int, choice: int, call: Call) -> AsyncGenerator[Batch, None]:
        """The batches of one call. Raises _Refused before the first if it was to go on in place and does not."""
        answer = await self._opened(number, call)
        self._answers.add(answer)
        self._blocks[choice] = answer.blocks.whole  # it grows as they come
        opening = None if call.told is None else Opening("content", call.told)
        reader = self._reader(number, choice, call)
        try:
            async with aclosing(self._read(answer, reader, choice)) as batches:
                async for batch in batches:
                    if opening is None:
                        yield batch
                    elif opening.astray:
                        break
                    elif batch := opening.feed(batch):
                        yield batch
            if opening is not None and (batch := () if opening.astray else opening.end()):
                yield batch
            if opening is not None and opening.astray:
                self._caller.prefill_refused = True
                raise _Refused
            if reader.error is not None:
                raise reader.error
        finally:
            self._answers.discard(answer)
            await answer.close()

    async def _read(self, answer: Answer, reader: Reader, choice: int) -> AsyncGenerator[Batch, None]:
        several = {"id": self._request.id, "created": self._request.created} if self._request.n > 1 else {}
        while reader.error is None and (event := await answer.read(choice, **several)):
            if batch := reader.feed(event):
                yield batch
        if reader.error is None and (batch := reader.finish()):
            yield batch

    async def _opened(self, number: int, call: Call) -> Answer:
        scheme, _, bearer = self._request.headers.get("authorization", "").partition(" ")
        key = bearer.strip() if scheme.lower() == "bearer" else ""
        try:
            answer, headers = await self._caller.ask(arguments(call.body, self._options.pass_fields), key or None)
        except UpstreamError as error:
            if call.told is None or error.status not in (400, 422):
                raise
            # Any other fault of the request will be found again by asking anew.
            self._caller.prefill_refused = self._caller.prefill_refused or _about_prefill(str(error))
            raise _Refused from None
        if number == 0 and not self._headers:
            self._headers = headers
        return answer

    def _reader(self, number: int, choice: int, call: Call) -> Reader:
        return Reader(
            number,
            {choice: choice},
            where=self._caller.where,
            splitter=lambda: TagSplitter(TAGS, "undecided"),
            forms=self._forms,
            continuation=call.continuation,
            hide=self._told.hide,
            most=self._told.most,
            top=self._request.top_logprobs,
        )


def _about_prefill(words: str) -> bool:
    return any(word in words.lower() for word in ("prefill", "must end with a user", "last message"))
