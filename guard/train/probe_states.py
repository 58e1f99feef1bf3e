"""The hidden states that a model writes labelled answers from, for `guard.train.probe`.

Knows the local backend's model, vocabulary and templates. Does not know how a head is fitted. Its rules:

1. A token's state is the one that it was predicted from, that is, behind the token before it: while a model writes,
   that one is there when the token is chosen, and no token has to wait for another pass.
2. A conversation is rendered with the model's chat template up to where it begins to answer, as the backend renders it;
   the answer follows as plain text. A template that opens reasoning there makes the answer reasoning. A model without a
   template reads context, question and answer, a blank line between them.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from guard.backends import ChatRequest
from guard.backends.transformers.model import LocalModel
from guard.backends.transformers.prompt import Template
from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import ConfigError, GuardError
from guard.train.probe_rows import Row

AT_ONCE = 4096
"""Tokens of a batch, padding included; one text alone may be longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A row as ids, before the model has read it; `places`: where each token of the answer stands in it."""

    row: Row
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """All of it but the last token, from which nothing is predicted."""
        return (*self.prompt, *self.answer[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A row as the model wrote it: `states` [tokens, width], on the CPU, in the model's own precision."""

    row: Row
    places: tuple[tuple[int, int], ...]
    states: torch.Tensor

    @property
    def labels(self) -> list[bool]:
        """By token: whether it is made up."""
        return [self.row.made_up(start, end) for start, end in self.places]


class Spelling:
    """How rows become ids."""

    def __init__(self, tokenizer: Any, positions: int | None) -> None:
        self._vocabulary = Vocabulary(tokenizer)
        self._positions = positions
        self._template = Template(tokenizer, self._vocabulary, None) if tokenizer.chat_template else None

    def text(self, row: Row) -> Text | None:
        """The row as ids; None where it is empty or too long for the model."""
        prompt, answer = self._prompt(row), tuple(self._vocabulary.plain(row.text))
        if not prompt or not answer or (self._positions is not None and len(prompt) + len(answer) > self._positions):
            return None
        return Text(row=row, prompt=prompt, answer=answer, places=tuple(self._places(answer)))

    def _prompt(self, row: Row) -> tuple[int, ...]:
        if self._template is None:
            asked = "".join(f"{part}\n\n" for part in (row.context, row.question) if part)
            return tuple(self._vocabulary.encode(asked or "\n", first=True))
        try:
            return self._template.prompt(ChatRequest(body={"messages": row.messages}), {}).ids
        except GuardError:
            # Some templates know no system message: what it said goes in front of the question.
            asked = "\n\n".join(part for part in (row.context, row.question) if part)
            messages = [{"role": "user", "content": asked}]
            return self._template.prompt(ChatRequest(body={"messages": messages}), {}).ids

    def _places(self, ids: Sequence[int]) -> Iterator[tuple[int, int]]:
        """(start, end) of the characters that each token completes."""
        decoder, end = codecs.getincrementaldecoder("utf-8")("replace"), 0
        for id in ids:
            start, end = end, end + len(decoder.decode(self._vocabulary.bytes(id)))
            yield start, end


def read_states(model: LocalModel, texts: Sequence[Text], layer: int, told: Callable[[int], None]) -> list[Answer]:
    """Let the model read the texts, alike lengths together; `told` hears how many more were read. In their order."""
    found: dict[int, Answer] = {}
    for batch in _batches(texts):
        with torch.inference_mode():
            states = model.states([texts[number].ids for number in batch], layer)
        for place, number in enumerate(batch):
            text = texts[number]
            first = len(text.prompt) - 1
            own = states[place, first : first + len(text.answer)].to("cpu", copy=True)
            if not bool(own.isfinite().all()):
                raise ConfigError("the model's hidden states are not numbers (NaN): try another layer or precision")
            found[number] = Answer(row=text.row, places=text.places, states=own)
        told(len(batch))
    return [found[number] for number in range(len(texts))]


def _batches(texts: Sequence[Text]) -> Iterator[list[int]]:
    batch: list[int] = []
    for number in sorted(range(len(texts)), key=lambda number: len(texts[number].ids)):
        if batch and (len(batch) + 1) * len(texts[number].ids) > AT_ONCE:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
