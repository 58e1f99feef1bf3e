"""TRL's preference with an explicit prompt: the correction against what the model wrote, or was about to.

Knows interruption records and, where one is given, the target model's tokenizer; knows neither store nor files. Rules:

- `after` the claim: the prompt ends in it, chosen is "No, ..." and what followed, rejected the model's own text as it
  was cut off, or the counterfactual where that is longer (with neither there is no row). A retraction leaves no claim
  to go on from.
- `before` the claim: chosen is the true statement in its place and what followed, rejected the claim.
- Chosen never repeats the claim and never equals rejected.
- TRL's DPO trainer reads rows as plain text. It writes an end-of-sequence token behind chosen and rejected, so with a
  tokenizer only turns that reached their end give a row (rejected gets one too, wherever it was cut off). It lets the
  tokenizer add its start token, so the template's own is left out of `prompt`. It reads control tokens wherever they
  are spelt, and splits the text where the tokens of `prompt` and of the whole part. So a row is written only if its
  tokens decode to its text, those of `prompt` are a prefix, and neither a model nor guard spelt a control token.
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
from guard.targets.rendering import demand_template, render
from guard.targets.rows import (
    Stretch,
    asked,
    before_claim,
    joined_text,
    of_target,
    origin,
    spanned,
    target_pieces,
    through_claim,
)
from guard.targets.selection import counted, select
from guard.targets.tokens import spells
from guard.targets.wording import Target

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
        rejected = _uncut(record) if self._place == "after" else Target(put_in="", followed=cut.claim.text)
        if not (rejected.followed + rejected.answer).strip():
            return "nothing to reject"
        if _said(example.target) == _said(rejected):
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


def _uncut(record: InterruptionRecord) -> Target:
    """What the model wrote behind the claim, or what it would have written where there is more of that."""
    cut = record.interruption
    followed = cut.discarded.get(cut.claim.channel, "")
    answer = cut.discarded.get("content", "") if cut.claim.channel == "reasoning" else ""
    if len((followed + answer).strip()) < len((record.counterfactual or "").strip()):
        # A check that answers at once leaves a word or two of what was cut off.
        followed, answer = record.counterfactual or "", ""
    return Target(put_in="", followed=followed, answer=answer)


def _said(target: Target) -> tuple[str, str]:
    return (target.put_in + target.followed).strip(), target.answer.strip()


def _texts(example: Example, wrong: Target, tokenizer: Any) -> dict[str, Any] | str:
    """The row as TRL's text columns, or why it would not be read as it is meant."""
    if not example.target.end:
        return "turn not complete"
    one, other = render(example, tokenizer), render(replace(example, target=wrong), tokenizer)
    if one is None or other is None or one.prompt != other.prompt:
        return "chat template"
    prompt = _without_start(one.prompt, tokenizer)
    chosen = joined_text(target_pieces(example.target, one))
    rejected = joined_text(target_pieces(wrong, other))
    if _spells_control((example.open_text, *_parts(example.target), *_parts(wrong)), tokenizer):
        return "control token in the text"
    problem = _misread(prompt, (chosen, rejected), tokenizer)
    return problem or {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def _parts(target: Target) -> tuple[str, str, str]:
    return target.put_in, target.followed, target.answer


def _without_start(prompt: str, tokenizer: Any) -> str:
    """The prompt without the start token that the tokenizer adds by itself."""
    start = tokenizer.bos_token
    adds = start is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return prompt.removeprefix(start) if adds else prompt


def _spells_control(texts: Iterable[str], tokenizer: Any) -> bool:
    control = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return any(token in text for text in texts for token in control)


def _misread(prompt: str, completions: Iterable[str], tokenizer: Any) -> str:
    """Why TRL's tokens of the row would not be its text in two parts; "" if they are."""
    start, end = tokenizer.bos_token or "", tokenizer.eos_token or ""
    try:
        asked_ids = tokenizer(prompt)["input_ids"]
        for completion in completions:
            text = prompt + completion.removesuffix(end) + end
            ids = tokenizer(text)["input_ids"]
            if not (spells(ids, text, tokenizer) or spells(ids, start + text, tokenizer)):
                return "not text-exact"
            if ids[: len(asked_ids)] != asked_ids:
                return "tokens merge"
    except (UnicodeError, TypeError):
        return "not text-exact"  # a lone surrogate, which no tokenizer takes
    return ""
