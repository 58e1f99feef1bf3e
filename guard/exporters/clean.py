"""Ideal transcripts: the turn as if no claim in it had been made up, all of the model's text a target.

Knows interruption records and, where one is given, the target model's tokenizer; knows neither store nor files. Rules:

- One row a turn, however often it was interrupted: each claim, with the "No, ..." behind it, gives way to the true
  statement. Where an interruption of the turn is missing (not confirmed, or void), there is no row.
- Only what a reviewer confirmed, and only turns that reached their end and in which nothing else was flagged or left
  unscanned. Whether something that no check flags is wrong is the reviewer's to see.
- No flagged claim is a target in any row: one that the turn repeats gives no row.
- Where the model does not know the truth and was told it, what followed rests on that: no row. Nor is there one where
  a reviewer would have guard say something else.
- What the client sent as the beginning of the turn is context.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord
from guard.exporters import Row
from guard.targets.example import Example, Open, build_instead
from guard.targets.rendering import demand_template
from guard.targets.repeats import repeats
from guard.targets.rows import Stretch, asked, of_target, origin, spanned, token_row
from guard.targets.selection import counted, select
from guard.targets.wording import Target, does_not_know, words


class Clean:
    """The exporter. `policy` words a doubt where no true statement is at hand."""

    def __init__(self, policy: Policy | None = None) -> None:
        self._policy = policy or Policy(name="default")

    def select(
        self, records: Iterable[InterruptionRecord], *, unreviewed: bool = False, trusted: Collection[str] = ()
    ) -> Iterator[InterruptionRecord]:
        """The records of `guard.targets.selection.select` that a reviewer confirmed: nothing lifts that."""
        del unreviewed, trusted
        return select(records)

    def rows(
        self,
        records: Iterable[InterruptionRecord],
        *,
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """One row a turn, when the last of its records has come; those of unfinished turns are held in memory.

        Without a tokenizer: `messages`, `tools`, `assistant` {reasoning, content} and `spans` over it ({channel,
        start, end, kind, train}; characters). With one: `prompt` and `completion` as text, `input_ids`, `labels`
        (-100 on all context) and `completion_mask`.

        Raises:
            ConfigError: the tokenizer has no chat template.
        """
        if tokenizer is not None:
            demand_template(tokenizer)
        yield from counted((self._row(turn, tokenizer) for turn in _turns(records)), skipped)

    def _row(self, turn: Sequence[InterruptionRecord], tokenizer: Any | None) -> dict[str, Any] | str:
        if any(record.closing and record.closing.uncorrected for record in turn):
            return "something else was flagged or unscanned"
        if any(does_not_know(record) and record.interruption.correction for record in turn):
            return "model does not know"
        if any(words(record).edited for record in turn):
            return "reworded by a reviewer"
        examples: list[Example] = []
        for record in turn:
            example = build_instead(record, self._policy)
            if isinstance(example, str):
                return example
            examples.append(example)
        last = examples[-1]
        stretches = _elided(examples)
        if isinstance(stretches, str):
            return stretches
        about = origin(turn[-1]) | {"corrections": len(turn), "ended": True}
        if tokenizer is None:
            return about | asked(last) | spanned(stretches)
        opened = _opened(last, stretches)
        row = opened if isinstance(opened, str) else token_row(opened, tokenizer)
        return row if isinstance(row, str) else about | row


plugin = Clean()


def _turns(records: Iterable[InterruptionRecord]) -> Iterator[list[InterruptionRecord]]:
    """The records of each turn, in order, when one has come whose text reaches the turn's end; then the others."""
    held: dict[tuple[str, int], list[InterruptionRecord]] = {}
    for record in records:
        key = (record.provenance.session, record.interruption.choice)
        turn = [*held.pop(key, ()), record]
        if record.closing is not None and record.closing.complete:
            yield turn
        else:
            held[key] = turn
    yield from held.values()


def _elided(examples: Sequence[Example]) -> list[Stretch] | str:
    """The turn in its parts, each claim replaced; or why that cannot be."""
    *earlier, last = examples
    if not last.target.end:
        return "turn not complete"
    if [example.record.interruption.number for example in examples] != list(range(1, len(examples) + 1)):
        return "earlier correction missing"
    stretches: list[Stretch] = []
    texts: tuple[tuple[Open, str], ...] = (("reasoning", last.reasoning), ("content", last.content))
    for (channel, text), begun in zip(texts, last.begun, strict=True):
        stretches.append(Stretch(channel, text[:begun], "context", False))
        parts = _replaced(channel, text, begun, [each for each in earlier if each.channel == channel])
        if isinstance(parts, str):
            return parts
        stretches += parts
        if channel == last.channel:
            stretches += of_target(channel, last.target)
    said = ["".join(s.text for s in stretches if s.trained and s.channel == channel) for channel, _ in texts]
    claims = [example.record.interruption.claim.text for example in examples]
    return "repeats the claim" if any(repeats(claim, text) for claim in claims for text in said) else stretches


def _replaced(channel: Open, text: str, at: int, earlier: Sequence[Example]) -> list[Stretch] | str:
    """A channel's text from `at` on, with the true statements where earlier corrections stand."""
    parts = []
    for example in earlier:
        cut = example.record.interruption
        was = cut.put_in if cut.correct == "retract" else cut.claim.text + cut.put_in
        start = cut.claim.start
        if start < at or not text.startswith(was, start):
            return "earlier correction missing"
        parts += [Stretch(channel, text[at:start], "kept", True)]
        parts += [Stretch(channel, example.target.put_in, "injected", True)]
        at = start + len(was)
    return [*parts, Stretch(channel, text[at:], "kept", True)]


def _opened(last: Example, stretches: Sequence[Stretch]) -> Example | str:
    """The turn with nothing in it but what the client sent, and all the rest as the target."""
    before, begun = (_text(stretches, channel, trained=False) for channel in ("reasoning", "content"))
    thought, said = (_text(stretches, channel, trained=True) for channel in ("reasoning", "content"))
    if thought and begun:
        return "unfinished turn not kept"
    target = Target(put_in="", followed=thought or said, answer=said if thought else "", end=True)
    channel: Open = "reasoning" if thought else "content"
    return replace(last, reasoning=before, content=begun, channel=channel, target=target)


def _text(stretches: Sequence[Stretch], channel: str, *, trained: bool) -> str:
    return "".join(s.text for s in stretches if s.channel == channel and s.trained == trained)
