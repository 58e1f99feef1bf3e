"""TRL's stepwise supervision: a turn in its steps, each with a label; what process reward models are trained on.

Knows session records and, where one is given, the target model's tokenizer; knows neither store nor files. A step is a
segment, with what guard put in front of it; `guard.targets.labels` says which are right. Rules:

- A row ends before the first segment that nobody can speak for (unscanned, not applicable, not reviewed), before a tool
  call, and before a step that says again what was flagged.
- A row ends in the first wrong step that was not corrected: what follows is built on it. Behind one that was
  interrupted it goes on with "No, ...". A retracted claim ends a row of its own, since the turn goes on as if it had
  never been. A step that reviewers say was interrupted wrongly ends its row, as a right one.
- How the turn went on does not matter to a label, so turns that were asked again or broke off count too.
- What cannot become a row is counted in `skipped`, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from guard.core.records import InterruptionRecord, Review, SessionRecord
from guard.core.types import Segment, Summary
from guard.errors import ConfigError
from guard.exporters import Row
from guard.targets.example import Open, Turn, conversation
from guard.targets.labels import Labelled, claims, labelled
from guard.targets.rendering import demand_template, render
from guard.targets.repeats import repeats
from guard.targets.rows import asked, served
from guard.targets.selection import counted, select
from guard.targets.texts import spells_control
from guard.targets.wording import Target


class Step(NamedTuple):
    """A step of a turn; `segment` is the id of the segment that it ends with."""

    channel: Open
    text: str
    right: bool
    segment: int


class Stepwise:
    """The exporter."""

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
        """Raises ConfigError: an interruption alone does not say what was right."""
        raise ConfigError("stepwise rows are made of whole sessions, not of interruptions: use session_rows")

    def session_rows(
        self,
        sessions: Iterable[SessionRecord],
        reviews: Mapping[str, Review],
        *,
        unreviewed: bool = False,
        trusted: Collection[str] = (),
        tokenizer: Any | None = None,
        skipped: Counter[str] | None = None,
    ) -> Iterator[Row]:
        """One row a choice and one for each claim retracted in it, in order: `completions` and `labels` (true: right).

        `id` is the subject of the last step. Without a tokenizer: `messages`, `tools`, `assistant` {reasoning, content}
        as the client began it, and `channels` beside the steps. With one: `prompt` as text.

        Raises:
            ConfigError: the tokenizer has no chat template.
        """
        if tokenizer is not None:
            demand_template(tokenizer)
        for session in sessions:
            for choice in session.choices:
                name = session.provenance.session
                segments = labelled(name, choice, reviews, unreviewed=unreviewed, trusted=trusted)
                yield from counted(_rows(session, choice, segments, tokenizer), skipped)


plugin = Stepwise()


def _rows(
    session: SessionRecord, choice: Summary, segments: Sequence[Labelled], tokenizer: Any | None
) -> Iterator[dict[str, Any] | str]:
    begun = _begun(session, choice)
    if isinstance(begun, str):
        yield begun
        return
    made = False
    for steps in _paths(begun, choice, segments):
        made = True
        yield _row(session, choice, begun, steps, tokenizer)
    if not made:
        yield "no step judged"


def _begun(session: SessionRecord, choice: Summary) -> Turn | str:
    """The conversation, and the turn as the client began it; or why there can be no steps."""
    source = session.provenance
    if not isinstance(source.messages, (list, tuple)):
        return "no text"
    if source.route == "completions":
        return "raw completion"  # no chat template made its prompt
    given = conversation(source.messages)
    if isinstance(given, str):
        return given
    messages, thought, said = given
    if not (choice.text.get("reasoning", "").startswith(thought) and choice.text.get("content", "").startswith(said)):
        return "unfinished turn not kept"
    channel: Open = "content" if said else "reasoning"
    return Turn(
        source=source, messages=messages, reasoning=thought, content=said, channel=channel, target=Target(put_in="")
    )


def _paths(begun: Turn, choice: Summary, segments: Sequence[Labelled]) -> Iterator[list[Step]]:
    """The steps of each row: of each that ends in a retracted claim, and of the turn as it stands."""
    wrong = claims(segments)
    at: dict[Open, int] = {"reasoning": len(begun.reasoning), "content": len(begun.content)}
    steps: list[Step] = []
    written = 0
    for each in segments:
        segment, channel = each.segment, each.segment.channel
        if each.wrong is None or channel == "tool_calls":
            break
        text = choice.text.get(channel, "")
        stands = text[segment.start : segment.end] == segment.text
        step = Step(channel, _behind(text, at[channel], segment), not each.wrong, segment.id)
        if not (stands or each.cut) or _is_none(step, steps, wrong):
            break
        if stands:
            steps.append(step)
            at[channel] = segment.end
        else:
            yield [*steps, step]
            written = len(steps)
        if each.cut is step.right:
            break  # corrected though it was right, or not corrected though it was wrong
    if len(steps) > written:
        yield steps


def _behind(text: str, at: int, segment: Segment) -> str:
    """A segment with what stands between `at` and it: guard's words."""
    return text[at : segment.start] + segment.text[max(0, at - segment.start) :]


def _is_none(step: Step, before: Sequence[Step], wrong: Iterable[str]) -> bool:
    """Whether a step cannot stand in a row: it is blank, goes back to the reasoning, or is right and says what was
    flagged."""
    back = step.channel == "reasoning" and any(earlier.channel == "content" for earlier in before)
    again = step.right and any(repeats(claim, step.text) for claim in wrong)
    return back or again or not step.text.strip()


def _row(
    session: SessionRecord, choice: Summary, begun: Turn, steps: Sequence[Step], tokenizer: Any | None
) -> dict[str, Any] | str:
    source = session.provenance
    about = {"id": f"{source.session}.{choice.choice}#{steps[-1].segment}", "version": session.version}
    about |= served(source) | {"labels": [step.right for step in steps]}
    if tokenizer is None:
        started = {"assistant": {"reasoning": begun.reasoning, "content": begun.content}}
        told = {"completions": [step.text for step in steps], "channels": [step.channel for step in steps]}
        return about | asked(begun) | started | told
    texts = _texts(begun, steps, tokenizer)
    return texts if isinstance(texts, str) else about | texts


def _texts(begun: Turn, steps: Sequence[Step], tokenizer: Any) -> dict[str, Any] | str:
    """`prompt`, and `completions` with the reasoning's close in front of the answer's first step."""
    channel = steps[0].channel
    followed, answer = (
        "".join(step.text for step in steps if (step.channel == channel) is same) for same in (True, False)
    )
    turn = replace(begun, channel=channel, target=Target(put_in="", followed=followed, answer=answer))
    rendered = render(turn, tokenizer)
    if rendered is None:
        return "chat template"
    if spells_control((turn.open_text, followed, answer), tokenizer):
        return "control token in the text"
    told = [step.text for step in steps]
    crossed = next((at for at, step in enumerate(steps) if step.channel != channel), None)
    if crossed is not None:
        told[crossed] = rendered.close + told[crossed]
    # A trainer puts the start token itself.
    return {"prompt": rendered.prompt.removeprefix(tokenizer.bos_token or ""), "completions": told}
