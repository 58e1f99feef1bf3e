"""Pieces of a raw text as OpenAI's `text_completion` chunks, and as one answer. Pure, like `wire`, whose rules hold.

Several prompts share a response: the choices of the k-th come behind those of the ones before it. An upstream's chunk
passes as it came only where there is one prompt, for in others its index and id are another answer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.core.events import Finish, Piece
from guard.server.wire import DONE, VERSION, Chunk, Identity, error_body, guard_field, sse, unasked


class CompletionEncoder:
    """Encodes one streamed response; see `reply.Encoder`. `alone`: the request has one prompt."""

    def __init__(self, identity: Identity, *, alone: bool, include_usage: bool = False) -> None:
        self._identity = identity
        self._alone = alone
        self._include_usage = include_usage

    def piece(self, choice: int, piece: Piece) -> bytes:
        """One piece as it goes over the wire."""
        if self._alone and piece.raw is not None and piece.guard is None:
            self._identity.learn(piece.raw)
            return self._passed(piece.raw)
        entry = _entry(choice, piece.text, None, _logprobs(piece.logprobs))
        guard = {"guard": guard_field(piece.guard)} if piece.guard else {}
        return sse(self._head() | {"choices": [entry]} | guard)

    def finish(self, choice: int, finish: Finish) -> bytes:
        """The end of a choice; an error frame if it failed."""
        if finish.error is not None:
            return sse(error_body(finish.error, kind="upstream_error", code=str(finish.status)))
        if self._alone and finish.raw is not None:
            return self._passed(finish.raw)
        return sse(self._head() | {"choices": [_entry(choice, "", finish.reason, None)]})

    def end(self, usage: Mapping[str, Any]) -> bytes:
        """The usage chunk, if the client asked for it, and `[DONE]`."""
        told = sse(self._head() | {"choices": [], "usage": usage}) if self._include_usage else b""
        return told + DONE

    def _passed(self, raw: Any) -> bytes:
        return bytes(raw) if self._include_usage else unasked(raw)

    def _head(self) -> Chunk:
        return {"object": "text_completion", **self._identity.fields}


class CompletionCollector:
    """The same pieces as one `text_completion`; see `reply.Collecting`."""

    def __init__(self, identity: Identity, n: int, *, alone: bool) -> None:
        self._identity = identity
        self._alone = alone
        self._texts: list[list[str]] = [[] for _ in range(n)]
        self._logprobs: list[dict[str, list[Any]]] = [{} for _ in range(n)]
        self._reasons: list[str | None] = [None] * n
        self.events: list[dict[str, Any]] = []

    def piece(self, choice: int, piece: Piece) -> None:
        """Take a piece of a choice."""
        if self._alone:
            self._identity.learn(piece.raw)
        if piece.guard is not None:
            self.events.append({**guard_field(piece.guard), "choice": choice})
        self._texts[choice].append(piece.text)
        for name, entries in (_logprobs(piece.logprobs) or {}).items():
            if isinstance(entries, list):
                self._logprobs[choice].setdefault(name, []).extend(entries)

    def finish(self, choice: int, finish: Finish) -> None:
        """The choice is over."""
        self._reasons[choice] = finish.reason

    def answer(self, usage: Mapping[str, Any]) -> Chunk:
        """The whole response; `guard` lists what was told on the way, in order."""
        choices = [
            _entry(index, "".join(texts), self._reasons[index], self._logprobs[index] or None)
            for index, texts in enumerate(self._texts)
        ]
        guard = {"guard": {"v": VERSION, "events": self.events}} if self.events else {}
        return {"object": "text_completion", **self._identity.fields, "choices": choices, "usage": usage} | guard


def summed(usages: list[dict[str, Any]]) -> dict[str, Any]:
    """One `usage` for the prompts of a request: numbers add up, nested ones too; flags hold if any does."""
    total: dict[str, Any] = {}
    for usage in usages:
        for name, value in usage.items():
            old = total.get(name)
            if isinstance(value, Mapping):
                total[name] = summed([dict(old) if isinstance(old, Mapping) else {}, dict(value)])
            elif _is_number(value):
                total[name] = (old if _is_number(old) else 0) + value
            elif not isinstance(old, Mapping) and not _is_number(old):
                total[name] = value or old
    return total


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _entry(index: int, text: str, reason: str | None, logprobs: Any) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}


def _logprobs(told: Any) -> dict[str, Any] | None:
    """Completions' parallel lists; from chat's list of tokens where a backend tells it so."""
    if not isinstance(told, dict):
        return None
    tokens = told.get("content")
    if not isinstance(tokens, list):
        return told
    return {
        "tokens": [token["token"] for token in tokens],
        "token_logprobs": [token["logprob"] for token in tokens],
        "top_logprobs": [{top["token"]: top["logprob"] for top in token.get("top_logprobs", ())} for token in tokens],
    }
