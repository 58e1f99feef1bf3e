"""What a run will cost, as far as that can be told, and what it cost.

Before: transcripts still to write and to review, times the tokens of those that the journal has; where it has none,
times a stated assumption. After: tokens by role, and money where prices are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.backends import estimate_tokens
from guard.errors import ConfigError
from guard.train.transcripts.caller import Tokens

WRITTEN = 400
"""Tokens of reasoning and answer that a call is taken to write, before any was measured."""

JUDGED = 900
"""Tokens that a verdict is taken to read beside the transcript, and to write: the prompt, the criterion, the form."""

ROUNDS = 2
"""Calls that a transcript with tools is taken to need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Money for a million tokens read, and written."""

    read: float = 0.0
    written: float = 0.0

    def of(self, tokens: Tokens) -> float:
        """What they cost."""
        return (tokens.prompt * self.read + tokens.completion * self.written) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """`write` and `review`: how many are still to do; tokens by role; `measured`: not assumed."""

    write: int
    review: int
    generator: int
    reviewer: int
    measured: bool

    @property
    def total(self) -> int:
        """Tokens in all."""
        return self.generator + self.reviewer

    def __str__(self) -> str:
        basis = "by those written before" if self.measured else "assumed, nothing is measured yet"
        told = f"{self.write} transcripts to write and {self.review} to review: about {self.generator} tokens for the "
        if self.review and not self.reviewer:
            return f"{told}generator ({basis}); reviewed by rules, costs nothing"
        return f"{told}generator and {self.reviewer} for the reviewer ({basis})"


def estimate(
    to_write: Sequence[str],
    to_review: int,
    judged: int,
    rounds: int,
    made: Sequence[Tokens],
    reviewed: Sequence[Tokens],
) -> Estimate:
    """What is still to come.

    Args:
        to_write: the prompts of transcripts still to be written; `to_review`: how many are to be reviewed.
        judged: criteria that a model decides; `rounds`: of tools, at most (0: none).
        made, reviewed: what the ones in the journal took.
    """
    calls = min(rounds + 1, ROUNDS) if rounds else 1
    each = [calls * (estimate_tokens(prompt) + WRITTEN) for prompt in to_write]
    generator = _mean(made) * len(to_write) if made else sum(each)
    shown = _mean(made) if made else sum(each) / len(each) if each else WRITTEN
    verdicts = _mean(reviewed) * to_review if reviewed else to_review * judged * (shown + JUDGED)
    return Estimate(
        write=len(to_write),
        review=to_review,
        generator=round(generator),
        reviewer=round(verdicts),
        measured=bool(made or not to_write) and bool(reviewed or not judged),
    )


def _mean(tokens: Sequence[Tokens]) -> float:
    return sum(each.total for each in tokens) / len(tokens)


def affordable(expected: Estimate, budget: int, agreed: bool) -> None:
    """Raises ConfigError where more is expected than the budget and nobody has agreed to it."""
    if expected.total > budget and not agreed:
        raise ConfigError(
            f"about {expected.total} tokens are expected and --budget-tokens is {budget}: say --yes to spend them, or "
            "try a few with --n first, after which the estimate is measured"
        )


def bill(spent: Mapping[str, Tokens], prices: Mapping[str, Prices]) -> dict[str, Any]:
    """Tokens by role, and money where there are prices; `estimated` where a server did not tell its counts."""
    told: dict[str, Any] = {}
    for role, tokens in spent.items():
        told[role] = {
            "calls": tokens.calls,
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.completion,
            "estimated": tokens.estimated,
        }
        if role in prices:
            told[role]["cost"] = round(prices[role].of(tokens), 6)
    if prices:
        told["cost"] = round(sum(told[role]["cost"] for role in spent if role in prices), 6)
    return told
