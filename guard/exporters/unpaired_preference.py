"""TRL's unpaired preference (KTO): what to say and what not to say, each a row of its own.

Knows interruption records and, where one is given, the target model's tokenizer; knows neither store nor files. Rules:

- `label` true: the correction where it was made: "No, ..." behind the claim and what followed, or, for a retraction,
  the true statement in the claim's place. It never repeats the claim.
- `label` false: the claim, behind what stood before it (`at` before); and the text that the model wrote behind the
  claim, or the counterfactual where that is longer (`at` after).
- A row needs no counterpart: a record whose correction cannot be learnt still says what was wrong.
- TRL's KTO trainer reads rows as plain text (`guard.targets.texts`) and writes an end-of-sequence token behind every
  completion. With a tokenizer a correction gives a row only where the turn reached its end.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.exporters import Row
from guard.targets.example import Example, build, build_instead, build_wrong
from guard.targets.rendering import demand_template
from guard.targets.rows import Stretch, asked, before_claim, of_target, origin, spanned, through_claim
from guard.targets.selection import counted, select
from guard.targets.texts import plain
from guard.targets.wording import Target, uncut

Place = Literal["after", "before"]


class UnpairedPreference:
    """The exporter. `policy` words what was never said."""

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
        """Up to three rows a record, in order: the correction, the claim, and what the model wrote behind it.

        `label` says whether it is to be said. Without a tokenizer: `messages`, `tools`, `assistant` {reasoning,
        content} with the completion in it, and `spans` over it ({channel, start, end, kind, train}; characters; `train`
        in rows whose label is true alone). With one: `prompt` and `completion` as text.

        Raises:
            ConfigError: the tokenizer has no chat template.
        """
        if tokenizer is not None:
            demand_template(tokenizer)
        yield from counted((row for record in records for row in self._rows(record, tokenizer)), skipped)

    def _rows(self, record: InterruptionRecord, tokenizer: Any | None) -> Iterator[dict[str, Any] | str]:
        behind = record.interruption.correct == "interrupt"
        right = (build if behind else build_instead)(record, self._policy)
        yield right if isinstance(right, str) else _row(right, _place(behind), True, tokenizer)
        yield from _wrong_row(record, Target(put_in="", followed=record.interruption.claim.text), "before", tokenizer)
        wrong = uncut(record)
        same = not isinstance(right, str) and right.target.said == wrong.said
        if behind and any(wrong.said) and not same:
            yield from _wrong_row(record, wrong, "after", tokenizer)


plugin = UnpairedPreference()


def _place(behind: bool) -> Place:
    return "after" if behind else "before"


def _wrong_row(
    record: InterruptionRecord, wrong: Target, place: Place, tokenizer: Any | None
) -> Iterator[dict[str, Any] | str]:
    """The row of what is not to be said. A record that gives no row at all is counted once, with its correction."""
    example = build_wrong(record, wrong, behind=place == "after")
    if not isinstance(example, str):
        yield _row(example, place, False, tokenizer)


def _row(example: Example, place: Place, good: bool, tokenizer: Any | None) -> dict[str, Any] | str:
    about = origin(example.record) | {"at": place, "label": good}
    about |= {"synthesised": example.target.synthesised, "ended": example.target.end}
    if tokenizer is None:
        return about | asked(example) | spanned(_stretches(example, place, good))
    if good and not example.target.end:
        return "turn not complete"
    told = plain((example,), tokenizer)
    return told if isinstance(told, str) else about | {"prompt": told[0], "completion": told[1][0]}


def _stretches(example: Example, place: Place, good: bool) -> list[Stretch]:
    before = through_claim(example) if place == "after" else before_claim(example)
    if good:
        return [*before, *of_target(example.channel, example.target)]
    kind = "discarded" if place == "after" else "confabulated"
    target = example.target
    wrong = [Stretch(example.channel, target.followed, kind, False), Stretch("content", target.answer, kind, False)]
    return [*before, *wrong]
