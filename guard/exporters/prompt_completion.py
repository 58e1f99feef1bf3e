"""TRL's prompt-completion: the conversation with the bad claim as context, the correction as the target.

Knows interruption records and, where one is given, the target model's tokenizer; knows neither store nor files. Rules:

- No flagged claim is a target in any row. The completion is what guard put in and what the model wrote after it; a
  record whose correction quotes the claim gives no row, and a continuation ends before it repeats the claim.
- The end of the turn is a target only where the continuation reached it. TRL adds an end-of-sequence token to a
  `completion` that has none, but leaves a row with `input_ids` as it is: train on those.
- A row is text-exact: its tokens decode to `prompt` + `completion`, or it is not written.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.exporters import Row
from guard.targets.example import build
from guard.targets.rendering import demand_template
from guard.targets.rows import asked, of_target, origin, spanned, through_claim, token_row
from guard.targets.selection import counted, select


class PromptCompletion:
    """The exporter. `policy` words what was never said: a retraction's "No, ...", and "I do not know
    that."."""

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
        """One row a record, in order.

        Without a tokenizer: `messages`, `tools`, `assistant` {reasoning, content} with the target in it,
        and `spans` over it ({channel, start, end, kind, train}; characters). With one: `prompt` and
        `completion` as text, `input_ids`, `labels` (-100 on all context) and `completion_mask`.

        Raises:
            ConfigError: the tokenizer has no chat template.
        """
        if tokenizer is not None:
            demand_template(tokenizer)
        yield from counted((self._row(record, tokenizer) for record in records), skipped)

    def _row(self, record: InterruptionRecord, tokenizer: Any | None) -> dict[str, Any] | str:
        example = build(record, self._policy)
        if isinstance(example, str):
            return example
        about = origin(record) | {"synthesised": example.target.synthesised, "ended": example.target.end}
        if tokenizer is None:
            turn = spanned([*through_claim(example), *of_target(example.channel, example.target)])
            return about | asked(example) | turn
        row = token_row(example, tokenizer)
        return row if isinstance(row, str) else about | row


plugin = PromptCompletion()
