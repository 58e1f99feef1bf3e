"""One record as context and target, before any rendering.

Knows records and policies' wording; knows neither templates nor tokens. A record that cannot be an example
gives the reason instead: a word or two to count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.core.policy import Policy, interruption_text, word
from guard.core.records import InterruptionRecord
from guard.core.resume import joined
from guard.core.types import Closing, Finding, normalise

IN_PLACE = frozenset({"token_exact", "text_exact", "field_prefill"})
"""Continuations in which the model read its own claim and went on behind the correction."""

KNOWS = 0.75
"""Below this agreement with the truth a model does not know the answer: the target is to say so."""

_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is learnt: guard's text, then the model's.

    Attributes:
        followed: text of the claim's channel.
        answer: the content behind it, where the claim was in the reasoning.
        end: the turn ends here.
        synthesised: `put_in` was worded for this row and never said.
    """

    put_in: str
    followed: str = ""
    answer: str = ""
    end: bool = False
    synthesised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What a row is made of: `messages` and the open turn (its claim included) as context, and the target."""

    record: InterruptionRecord
    messages: Sequence[Mapping[str, Any]]
    reasoning: str
    content: str
    target: Target

    @property
    def thinking(self) -> bool:
        """Whether the claim was in the reasoning."""
        return self.record.interruption.claim.channel == "reasoning"

    @property
    def open_text(self) -> str:
        """The unfinished channel up to the claim's end."""
        return self.reasoning if self.thinking else self.content


def build(record: InterruptionRecord, policy: Policy) -> Example | str:
    """The example a record makes, or why it makes none."""
    cut, closing = record.interruption, record.closing
    if not isinstance(record.provenance.messages, (list, tuple)) or not cut.claim.text.strip():
        return "no text"
    if record.provenance.route == "completions":
        return "raw completion"  # no chat template made its prompt
    if closing is None or closing.continuation not in IN_PLACE:
        return "not continued in place"
    if cut.correct == "restart" or cut.claim.channel == "tool_calls":
        return "not continued in place"
    reasoning, content = cut.kept.get("reasoning", ""), cut.kept.get("content", "")
    if cut.claim.channel == "reasoning":
        reasoning, content = reasoning + cut.claim.text, ""
    else:
        content += cut.claim.text
    messages = _conversation(record.provenance.messages, reasoning, content)
    target = _target(record, closing, policy)
    if isinstance(messages, str) or isinstance(target, str):
        return messages if isinstance(messages, str) else str(target)
    return Example(record=record, messages=messages, reasoning=reasoning, content=content, target=target)


# Context


def _conversation(messages: Sequence[Any], reasoning: str, content: str) -> Sequence[Mapping[str, Any]] | str:
    """The messages before the turn, contents as text; or why they cannot be used.

    An unfinished assistant turn that the client sent is the beginning of the turn, not a message before it.
    """
    flat = [dict(message, content=_text(message.get("content"))) for message in messages]
    if any(new["content"] is None and old.get("content") for new, old in zip(flat, messages, strict=True)):
        return "media"
    if flat and flat[-1].get("role") == "assistant" and not flat[-1].get("tool_calls"):
        last = flat.pop()
        thought = last.get("reasoning_content") or last.get("reasoning") or ""
        if not (reasoning.startswith(thought) and content.startswith(last["content"] or "")):
            return "unfinished turn not kept"
    return flat


def _text(content: Any) -> str | None:
    """A message's content as text; None where it has parts that are not."""
    if not isinstance(content, (list, tuple)):
        return content if isinstance(content, str) else None
    if all(isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS for part in content):
        return "".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    return None


# Target


def _target(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target | str:
    """The target without the claim, or why there is none."""
    claim = record.interruption.claim.text
    wanted = _worded(record, closing, policy)
    if _repeats(claim, wanted.put_in):
        return "correction quotes the claim"
    followed, answer = _before_repeat(claim, wanted.followed), _before_repeat(claim, wanted.answer)
    if followed != wanted.followed:
        answer = ""
    whole = (followed, answer) == (wanted.followed, wanted.answer)
    return Target(
        put_in=wanted.put_in,
        followed=followed,
        answer=answer,
        end=wanted.end and whole and (record.interruption.claim.channel == "content" or bool(answer)),
        synthesised=wanted.synthesised,
    )


def _worded(record: InterruptionRecord, closing: Closing, policy: Policy) -> Target:
    """The target as the record and the policy's wording have it."""
    cut = record.interruption
    claim, finding = cut.claim.text, Finding(score=1, reason=cut.reason, correction=cut.correction)
    if record.known is not None and record.known < KNOWS:
        # A correction of what the model does not know would teach it to guess.
        unknown = word(policy.interrupt.unknown, finding, claim)
        return Target(put_in=joined(claim, unknown), synthesised=True)
    after = {"answer": closing.answer, "end": closing.complete}
    if cut.correct == "interrupt":
        return Target(put_in=cut.put_in, followed=closing.followed, **after)  # type: ignore[arg-type]
    message = joined(claim, interruption_text(policy, finding, claim))
    if not cut.correction:
        # What followed stood behind other words.
        return Target(put_in=message, synthesised=True)
    followed = closing.followed and joined(message, closing.followed.lstrip(" "))
    return Target(put_in=message, followed=followed, **after, synthesised=True)  # type: ignore[arg-type]


def _pattern(claim: str) -> re.Pattern[str] | None:
    words = normalise(claim).split()
    joint = r"\s+".join(map(re.escape, words))
    return re.compile(rf"(?<!\w){joint}(?!\w)", re.IGNORECASE) if words else None


def _repeats(claim: str, text: str) -> bool:
    """Whether the text contains the claim, as `normalise` compares statements."""
    pattern = _pattern(claim)
    return pattern is not None and pattern.search(normalise(text)) is not None


def _before_repeat(claim: str, text: str) -> str:
    """The text up to where it repeats the claim."""
    pattern = _pattern(claim)
    found = pattern.search(text) if pattern else None
    text = text[: found.start()].rstrip() if found else text
    # Case folding can lengthen a text, so that only the folded one shows the claim.
    return "" if _repeats(claim, text) else text
