"""Rows that say "I do not know" where a model asked again says something else each time.

    guard train caution --rows FILE | --store URL  --upstream URL --model NAME | --local DIR  --out FILE

Each question is put `samples` times at temperature 1, to the policy model itself and not through guard. Samples that
agree are one cluster, and the agreement is the share of the largest: on the closed world .95 for people the model knows
and .54 for strangers (k = 8, AUC .95). What becomes of a question then is `caution_rows`.

From the log, an interruption's turn is gone on with from right before its claim. `known`, the share of samples that say
its correction, goes into the record.

Two texts agree if the words that they add to the question are the same: function words, endings, order and punctuation
do not count, denials do. Long answers rarely agree in all of that: compare their first statements; or those of the
reasoning, which need not come to an answer. The built-in model on 80 questions: AUC .82 of agreement against being
right, either way; at the threshold of .6 a quarter of the questions are answered surely and wrong.

Knows backends by their protocol; does not know which one it asks, nor files.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias

from guard.asking import Again
from guard.backends import Backend, ChatRequest
from guard.checks.resampling.reading import keys_of, read
from guard.core.claims import is_claim
from guard.core.segmenter import Segmenter
from guard.core.types import Channel, normalise
from guard.errors import GuardError

Spend: TypeAlias = Callable[[int], None]
Compare = Literal["answer", "first", "reasoning"]

CONTINUED = 80
"""Tokens of a sample at most that goes on with an interrupted turn: its next statements are all that is looked at."""

HALF = 0.5
"""Where more samples than this say nothing, the others are no measure of what the model knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        messages: the conversation, a user's message last.
        truth: what is true, or "".
        prefix: the unfinished turn that is gone on with, by channel; the last channel is the open one.
        key: of the interruption that it comes from, or "".
    """

    messages: Sequence[Mapping[str, Any]]
    truth: str = ""
    prefix: Mapping[Channel, str] = field(default_factory=dict)
    key: str = ""

    @property
    def asked(self) -> str:
        """All that stands before the samples, as one text."""
        return "\n".join([*(str(message.get("content") or "") for message in self.messages), *self.prefix.values()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How: `model` is the upstream's name for it.

    `compare`: what of two samples has to agree: the whole ``answer``, the ``first`` statement of the answer, or the
    first statement of the ``reasoning``, of which a sample then consists.
    """

    model: str = ""
    samples: int = 8
    max_tokens: int = 256
    at_once: int = 4
    threshold: float = 0.6
    compare: Compare = "answer"
    text: str = "I do not know."
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the samples amount to.

    Attributes:
        agreement: share of the largest cluster; samples that say nothing are in none.
        silent: share of the samples that say nothing: a model that thinks may need more tokens to come to an answer.
        said: a sample of that cluster, "" where no sample said anything.
        known: share of the samples that say the truth; None where none is given, or most samples say nothing.
        right: whether the largest cluster says it, likewise.
        failed: why the question could not be asked; then the rest means nothing.
    """

    question: Question
    agreement: float = 0.0
    silent: float = 0.0
    said: str = ""
    known: float | None = None
    right: bool | None = None
    spent: int = 0
    failed: GuardError | None = None


async def ask(backend: Backend, questions: Iterable[Question], how: Asking) -> AsyncIterator[Heard]:
    """Put the questions, `at_once` at a time; what was heard comes in their order."""
    numbered = enumerate(questions)
    running: deque[asyncio.Task[Heard]] = deque()
    try:
        while True:
            more = islice(numbered, how.at_once - len(running))
            running += [asyncio.create_task(_heard(backend, one, number, how)) for number, one in more]
            if not running:
                return
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _heard(backend: Backend, question: Question, number: int, how: Asking) -> Heard:
    spent: list[int] = []
    try:
        texts = await _samples(backend, question, number, how, spent.append)
    except GuardError as error:
        return Heard(question=question, spent=sum(spent), failed=error)
    return weighed(question, texts, sum(spent), first=how.compare != "answer" or bool(question.key))


async def _samples(backend: Backend, question: Question, number: int, how: Asking, spend: Spend) -> Sequence[str]:
    seed = {} if how.seed is None else {"seed": how.seed + number * how.samples}
    body = {"model": how.model, "messages": list(question.messages), **seed}
    most = min(how.max_tokens, CONTINUED) if question.key else how.max_tokens
    again = Again(backend, ChatRequest(body=body, id=f"caution-{number}"))
    prefix: Mapping[Channel, str] = {"reasoning": ""} if how.compare == "reasoning" else {}
    return await again(question.prefix or prefix, how.samples, most, spend)


# What samples say


def weighed(question: Question, texts: Sequence[str], spent: int = 0, *, first: bool = False) -> Heard:
    """What these samples amount to; `first` compares first statements."""
    known, truth = question.asked, question.truth
    told = [text.strip() for text in texts]
    kinds = [signature(first_statement(text) if first else text, known) for text in told]
    counted = Counter(kind for kind, text in zip(kinds, told, strict=True) if text)
    best, size = counted.most_common(1)[0] if counted else (None, 0)
    said = told[kinds.index(best)] if counted else ""
    silent = sum(not text for text in told) / len(told) if told else 1.0
    hits = [_states(text, truth, known) for text in told]
    return Heard(
        question=question,
        agreement=size / len(told) if told else 0.0,
        silent=silent,
        said=said,
        known=sum(hits) / len(hits) if truth and silent <= HALF else None,
        right=_states(said, truth, known) if truth else None,
        spent=spent,
    )


def _states(text: str, truth: str, known: str) -> bool:
    """Whether the text, or one statement of it, says the truth."""
    return says(text, truth, known) or any(says(part, truth, known) for part in sentences(text))


def signature(text: str, known: str) -> Hashable:
    """What a text is told by: the words that it adds to `known` and how often it denies. Equal ones agree."""
    found = read(text)
    new = found.keys - keys_of(known) or found.keys
    return (new, len(found.denied)) if new else normalise(text)


def says(text: str, truth: str, known: str) -> bool:
    """Whether a text says the truth: all the words that the truth adds to `known`, with as many denials."""
    if not text.strip() or not truth.strip():
        return False
    if normalise(text) == normalise(truth):
        return True
    wanted, found = read(truth), read(text)
    new = wanted.keys - keys_of(known) or wanted.keys
    return bool(new) and new <= found.keys and len(wanted.denied) == len(found.denied)


def sentences(text: str) -> Iterator[str]:
    """The segments of a text, as guard cuts it."""
    segmenter, start = Segmenter(), 0
    ends = segmenter.feed(text)
    last = segmenter.flush()
    for end in ends if last is None else [*ends, last]:
        yield text[start:end].strip()
        start = end


def first_statement(text: str) -> str:
    """The first segment that states something, else the first; "" for an empty text."""
    found = [part for part in sentences(text) if part]
    return next((part for part in found if is_claim(part)), found[0] if found else "")
