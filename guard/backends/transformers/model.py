"""The loaded model: one forward pass at a time, and what it says about the next token.

Knows torch and transformers' calling convention. Does not know text, requests or threads. `forwards` counts forward
passes: it is what tests of cancelling measure, instead of time.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging as hub_logging

from guard.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Output:
    """`logits` [vocabulary] after the last token fed; `hidden` [width], its last hidden state, if it was asked for;
    `state` [width], its hidden state at the model's `layer`, if one is set."""

    logits: torch.Tensor
    hidden: torch.Tensor | None = None
    state: torch.Tensor | None = None


class LocalModel:
    """A causal language model.

    Args:
        model: a transformers model in eval mode, on its device.
        hidden: whether every pass also yields the last hidden state (transformers' ``hidden_states[-1]``).

    Attributes:
        layer: the index into ``hidden_states`` that every pass also yields the state of; None: none.
    """

    def __init__(self, model: Any, *, hidden: bool = False) -> None:
        self._model = model
        self._hidden = hidden
        self.layer: int | None = None
        keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._extra: dict[str, Any] = {"logits_to_keep": 1} if keeps else {}
        self.device: torch.device = model.device
        self.forwards = 0

    @property
    def positions(self) -> int | None:
        """Tokens that fit into the context, or None where the model does not say."""
        limit: int | None = getattr(self._config, "max_position_embeddings", None)
        return limit

    @property
    def vocabulary(self) -> int:
        """Size of the logits."""
        size: int = self._config.vocab_size
        return size

    @property
    def width(self) -> int:
        """Numbers in a hidden state."""
        size: int = self._config.hidden_size
        return size

    @property
    def depth(self) -> int:
        """The last index into ``hidden_states``: there is one behind every layer, and the embedding is 0."""
        layers: int = self._config.num_hidden_layers
        return layers

    @property
    def config(self) -> dict[str, Any]:
        """The model's configuration."""
        told: dict[str, Any] = self._model.config.to_dict()
        return told

    def parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Its tensors by name, in the model's order."""
        yield from self._model.named_parameters()

    @property
    def generation(self) -> Any:
        """The model's generation_config: end tokens and its makers' sampling values."""
        return self._model.generation_config

    @property
    def _config(self) -> Any:
        return self._model.config.get_text_config(decoder=True)

    def cache(self) -> Any:
        """An empty key-value cache of the kind this model needs."""
        return DynamicCache(config=self._model.config)

    def forward(self, ids: Sequence[int], cache: Any) -> Output:
        """One pass over `ids` behind what is in `cache`, which it extends."""
        self.forwards += 1
        fed = torch.tensor([list(ids)], device=self.device)
        out = self._model(
            input_ids=fed,
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=self._hidden or self.layer is not None,
            **self._extra,
        )
        hidden = out.hidden_states[-1][0, -1] if self._hidden else None
        state = None if self.layer is None else out.hidden_states[self.layer][0, -1]
        return Output(out.logits[0, -1], hidden, state)

    def states(self, rows: Sequence[Sequence[int]], layer: int) -> torch.Tensor:
        """[rows, longest, width]: the hidden states of whole texts at a layer; behind a shorter text's end, anything.

        One pass without a cache: for training.
        """
        longest = max(map(len, rows))
        fed = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=self.device)
        real = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device)
        out = self._model(input_ids=fed, attention_mask=real, use_cache=False, output_hidden_states=True, **self._extra)
        states: torch.Tensor = out.hidden_states[layer]
        return states


def load(model: str, *, tokenizer: str | None, dtype: str, device: str, hidden: bool) -> tuple[LocalModel, Any]:
    """The model and its tokenizer, from a folder or by name.

    `device` ``auto`` is CUDA where there is one, else the CPU; `dtype` ``auto`` is float32 on the CPU, elsewhere what
    the files say. A folder that exists is read without touching the network.

    Raises:
        ConfigError: they cannot be loaded.
    """
    place = _device(device)
    hub_logging.disable_progress_bar()  # a server's standard error is a log
    kind = "float32" if dtype == "auto" and place.type == "cpu" else dtype
    try:
        loaded = AutoModelForCausalLM.from_pretrained(model, dtype=kind, **_local(model))
        told = tokenizer or model
        return LocalModel(loaded.to(place).eval(), hidden=hidden), AutoTokenizer.from_pretrained(told, **_local(told))
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
        raise ConfigError(f"model {model!r} cannot be loaded ({error}); name a folder or a hub model") from error


def _local(name: str) -> dict[str, bool]:
    return {"local_files_only": True} if Path(name).exists() else {}


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is not one that torch knows; try 'cpu' or 'cuda'") from error
