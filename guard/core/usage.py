"""What a response cost: the sum over its attempts, and what of it the client was delivered.

Counts come from upstreams; where one sent none (a cut attempt never gets that far), they are estimated and the total
says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class _Attempt:
    characters: int = 0
    tokens: int = 0
    counts: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Ledger:
    """Counts of one response. `prompt` is an estimate of its prompt's tokens, for want of anything better."""

    prompt: int = 0
    _attempts: dict[tuple[int, int], _Attempt] = field(default_factory=dict)

    def open(self, attempt: int, choice: int = 0) -> None:
        """An upstream call was made; attempt 0 is one call for all choices."""
        self._attempts.setdefault((attempt, choice if attempt else 0), _Attempt())

    def text(self, attempt: int, choice: int, characters: int, tokens: int) -> None:
        """Text arrived; `tokens` is 0 where the upstream does not say."""
        entry = self._attempts[attempt, choice if attempt else 0]
        entry.characters += characters
        entry.tokens += tokens

    def counts(self, attempt: int, choice: int, counts: Mapping[str, Any]) -> None:
        """The upstream's own `usage` of an attempt."""
        self._attempts[attempt, choice if attempt else 0].counts = counts

    def total(self, guard: Mapping[str, Any]) -> dict[str, Any]:
        """The `usage` object: attempts summed (nested counts too), and `guard`, with `delivered` and `estimated`."""
        total: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        prompt = next((e.counts["prompt_tokens"] for e in self._attempts.values() if e.counts), self.prompt)
        estimated = False
        for entry in self._attempts.values():
            counts, guessed = _counted(entry, prompt)
            estimated = estimated or guessed
            _add(total, counts)
        discarded = guard.get("discarded_tokens", 0)
        calls = len(self._attempts)
        completion = max(0, total["completion_tokens"] - discarded)
        delivered = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        extra = {"delivered": delivered, **({"estimated": True} if estimated else {})} if calls else {}
        return total | {"guard": {**guard, **extra}}


def _counted(entry: _Attempt, prompt: int) -> tuple[Mapping[str, Any], bool]:
    if entry.counts is not None:
        return entry.counts, False
    completion = entry.tokens or -(-entry.characters // 4)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }, not entry.tokens


def _add(total: dict[str, Any], counts: Mapping[str, Any]) -> None:
    for name, value in counts.items():
        if isinstance(value, Mapping):
            inner = total.setdefault(name, {})
            if isinstance(inner, dict):
                _add(inner, value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            total[name] = (total.get(name) or 0) + value
        else:
            total.setdefault(name, value)
