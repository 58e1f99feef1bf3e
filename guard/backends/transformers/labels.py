"""How likely an answer goes on with each of a few words: one pass over the prompt, nothing is sampled.

Knows token spellings and softmax. Does not know templates or what the words mean. Its rules:

1. A word's probability is that of all next tokens that it begins with or that begin with it: `un` and `unsupported"`
   both speak for `unsupported"`. It is the model's own softmax, at temperature 1, not divided by anything.
2. A token that speaks for two words speaks for neither, so the probabilities sum to at most 1.
3. The prompt's cache goes to the shelf: a prompt that only grew is read from where it grew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

import torch

from guard.backends.transformers.choice import PIECE, Loaded, translated
from guard.backends.transformers.sequence import Sequence as Row
from guard.backends.transformers.vocabulary import Vocabulary
from guard.errors import UpstreamError


class Spellings:
    """Which tokens speak for a word; `size` is that of the logits."""

    def __init__(self, vocabulary: Vocabulary, size: int) -> None:
        self._vocabulary = vocabulary
        self._size = size
        self.tokens = lru_cache(maxsize=8)(self._tokens)

    def _tokens(self, words: tuple[str, ...]) -> tuple[torch.Tensor, ...]:
        spelled = [(id, self._vocabulary.bytes(id)) for id in range(self._size)]
        found = [[id for id, text in spelled if text and _agree(text, word.encode())] for word in words]
        count = Counter(id for ids in found for id in ids)
        return tuple(torch.tensor([id for id in ids if count[id] == 1], dtype=torch.long) for ids in found)


def _agree(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)


def shares(logits: torch.Tensor, tokens: Iterable[torch.Tensor]) -> list[float]:
    """The softmax of `logits` [vocabulary], summed over each of the `tokens`. Raises UpstreamError for NaN."""
    chances = torch.softmax(logits.float(), -1)
    if bool(chances.isnan().any()):
        raise UpstreamError("the model's logits are not numbers (NaN): try dtype 'float32'", status=500)
    return [float(chances[ids.to(chances.device)].sum()) for ids in tokens]


@dataclass(eq=False, slots=True)
class Look:
    """One look at a prompt: a task of the engine.

    Attributes:
        ids: the prompt.
        tokens: by word, the ids that speak for it.
        answer: gets the probabilities; cancelling it cancels the look.
    """

    ids: Sequence[int]
    tokens: Mapping[str, torch.Tensor]
    loaded: Loaded
    answer: asyncio.Future[Mapping[str, float]]
    _row: Row | None = field(default=None, repr=False)
    _done: bool = False

    @property
    def over(self) -> bool:
        """Nothing more is to be computed."""
        return self._done or self.answer.cancelled()

    @property
    def ready(self) -> bool:
        """It waits for nobody."""
        return True

    @property
    def reading(self) -> bool:
        """It never does anything else."""
        return True

    def step(self) -> None:
        """Read a piece of the prompt; behind the last one, answer."""
        if self._row is None:
            self._row = self.loaded.shelf.take(self.ids) or Row(self.loaded.model)
            self._row.retarget(self.ids)
        output = self._row.feed(PIECE)
        if output is not None:
            found = shares(output.logits, self.tokens.values())
            self._done = True
            self._tell(dict(zip(self.tokens, found, strict=True)))

    def fail(self, error: Exception) -> None:
        """It broke: nobody trusts its cache."""
        self._row, self._done = None, True
        self._tell(translated(error))

    def leave(self) -> None:
        """Over, or not wanted any more: what was read is kept."""
        if self._row is not None:
            self.loaded.shelf.put(self._row)
            self._row = None

    def _tell(self, found: Mapping[str, float] | Exception) -> None:
        def tell() -> None:
            if self.answer.done():
                return
            if isinstance(found, Exception):
                self.answer.set_exception(found)
            else:
                self.answer.set_result(found)

        with suppress(RuntimeError):  # its event loop is closed: nobody waits any more
            self.answer.get_loop().call_soon_threadsafe(tell)
