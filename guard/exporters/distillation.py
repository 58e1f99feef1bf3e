"""Distillation from what was logged: a prompt-completion row, with the distribution each token was sampled from.

Knows interruption records and the target model's tokenizer; knows neither store nor files. Rules:

- No flagged claim is a target in any row; the row's text is that of `prompt_completion`.
- What the model wrote stands in the very tokens it was sampled in, so the target model must have the policy model's
  vocabulary: a row whose stored tokens do not decode to its text is not written.
- A token that guard or the template put in is certain: its own id with log-probability 0.
- Where an upstream told a sampled token's log-probability and no alternatives, that one is the distribution. What is
  missing to 1 is the rest of the vocabulary's, and the trainer's affair.
- A target that was worded for the row and never said has no distribution: no row.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.core.types import Spelled, Token
from guard.errors import ConfigError
from guard.exporters import Row
from guard.targets.example import Example, build
from guard.targets.rendering import demand_template, render
from guard.targets.rows import context_pieces, joined_text, origin, target_pieces
from guard.targets.selection import counted, select
from guard.targets.tokens import Piece, labelled, spell, spells

Top = dict[int, float]
"""Token ids and their log-probabilities, best first."""


class Distillation:
    """The exporter. `policy` says what "I do not know that." reads like."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy(name="default")

    def select(
        self, records: Iterable[InterruptionRecord], *, unreviewed: bool = False, trusted: Collection[str] = ()
    ) -> Iterator[InterruptionRecord]:
        """`guard.targets.selection.select`."""
        return select(records, unreviewed=unreviewed, trusted=trusted)

    def rows(
        self,
        records: Iterable[InterruptionRecord],
        *,
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """One row a record, in order: `prompt`, `completion`, `input_ids`, `labels` (-100 on all context),
        `completion_mask`, and aligned with them `top_ids` and `top_logprobs`: for each target token the ids and their
        log-probabilities in nats before temperature, best first; [] on context.

        Raises:
            ConfigError: there is no tokenizer, or it has no chat template.
        """
        if tokenizer is None:
            raise ConfigError("distillation rows are token ids: name the policy model's tokenizer with --tokenizer")
        demand_template(tokenizer)
        yield from counted((self._row(record, tokenizer) for record in records), skipped)

    def _row(self, record: InterruptionRecord, tokenizer: Any) -> dict[str, Any] | str:
        example = build(record, self._policy)
        if isinstance(example, str):
            return example
        if example.target.synthesised:
            return "never said"
        row = _token_row(example, tokenizer)
        return row if isinstance(row, str) else origin(record) | {"ended": example.target.end} | row


plugin = Distillation()


def _token_row(example: Example, tokenizer: Any) -> dict[str, Any] | str:
    rendered = render(example, tokenizer)
    if rendered is None:
        return "chat template"
    stored = _stored(example)
    if isinstance(stored, str):
        return stored
    wanted = target_pieces(example.target, rendered)
    pieces = (*context_pieces(example, rendered), *wanted)
    told = (None, None, None, stored[0], None, stored[1], None)
    ids = _spelt(pieces, told, tokenizer)
    if ids is None:
        return "tokens do not match"
    tops = [top for each in zip(pieces, told, ids, strict=True) for top in _tops(*each, len(tokenizer))]
    mask = [int(piece.trained) for piece, new in zip(pieces, ids, strict=True) for _ in new]
    if any(trained and not top for trained, top in zip(mask, tops, strict=True)):
        return "no log-probabilities"
    return (
        {"prompt": rendered.prompt, "completion": joined_text(wanted)}
        | labelled(list(chain(*ids)), mask)
        | {"top_ids": [list(top) for top in tops], "top_logprobs": [list(top.values()) for top in tops]}
    )


def _stored(example: Example) -> tuple[Sequence[Token], Sequence[Token]] | str:
    """The tokens that the target's model text was sampled in, of the open channel and of the answer; or what is
    missing."""
    target, closing = example.target, example.record.closing
    if closing is None or not (target.followed or target.answer):
        return "no model text"
    both = (_within(closing.followed_tokens, target.followed), _within(closing.answer_tokens, target.answer))
    missing = any(text and not tokens for text, tokens in zip((target.followed, target.answer), both, strict=True))
    if missing or any(token.id < 0 for tokens in both for token in tokens):
        return "no token ids"
    return both


def _within(spelled: Spelled, text: str) -> list[Token]:
    return [token for at, token in spelled if at < len(text)]


def _spelt(pieces: Sequence[Piece], told: Sequence[Sequence[Token] | None], tokenizer: Any) -> list[list[int]] | None:
    """The ids of each piece, those it was sampled in where they are told; None if they do not decode to the text."""
    try:
        ids = [
            spell(piece, tokenizer) if tokens is None else [token.id for token in tokens]
            for piece, tokens in zip(pieces, told, strict=True)
        ]
        exact = spells(list(chain(*ids)), joined_text(pieces), tokenizer)
    except (UnicodeError, TypeError, OverflowError):
        return None  # a lone surrogate, or an id that no vocabulary has
    return ids if exact else None


def _tops(piece: Piece, tokens: Sequence[Token] | None, ids: Sequence[int], vocabulary: int) -> list[Top]:
    """The distribution over each token of a piece."""
    if not piece.trained:
        return [{} for _ in ids]
    return [{id_: 0.0} for id_ in ids] if tokens is None else [_top(token, vocabulary) for token in tokens]


def _top(token: Token, vocabulary: int) -> Top:
    """A token's distribution as far as it is known; an output beyond the vocabulary is no token."""
    told = token.top or (() if token.logprob is None else ((token.id, token.logprob),))
    return {id_: logprob for id_, logprob in told if 0 <= id_ < vocabulary and math.isfinite(logprob)}
