"""TRL's prompt-completion: the conversation with the bad claim as context, the correction as the target.

Knows interruption records and, where one is given, the target model's tokenizer; knows neither store nor
files. Rules:

- No flagged claim is a target in any row. The completion is what guard put in and what the model wrote
  after it; a record whose correction quotes the claim gives no row, and a continuation ends before it
repeats the claim. - The end of the turn is a target only where the continuation reached it. TRL adds an
  end-of-sequence token to a `completion` that has none, but leaves a row with `input_ids` as it is: train
on those. - A row is text-exact: its tokens decode to `prompt` + `completion`, or it is not written.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.errors import ConfigError
from guard.exporters import Row
from guard.exporters.prompt_completion.example import IN_PLACE, Example, build
from guard.exporters.prompt_completion.rendering import render
from guard.exporters.prompt_completion.tokens import Piece, encode

IGNORED = -100
"""The label of a token that is not trained."""


def select(
    records: Iterable[InterruptionRecord], *, unreviewed: bool = False, trusted: Collection[str] = ()
) -> Iterator[InterruptionRecord]:
    """The records to train on: corrected, continued in place, and confirmed by a reviewer.

    `unreviewed` admits what nobody has looked at, `trusted` what these checks found (those whose reviewed
    precision is high enough). What a reviewer rejected is never admitted.
    """
    for record in records:
        closing, check = record.closing, record.interruption.check
        free = record.review == "unreviewed" and (unreviewed or check in trusted)
        good = closing and closing.outcome == "corrected" and closing.continuation in IN_PLACE
        if good and (free or record.review == "confirmed"):
            yield record


class PromptCompletion:
    """The exporter. `policy` words what was never said: a retraction's "No, ...", and "I do not know
    that."."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy(name="default")

    def select(
        self, records: Iterable[InterruptionRecord], *, unreviewed: bool = False, trusted: Collection[str] = ()
    ) -> Iterator[InterruptionRecord]:
        """`select`, above."""
        return select(records, unreviewed=unreviewed, trusted=trusted)

    def rows(
        self,
        records: Iterable[InterruptionRecord],
        *,
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """One row a record, in order.

        Without a tokenizer: `messages`, `tools`, `assistant` {reasoning, content} with the target in it,
        and `spans` over it ({channel, start, end, kind, train}; characters). With one: `prompt` and
        `completion` as text, `input_ids`, `labels` (-100 on all context) and `completion_mask`.

        Raises:
            ConfigError: the tokenizer has no chat template.
        """
        if tokenizer is not None and not getattr(tokenizer, "chat_template", None):
            name = getattr(tokenizer, "name_or_path", "")
            raise ConfigError(f"tokenizer {name!r} has no chat template; name that of a chat model")
        for record in records:
            example = build(record, self._policy)
            row = example if isinstance(example, str) else _row(example, tokenizer)
            if not isinstance(row, str):
                yield row
            elif skipped is not None:
                skipped[row] += 1


plugin = PromptCompletion()


def _row(example: Example, tokenizer: Any | None) -> Row | str:
    return _span_row(example) if tokenizer is None else _token_row(example, tokenizer)


def _origin(example: Example) -> dict[str, Any]:
    record, cut, source = example.record, example.record.interruption, example.record.provenance
    return {
        "id": cut.id,
        "version": record.version,
        "channel": cut.claim.channel,
        "check": cut.check,
        "correct": cut.correct,
        "late": cut.late,
        "review": record.review,
        "known": record.known,
        "synthesised": example.target.synthesised,
        "ended": example.target.end,
        "conversation": source.conversation,
        "model": source.policy_model,
        "policy": source.policy,
        "policy_hash": source.policy_hash,
    }


def _span_row(example: Example) -> Row:
    claim, target = example.record.interruption.claim, example.target
    kept = example.open_text.removesuffix(claim.text)
    parts = [] if example.thinking else [("reasoning", example.reasoning, "context")]
    parts += [(claim.channel, kept, "context"), (claim.channel, claim.text, "confabulated")]
    parts += [(claim.channel, target.put_in, "injected"), (claim.channel, target.followed, "continuation")]
    parts += [("content", target.answer, "continuation")]
    turn = {"reasoning": "", "content": ""}
    spans = []
    for channel, text, kind in parts:
        start, end = len(turn[channel]), len(turn[channel]) + len(text)
        turn[channel] += text
        train = int(kind in ("injected", "continuation"))
        if text:
            spans.append({"channel": channel, "start": start, "end": end, "kind": kind, "train": train})
    given = {"messages": list(example.messages), "tools": example.record.provenance.tools}
    return _origin(example) | given | {"assistant": turn, "spans": spans}


def _token_row(example: Example, tokenizer: Any) -> Row | str:
    rendered = render(example, tokenizer)
    if rendered is None:
        return "chat template"
    target = example.target
    scaffold = rendered.prompt.removesuffix(example.open_text)
    context = (Piece(scaffold, True, False), Piece(example.open_text, False, False))
    wanted = (
        Piece(target.put_in, False, True),
        Piece(target.followed, False, True),
        Piece(rendered.close if target.answer else "", True, True),
        Piece(target.answer, False, True),
        Piece(rendered.end if target.end else "", True, True),
    )
    tokens = encode((*context, *wanted), tokenizer)
    if tokens is None:
        return "not text-exact"
    ids, mask = tokens
    return _origin(example) | {
        "prompt": rendered.prompt,
        "completion": "".join(piece.text for piece in wanted),
        "input_ids": ids,
        "labels": [token if trained else IGNORED for token, trained in zip(ids, mask, strict=True)],
        "completion_mask": mask,
    }
