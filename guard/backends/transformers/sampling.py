"""From logits to a token: penalties, bias, temperature, the usual filters, and what was thought of it.

Knows tensors. Does not know text or requests. Log-probabilities and entropy are the model's own: nats, before
penalties, bias and temperature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from guard.backends.transformers.model import Output
from guard.errors import UpstreamError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to choose a token.

    Attributes:
        temperature: 0 takes the best one.
        top_p, top_k, min_p: 1, 0 and 0 keep everything.
        frequency, presence: OpenAI's penalties, over the turn so far.
        repetition: divides positive and multiplies negative logits of every id in the context; 1 does nothing.
        bias: added to logits, by token id.
        top: how many alternatives to tell.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency: float = 0.0
    presence: float = 0.0
    repetition: float = 1.0
    bias: Mapping[int, float] = field(default_factory=dict)
    top: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One chosen token, its log-probability and the entropy it was chosen under (nats), the best alternatives (best
    first), the hidden state [width] that it was predicted from, if the engine was asked for it, and what the model's
    probe makes of that place, if it has one."""

    id: int
    logprob: float
    entropy: float
    top: tuple[tuple[int, float], ...] = ()
    hidden: torch.Tensor | None = None
    probe: float | None = None


class Sampler:
    """Chooses the tokens of one attempt; the same seed and logits choose the same tokens."""

    def __init__(self, sampling: Sampling, seed: int | None, device: torch.device) -> None:
        self._sampling = sampling
        self._random = torch.Generator(device)
        if seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(seed % 2**63)

    def pick(
        self, output: Output, prompt: Sequence[int], turn: Sequence[int], only: torch.Tensor | None = None
    ) -> Step:
        """The next token after `prompt` and `turn`, one of the ids `only` if they are told.

        Raises UpstreamError for logits that are not numbers.
        """
        logits = output.logits.float()
        logprobs = torch.log_softmax(logits, -1)
        entropy = float(torch.special.entr(logprobs.exp()).sum())
        if math.isnan(entropy):
            raise UpstreamError("the model's logits are not numbers (NaN): try dtype 'float32'", status=500)
        chosen = self._choose(_among(self._shaped(logits, prompt, turn), only))
        return Step(chosen, float(logprobs[chosen]), entropy, self._top(logprobs), output.hidden)

    def _top(self, logprobs: torch.Tensor) -> tuple[tuple[int, float], ...]:
        if not self._sampling.top:
            return ()
        best = logprobs.topk(min(self._sampling.top, len(logprobs)))
        return tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    def _shaped(self, logits: torch.Tensor, prompt: Sequence[int], turn: Sequence[int]) -> torch.Tensor:
        how = self._sampling
        if how.repetition != 1.0:
            seen = torch.tensor(sorted({*prompt, *turn}), device=logits.device)
            old = logits[seen]
            logits = logits.index_copy(0, seen, torch.where(old > 0, old / how.repetition, old * how.repetition))
        if how.frequency or how.presence:
            ids = torch.tensor(turn, dtype=torch.long, device=logits.device)
            counts = torch.bincount(ids, minlength=len(logits))
            logits = logits - how.frequency * counts - how.presence * (counts > 0)
        if how.bias:
            where = torch.tensor(list(how.bias), device=logits.device)
            logits = logits.index_add(0, where, torch.tensor(list(how.bias.values()), device=logits.device))
        return logits

    def _choose(self, logits: torch.Tensor) -> int:
        if self._sampling.temperature == 0:
            return int(logits.argmax())
        chances = torch.softmax(self._filtered(logits / self._sampling.temperature), -1)
        return int(torch.multinomial(chances, 1, generator=self._random))

    def _filtered(self, logits: torch.Tensor) -> torch.Tensor:
        how = self._sampling
        if 0 < how.top_k < len(logits):
            logits = logits.masked_fill(logits < logits.topk(how.top_k).values[-1], -math.inf)
        if how.top_p < 1:
            ordered, order = logits.sort(descending=True)
            chances = ordered.softmax(-1)
            beyond = chances.cumsum(-1) - chances >= how.top_p
            beyond[0] = False
            logits = logits.masked_fill(torch.zeros_like(beyond).scatter(0, order, beyond), -math.inf)
        if how.min_p > 0:
            chances = logits.softmax(-1)
            logits = logits.masked_fill(chances < how.min_p * chances.max(), -math.inf)
        return logits


def _among(logits: torch.Tensor, only: torch.Tensor | None) -> torch.Tensor:
    """The logits of these ids; all others cannot be chosen."""
    if only is None:
        return logits
    only = only.to(logits.device)
    return torch.full_like(logits, -math.inf).index_copy(0, only, logits[only])
