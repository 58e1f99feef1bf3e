"""One record as context and target, before any rendering.

Knows records; knows neither templates nor tokens. A record that cannot be an example gives the reason instead: a word
or two to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from guard.core.policy import Policy
from guard.core.records import InterruptionRecord, Provenance
from guard.core.types import Closing
from guard.targets.wording import Target, after, instead

IN_PLACE = frozenset({"token_exact", "text_exact", "field_prefill"})
"""Continuations in which the model went on behind the correction, in the same turn."""

_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})

Open = Literal["reasoning", "content"]
"""The channel that an unfinished turn goes on in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An unfinished turn behind its conversation, and what is to come in it.

    `source` says how the conversation was asked; `reasoning` and `content` are the turn so far; `begun` is how much of
    each (in characters) the client sent as the beginning of the turn.
    """

    source: Provenance
    messages: Sequence[Mapping[str, Any]]
    reasoning: str
    content: str
    channel: Open
    target: Target
    begun: tuple[int, int] = (0, 0)

    @property
    def thinking(self) -> bool:
        """Whether the reasoning is open."""
        return self.channel == "reasoning"

    @property
    def open_text(self) -> str:
        """The open channel so far."""
        return self.reasoning if self.thinking else self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Example(Turn):
    """What a row is made of: the conversation and the open turn as context, and the target."""

    record: InterruptionRecord


class _Before(NamedTuple):
    """The context up to the claim."""

    messages: Sequence[Mapping[str, Any]]
    reasoning: str
    content: str
    channel: Open
    begun: tuple[int, int]
    closing: Closing


def build(record: InterruptionRecord, policy: Policy) -> Example | str:
    """The example with the claim as the end of the context, or why there is none."""
    before = _before(record)
    if isinstance(before, str):
        return before
    return _example(record, before, after(record, before.closing, policy), behind=True)


def build_instead(record: InterruptionRecord, policy: Policy) -> Example | str:
    """The example with the true statement in the claim's place, or why there is none. The claim is nowhere in it."""
    before = _before(record)
    if isinstance(before, str):
        return before
    return _example(record, before, instead(record, before.closing, policy), behind=False)


def build_wrong(record: InterruptionRecord, wrong: Target, *, behind: bool) -> Example | str:
    """The example of what is not to be learnt, `behind` the claim or where it began; or why there is none."""
    before = _before(record)
    return before if isinstance(before, str) else _example(record, before, wrong, behind=behind)


def _example(record: InterruptionRecord, before: _Before, target: Target | str, *, behind: bool) -> Example | str:
    if isinstance(target, str):
        return target
    claim = record.interruption.claim.text if behind else ""
    return Example(
        record=record,
        source=record.provenance,
        messages=before.messages,
        reasoning=before.reasoning + claim if before.channel == "reasoning" else before.reasoning,
        content=before.content + claim if before.channel == "content" else before.content,
        channel=before.channel,
        target=target,
        begun=before.begun,
    )


def _before(record: InterruptionRecord) -> _Before | str:
    cut, closing = record.interruption, record.closing
    if not isinstance(record.provenance.messages, (list, tuple)) or not cut.claim.text.strip():
        return "no text"
    if record.provenance.route == "completions":
        return "raw completion"  # no chat template made its prompt
    if closing is None or closing.continuation not in IN_PLACE:
        return "not continued in place"
    if closing.behind_calls or cut.correct == "restart" or cut.claim.channel == "tool_calls":
        return "not continued in place"
    reasoning, content = cut.kept.get("reasoning", ""), cut.kept.get("content", "")
    if cut.claim.channel == "reasoning":
        content = ""
    given = conversation(record.provenance.messages)
    if isinstance(given, str):
        return given
    messages, thought, said = given
    if not (reasoning.startswith(thought) and content.startswith(said)):
        return "unfinished turn not kept"
    begun = (len(thought), len(said))
    return _Before(messages, reasoning, content, cut.claim.channel, begun, closing)


def conversation(messages: Sequence[Any]) -> tuple[Sequence[Mapping[str, Any]], str, str] | str:
    """The messages before the turn, contents as text, and the turn's beginning; or why they cannot be used.

    An unfinished assistant turn that the client sent is the beginning of the turn, not a message before it.
    """
    flat = [dict(message, content=_text(message.get("content"))) for message in messages]
    if any(new["content"] is None and old.get("content") for new, old in zip(flat, messages, strict=True)):
        return "media"
    if flat and flat[-1].get("role") == "assistant" and not flat[-1].get("tool_calls"):
        last = flat.pop()
        thought = last.get("reasoning_content") or last.get("reasoning")
        return flat, thought if isinstance(thought, str) else "", last["content"] or ""
    return flat, "", ""


def _text(content: Any) -> str | None:
    """A message's content as text, a line each of its parts (as servers hand them to a template); None where it has
    parts that are no text."""
    if not isinstance(content, (list, tuple)):
        return content if isinstance(content, str) else None
    if all(isinstance(part, Mapping) and str(part.get("type")) in _TEXT_PARTS for part in content):
        return "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    return None
