"""TRL's preference with an explicit prompt: the correction against what the model wrote, or was about to.

Knows interruption records and, where one is given, the target model's tokenizer; knows neither store nor files. Rules:

- `after` the claim: the prompt ends in it, chosen is "No, ..." and what followed, rejected the model's own text as it
  was cut off, or the counterfactual where that is longer (with neither there is no row). A retraction leaves no claim
  to go on from.
- `before` the claim: chosen is the true statement in its place and what followed, rejected the claim.
- Chosen never repeats the claim and never equals rejected.
- TRL's DPO trainer reads rows as plain text (`guard.targets.texts`). It writes an end-of-sequence token behind chosen
  and rejected, so with a tokenizer only turns that reached their end give a row (rejected gets one too, wherever it was
  cut off).
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal, cast, get_args

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.errors import ConfigError
from guard.exporters import Row
from guard.targets.example import Example, build, build_instead
from guard.targets.rendering import demand_template
from guard.targets.rows import Stretch, asked, before_claim, of_target, origin, spanned, through_claim
from guard.targets.selection import counted, select
from guard.targets.texts import plain
from guard.targets.wording import Target, uncut

Place = Literal["after", "before"]


class Preference:
    """The exporter. `policy` words what was never said; `place` is where the two part: `after` the claim or `before`
    it."""

    def __init__(self, policy: Policy | None = None, place: Place = "after") -> None:
        self._policy = policy or Policy(name="default")
        self._place = place

    def at(self, place: str) -> Preference:
        """The exporter for this place. Raises ConfigError: it is neither `after` nor `before`."""
        if place not in get_args(Place):
            raise ConfigError(f"preference at {place!r}; say one of {', '.join(get_args(Place))}")
        return Preference(self._policy, cast(Place, place))

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

        Without a tokenizer: `messages`, `tools`, and `chosen` and `rejected`, each with the turn as `assistant`
        {reasoning, content} and `spans` over it ({channel, start, end, kind, train}; characters). With one: `prompt`,
        `chosen` and `rejected` as text.

        Raises:
            ConfigError: the tokenizer has no chat template.
        """
        if tokenizer is not None:
            demand_template(tokenizer)
        yield from counted((self._row(record, tokenizer) for record in records), skipped)

    def _row(self, record: InterruptionRecord, tokenizer: Any | None) -> dict[str, Any] | str:
        pair = self._pair(record)
        if isinstance(pair, str):
            return pair
        example, rejected = pair
        about = origin(record) | {"at": self._place}
        about |= {"synthesised": example.target.synthesised, "ended": example.target.end}
        row = self._spans(example, rejected) if tokenizer is None else _texts(example, rejected, tokenizer)
        return row if isinstance(row, str) else about | row

    def _pair(self, record: InterruptionRecord) -> tuple[Example, Target] | str:
        """The example, whose target is chosen, and what is rejected; or why there is none."""
        cut = record.interruption
        if self._place == "after" and cut.correct == "retract":
            return "retraction"
        example = (build if self._place == "after" else build_instead)(record, self._policy)
        if isinstance(example, str):
            return example
        rejected = uncut(record) if self._place == "after" else Target(put_in="", followed=cut.claim.text)
        if not (rejected.followed + rejected.answer).strip():
            return "nothing to reject"
        if example.target.said == rejected.said:
            return "chosen equals rejected"
        return example, rejected

    def _spans(self, example: Example, rejected: Target) -> dict[str, Any]:
        before = through_claim(example) if self._place == "after" else before_claim(example)
        kind = "discarded" if self._place == "after" else "confabulated"
        wrong = [
            Stretch(example.channel, rejected.followed, kind, False),
            Stretch("content", rejected.answer, kind, False),
        ]
        chosen = spanned([*before, *of_target(example.channel, example.target)])
        return asked(example) | {"chosen": chosen, "rejected": spanned([*before, *wrong])}


plugin = Preference()


def _texts(example: Example, wrong: Target, tokenizer: Any) -> dict[str, Any] | str:
    """The row as TRL's text columns, or why it would not be read as it is meant."""
    if not example.target.end:
        return "turn not complete"
    told = plain((example, replace(example, target=wrong)), tokenizer)
    if isinstance(told, str):
        return told
    prompt, (chosen, rejected) = told
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
