"""Many texts of a small model at once: sampled, scored, looked at one token ahead.

Knows a model in memory and token ids; knows no world, no text and no loss. Everything runs in batches of padded rows
on the model's own device; a greedy text never depends on what shares its batch, but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

Ids = Sequence[int]
BATCH = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a text is drawn.

    Attributes:
        ends: ids that end a text; the one that did is its last.
        limit: at most so many tokens.
        temperature: 0 is greedy.
        seed: of everything that is drawn.
        top: alternatives to keep with each token, with log-probabilities before temperature.
    """

    ends: frozenset[int]
    limit: int = 96
    temperature: float = 1.0
    seed: int = 0
    top: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A text as drawn: ids, and for each the log-probability (nats, before temperature) of it and of the best `top`."""

    ids: list[int]
    logprobs: list[float]
    top: list[tuple[tuple[int, float], ...]]


@torch.no_grad()
def draw(model: Any, prompts: Sequence[Ids], how: Sampling) -> list[Drawn]:
    """What the model goes on with behind each prompt, in the order of the prompts."""
    generator = torch.Generator(device=model.device).manual_seed(how.seed)
    drawn: list[Drawn] = [Drawn(ids=[], logprobs=[], top=[]) for _ in prompts]
    for places in _batches(prompts):
        _draw_batch(model, [prompts[i] for i in places], [drawn[i] for i in places], how, generator)
    return drawn


def _draw_batch(model: Any, prompts: list[Ids], drawn: list[Drawn], how: Sampling, generator: torch.Generator) -> None:
    device = model.device
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts], device=device)
    visible = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
    positions = (visible.cumsum(1) - 1).clamp(min=0)
    ends = torch.tensor(sorted(how.ends), device=device)
    live, open_ = list(range(len(prompts))), torch.ones(len(prompts), dtype=torch.bool, device=device)
    past = None
    for _ in range(how.limit):
        out = model(input_ids=ids, attention_mask=visible, position_ids=positions, past_key_values=past, use_cache=True)
        past = out.past_key_values
        logprobs = F.log_softmax(out.logits[:, -1].float(), -1)
        chosen = _choose(logprobs, how.temperature, generator)
        _keep([drawn[i] for i in live], open_.tolist(), chosen, logprobs, how.top)
        open_ = open_ & ~torch.isin(chosen, ends)
        if not bool(open_.any()):
            return
        if int(open_.sum()) <= len(live) * 3 // 4:  # what has ended costs as much as what goes on
            stay = open_.nonzero()[:, 0]
            past.batch_select_indices(stay)
            live = [live[i] for i in stay.tolist()]
            visible, positions, chosen, open_ = visible[stay], positions[stay], chosen[stay], open_[stay]
        ids, positions = chosen[:, None], positions[:, -1:] + 1
        visible = torch.cat([visible, visible.new_ones(len(live), 1)], 1)


def _choose(logprobs: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return logprobs.argmax(-1)
    return torch.multinomial((logprobs / temperature).softmax(-1), 1, generator=generator)[:, 0]


def _keep(drawn: list[Drawn], open_: list[bool], chosen: Tensor, logprobs: Tensor, top: int) -> None:
    """Note a step's tokens; a text that is not open has ended and only still stands in the batch."""
    own = logprobs.gather(1, chosen[:, None])[:, 0].tolist()
    best = logprobs.topk(top, -1) if top else None
    ids, values = (best.indices.tolist(), best.values.tolist()) if best is not None else ([], [])
    for row, token in enumerate(chosen.tolist()):
        if open_[row]:
            drawn[row].ids.append(token)
            drawn[row].logprobs.append(own[row])
            drawn[row].top.append(tuple(zip(ids[row], values[row], strict=True)) if top else ())


@torch.no_grad()
def next_probability(model: Any, contexts: Sequence[Ids], tokens: Sequence[int]) -> list[float]:
    """The probability that each context is followed by one of `tokens`."""
    wanted = list(tokens)
    return _ahead(model, contexts, lambda logprobs: logprobs[:, wanted].logsumexp(-1).exp())


@torch.no_grad()
def log_probability(model: Any, pairs: Sequence[tuple[Ids, Ids]]) -> list[float]:
    """The log-probability in nats of each second text behind its first."""
    found: list[float] = [0.0] * len(pairs)
    whole = [[*context, *text] for context, text in pairs]
    for places in _batches(whole):
        logprobs, ids = _scored(model, [whole[i] for i in places])
        for row, place in enumerate(places):
            start, end = len(pairs[place][0]) - 1, len(whole[place]) - 1
            found[place] = float(logprobs[row, start:end].gather(1, ids[row, start + 1 : end + 1, None]).sum())
    return found


def _ahead(model: Any, contexts: Sequence[Ids], read: Callable[[Tensor], Tensor]) -> list[float]:
    found: list[float] = [0.0] * len(contexts)
    for places in _batches(contexts):
        rows = [contexts[i] for i in places]
        logprobs, _ = _scored(model, rows)
        last = torch.tensor([len(row) - 1 for row in rows], device=logprobs.device)
        values = read(logprobs[torch.arange(len(rows), device=logprobs.device), last]).tolist()
        for place, value in zip(places, values, strict=True):
            found[place] = value
    return found


def _scored(model: Any, rows: list[Ids]) -> tuple[Tensor, Tensor]:
    """Log-probabilities (rows, width, vocabulary) and ids (rows, width) of rows padded on the right."""
    width = max(map(len, rows))
    ids = torch.tensor([list(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    visible = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    logits = model(input_ids=ids, attention_mask=visible, use_cache=False).logits
    return F.log_softmax(logits.float(), -1), ids


def _batches(rows: Sequence[Ids]) -> Iterator[list[int]]:
    """Places of rows, of about the same length together."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    return (order[start : start + BATCH] for start in range(0, len(order), BATCH))
