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

    def total(self, guard: Mapping[str, Any], delivered: int | None = None) -> dict[str, Any]:
        """The `usage` object.

        Args:
            guard: what goes into `usage.guard`.
            delivered: tokens of the text the client ended up with, where attempts do not simply add up to it.

        Attempts are summed, nested counts too. `guard` gains `delivered`, the price of one plain turn, and
        `estimated` if any count is a guess.
        """
        total: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        first = self._attempts.get((0, 0), _Attempt())
        known = (first.counts or {}).get("prompt_tokens")
        prompt = known if isinstance(known, int) else self.prompt
        estimated = delivered is not None and not first.tokens
        for entry in self._attempts.values():
            counts, guessed = _counted(entry, prompt)
            estimated = estimated or guessed
            _add(total, counts)
        completion = total["completion_tokens"] if delivered is None else delivered
        plain = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return total | {"guard": {**guard, "delivered": plain, **({"estimated": True} if estimated else {})}}


def _counted(entry: _Attempt, prompt: int) -> tuple[Mapping[str, Any], bool]:
    """An attempt's counts, whole: what the upstream said, completed by what was counted on the way."""
    told = entry.counts or {}
    if "completion_tokens" in told and "prompt_tokens" in told:
        return told, False
    completion = entry.tokens or -(-entry.characters // 4)
    before = told.get("prompt_tokens", prompt)
    counts = {"prompt_tokens": before, "completion_tokens": completion, "total_tokens": before + completion}
    return {**counts, **told}, not (entry.tokens and "prompt_tokens" in told)


def _add(total: dict[str, Any], counts: Mapping[str, Any]) -> None:
    for name, value in counts.items():
        if isinstance(value, Mapping):
            if total.get(name) is None:  # a count that one attempt leaves open may be told by another
                total[name] = {}
            if isinstance(inner := total[name], dict):
                _add(inner, value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            total[name] = (total.get(name) or 0) + value
        else:
            total.setdefault(name, value)
