"""One call to a model: a whole answer, its tool calls, and what it cost.

Knows backends; does not know who is asked or why. Rules: an answer that breaks off is an error, never a shorter one.
What was read and written is counted also where the answer was not awaited. A server that is busy (429) or down for a
moment is asked again, after as long as it says, and then no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from guard.backends import Backend, Batch, ChatRequest, Usage, estimate_tokens
from guard.core.events import Delta, Finished, ToolDelta
from guard.core.types import ToolCall
from guard.core.usage import Ledger
from guard.errors import GuardError, UpstreamDisconnected, UpstreamError

PATIENCE = (1.0, 5.0, 20.0)
"""Seconds before a busy server that names none is asked again; it is asked again no more than so many times."""

LONGEST_WAIT = 60.0
"""Seconds; a server that wants longer is given up for now."""

_BUSY = (429, 502, 503, 504, 529)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What calls cost: tokens read and written; `estimated` where any count is a guess."""

    calls: int = 0
    prompt: int = 0
    completion: int = 0
    estimated: bool = False

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            calls=self.calls + other.calls,
            prompt=self.prompt + other.prompt,
            completion=self.completion + other.completion,
            estimated=self.estimated or other.estimated,
        )

    @property
    def total(self) -> int:
        """Read and written."""
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A whole answer; `finish` is the server's `finish_reason`, `form` the field that its reasoning came in."""

    reasoning: str
    form: str
    content: str
    calls: Sequence[ToolCall]
    finish: str
    tokens: Tokens


@dataclass(slots=True)
class _Hearing:
    """An answer as it comes in."""

    ledger: Ledger
    reasoning: list[str] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    form: str = ""
    finish: str = ""

    def take(self, batch: Batch) -> None:
        for item in batch:
            if isinstance(item, Usage):
                self.ledger.counts(0, 0, item.counts)
            elif isinstance(event := item[1], Delta):
                self.ledger.text(0, 0, len(event.text), len(event.tokens))
                (self.reasoning if event.channel == "reasoning" else self.content).append(event.text)
                self.form = self.form or (event.form.partition("+")[0] if event.channel == "reasoning" else "")
            elif isinstance(event, ToolDelta):
                self._call(event)
            elif isinstance(event, Finished):
                self.finish = event.reason or "stop"

    def _call(self, event: ToolDelta) -> None:
        self.ledger.text(0, 0, len(event.name) + len(event.arguments), 0)
        parts = self.calls.setdefault(event.index, ["", "", ""])
        for place, text in enumerate((event.id, event.name, event.arguments)):
            parts[place] += text

    @property
    def tokens(self) -> Tokens:
        total = self.ledger.total({})
        estimated = bool(total["guard"].get("estimated"))
        prompt, completion = total["prompt_tokens"], total["completion_tokens"]
        return Tokens(calls=1, prompt=prompt, completion=completion, estimated=estimated)

    def said(self) -> Said:
        if not self.finish:
            raise UpstreamDisconnected("the model's server ended its answer without finishing it")
        calls = [
            ToolCall(index=index, id=parts[0] or f"call_{index}", name=parts[1], arguments=parts[2])
            for index, parts in sorted(self.calls.items())
        ]
        return Said(
            reasoning="".join(self.reasoning),
            form=self.form,
            content="".join(self.content),
            calls=calls,
            finish=self.finish,
            tokens=self.tokens,
        )


class Caller:
    """Asks one model, so many calls at a time and no more; `spent` is what all calls cost, broken ones too.

    Args:
        model: what the backend is asked for where its options name no model.
        fields: what every request carries besides; None leaves a field out that it would carry.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        model: str,
        at_once: int,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.backend = backend
        self.model = model
        self.spent = Tokens()
        self._fields = fields or {}
        self._turns = asyncio.Semaphore(at_once)

    async def ask(self, body: Mapping[str, Any]) -> Said:
        """One answer to a chat request. Raises GuardError."""
        whole = {"model": self.model, **body, **self._fields}
        request = ChatRequest(body={name: value for name, value in whole.items() if value is not None})
        for pause in PATIENCE:
            try:
                return await self._once(request)
            except UpstreamError as error:
                wait = _wanted(error, pause)
                if error.status not in _BUSY or wait > LONGEST_WAIT:
                    raise
            await asyncio.sleep(wait)
        return await self._once(request)

    async def _once(self, request: ChatRequest) -> Said:
        async with self._turns:
            turn = self.backend.begin(request)
            stream = turn.attempt(0)
            hearing = _Hearing(Ledger(prompt=_prompt_tokens(request)))
            hearing.ledger.open(0)
            refused = began = False
            try:
                async for batch in stream:
                    began = True
                    hearing.take(batch)
                return hearing.said()
            except GuardError:
                refused = not began  # a call that was refused cost nothing
                raise
            finally:
                self.spent += Tokens() if refused else hearing.tokens
                if (close := getattr(stream, "aclose", None)) is not None:
                    await close()
                await turn.close()


def _wanted(error: UpstreamError, otherwise: float) -> float:
    """How long the server wants to be left alone, in seconds."""
    try:
        return max(0.0, float(error.headers["retry-after"]))
    except (KeyError, ValueError):
        return otherwise


def _prompt_tokens(request: ChatRequest) -> int:
    return sum(estimate_tokens(str(message.get("content") or "")) for message in request.messages)
