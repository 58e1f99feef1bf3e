"""Where the model was asked again and does not know: rows that say so in the claim's place, before it is made up.

Knows interruption records and, where one is given, the target model's tokenizer; knows neither store nor files. Rules:

- Only records in which it was measured whether the model knows: `known` (`guard train caution --store`), or a claim
  that the `resampling` check caught, for which nobody had the truth.
- Where it does not know, the target is the policy's `retract.unknown` and nothing behind it. Where it does, the target
  is the true statement and what followed, `knows`: without such rows a model learns to say that it knows nothing.
- The claim stands nowhere in a row. (Behind the claim, `prompt_completion` has the policy's `interrupt.unknown`.)
- Tokenised rows and the end of the turn are as in `prompt_completion`.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.exporters import Row
from guard.targets.example import build_instead
from guard.targets.rendering import demand_template
from guard.targets.rows import asked, before_claim, of_target, origin, spanned, token_row
from guard.targets.selection import counted, select
from guard.targets.wording import does_not_know, words

ASKED_AGAIN = "resampling"
"""The check that asks the policy model again and compares."""


class Caution:
    """The exporter. `policy` words the doubt."""

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
        """One row a record, in order; `knows` says whether the model does.

        Without a tokenizer: `messages`, `tools`, `assistant` {reasoning, content} with the target in it, and `spans`
        over it ({channel, start, end, kind, train}; characters). With one: `prompt` and `completion` as text,
        `input_ids`, `labels` (-100 on all context) and `completion_mask`.

        Raises:
            ConfigError: the tokenizer has no chat template.
        """
        if tokenizer is not None:
            demand_template(tokenizer)
        yield from counted((self._row(record, tokenizer) for record in records), skipped)

    def _row(self, record: InterruptionRecord, tokenizer: Any | None) -> dict[str, Any] | str:
        unsure = record.known is None and _caught_unsure(record)
        if record.known is None and not unsure:
            return "not measured"
        knows = not (unsure or does_not_know(record))
        if knows and not words(record).correction.strip():
            return "no true statement"
        example = build_instead(record, self._policy)
        if isinstance(example, str):
            return example
        if not knows:
            example = replace(example, target=replace(example.target, followed="", answer="", end=False))
        about = origin(record) | {"knows": knows}
        about |= {"synthesised": example.target.synthesised, "ended": example.target.end}
        if tokenizer is None:
            return (
                about | asked(example) | spanned([*before_claim(example), *of_target(example.channel, example.target)])
            )
        row = token_row(example, tokenizer)
        return row if isinstance(row, str) else about | row


plugin = Caution()


def _caught_unsure(record: InterruptionRecord) -> bool:
    """Whether the model, asked again, said something else, and no truth was at hand."""
    verdicts = record.interruption.verdicts
    again = any(verdict.check == ASKED_AGAIN and verdict.status == "flagged" for verdict in verdicts)
    return again and not words(record).correction
