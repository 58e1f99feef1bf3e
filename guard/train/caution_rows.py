"""The rows of `guard.train.caution`: from questions or the log, and what becomes of each question.

Below the threshold of agreement the target is the caution. At or above it, where a truth is given and most samples say
it, the target is what the model said, or the truth where only reasoning was sampled: without such rows a model learns
to say that it knows nothing. A model that is sure and wrong gives no row. Rows are TRL's prompt-completion, as
messages, with the `agreement` beside them.

An interruption gives a caution for its whole question, or, where its claim was in the content, a plain row: the content
up to the claim and the correction in its place. A claim in the reasoning gives no plain row, since a corrected premise
is no answer. Records that have `known` are passed over, so a run that was stopped goes on.

Knows JSON, records and the store; does not know how a model is asked.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guard.backends import Backend
from guard.core.records import InterruptionRecord
from guard.core.types import Channel
from guard.errors import ConfigError, GuardError
from guard.store import Store
from guard.train.caution import HALF, Asking, Heard, Question, ask
from guard.train.token_rows import lines


def read_questions(path: Path) -> list[Question]:
    """A file's questions: `messages`, and `answer` where the truth is known. Raises ConfigError, one line."""
    found = [_question(told, where) for where, told in lines([path])]
    if not found:
        raise ConfigError(f"{str(path)!r}: there are no questions")
    return found


def _question(told: Mapping[str, Any], where: str) -> Question:
    messages, answer = told.get("messages"), told.get("answer")
    if not _plain(messages):
        raise ConfigError(f"{where}: a question needs `messages` with text contents, the last not the assistant's")
    if answer is not None and not isinstance(answer, str):
        raise ConfigError(f"{where}: `answer` {answer!r} is no text")
    return Question(messages=messages or (), truth=answer or "")


def _plain(messages: Any) -> bool:
    if not isinstance(messages, list | tuple) or not messages:
        return False
    text = all(isinstance(message, Mapping) and isinstance(message.get("content"), str) for message in messages)
    return text and messages[-1].get("role") != "assistant"


def logged(records: Iterable[InterruptionRecord], passed: Counter[str]) -> Iterator[Question]:
    """A question for each interruption whose claim can be asked for again; the others are counted in `passed`."""
    for record in records:
        if why := _unusable(record):
            passed[why] += 1
        else:
            cut = record.interruption
            yield Question(
                messages=record.provenance.messages, truth=cut.correction, prefix=_before(record), key=cut.id
            )


def _unusable(record: InterruptionRecord) -> str:
    cut = record.interruption
    if record.known is not None:
        return "measured before"
    if record.review == "rejected" or not cut.correction.strip():
        return "rejected or without a correction"
    if record.provenance.route == "completions" or not _plain(record.provenance.messages):
        return "not a plain chat"
    return "a tool call" if cut.claim.channel == "tool_calls" else ""


def _before(record: InterruptionRecord) -> dict[Channel, str]:
    """The turn up to the claim; its channel last."""
    kept, channel = record.interruption.kept, record.interruption.claim.channel
    before: dict[Channel, str] = {"reasoning": kept["reasoning"]} if kept.get("reasoning") else {}
    return {**before, channel: kept.get(channel, "")}


async def build(
    backend: Backend,
    questions: Iterable[Question],
    how: Asking,
    write: Callable[[Mapping[str, Any]], None],
    store: Store | None,
    told: Callable[[int], None],
    written: AbstractSet[str] = frozenset(),
) -> Tally:
    """Ask every question of a backend that has been started, `write` the rows, and put `known` into the `store`.

    `told` hears of each question. A prompt that has a row gets no second; `written` are those (`prompt_of`) that have
    one from before. A question that fails is counted; raises GuardError where all do.
    """
    tally, seen = Tally(), set(written)
    failed: GuardError | None = None
    async for heard in ask(backend, questions, how):
        became, made = row(heard, how)
        failed = heard.failed or failed
        if made is not None:
            prompt = prompt_of(made)
            became = "asked twice" if prompt in seen else became
            if prompt not in seen:
                write(made)
            seen.add(prompt)
        if store is not None and heard.question.key and heard.known is not None:
            await store.amend(heard.question.key, known=heard.known)
        tally.add(heard, became)
        told(1)
    if failed is not None and set(tally.counts) == {"failed"}:
        raise failed
    return tally


def row(heard: Heard, how: Asking) -> tuple[str, dict[str, Any] | None]:
    """What became of a question, and its row, in TRL's prompt-completion shape, where it gives one."""
    question = heard.question
    if heard.failed is not None:
        return "failed", None
    if heard.silent > HALF:
        return "no answer", None
    if heard.agreement < how.threshold:
        return "caution", _row(heard, how.text)
    if heard.right is None:
        return "sure, no truth given", None
    if not heard.right or (heard.known or 0.0) <= HALF:
        return "sure and wrong", None
    if not question.key:
        return "plain", _row(heard, question.truth if how.compare == "reasoning" else heard.said)
    if "content" not in question.prefix:
        return "known, said in the reasoning", None
    begun = question.prefix["content"]
    return "plain", _row(heard, f"{begun.rstrip()} {question.truth.strip()}".strip())


def _row(heard: Heard, text: str) -> dict[str, Any]:
    return {
        "prompt": list(heard.question.messages),
        "completion": [{"role": "assistant", "content": text}],
        "agreement": heard.agreement,
    }


def prompt_of(made: Mapping[str, Any]) -> str:
    """A row's prompt, to tell whether another row has the same."""
    return json.dumps(made.get("prompt"), sort_keys=True)


@dataclass(slots=True)
class Tally:
    """What was heard so far.

    Attributes:
        counts: questions by what became of them.
        auc: of agreement, as a score of being right, over questions whose truth is known; None with one kind alone.
    """

    counts: Counter[str] = field(default_factory=Counter)
    spent: int = 0
    _scored: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, heard: Heard, became: str) -> None:
        """One more."""
        self.counts[became] += 1
        self.spent += heard.spent
        if heard.right is not None and heard.failed is None:
            self._scored.append((heard.agreement, heard.right))

    @property
    def auc(self) -> float | None:
        """See the class."""
        good = [score for score, right in self._scored if right]
        bad = sorted(score for score, right in self._scored if not right)
        if not good or not bad:
            return None
        return sum(bisect_left(bad, one) + bisect_right(bad, one) for one in good) / (2 * len(good) * len(bad))
