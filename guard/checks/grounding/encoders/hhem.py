"""HHEM-2.1-Open's weights in transformers' own T5 token classifier, without the code that they come with.

Its `config.json` names a model type that only that code knows, and says nothing of the network's size; the shapes of
the weights do (`modeling_hhem_v2.py`: a T5ForTokenClassification under the name `t5`). What no shape tells is as in
Flan-T5: gated GELU, the farthest distance and the norms' epsilon. It does not know prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import T5Config, T5ForTokenClassification

from guard.errors import ConfigError

_BLOCK = "transformer.encoder.block."
_ATTENTION = f"{_BLOCK}0.layer.0.SelfAttention."
_TIED = {"transformer.shared.weight", "transformer.encoder.embed_tokens.weight"}


def load_hhem(path: Path) -> Any:
    """The network in a safetensors file. Raises ConfigError where its weights are not HHEM's."""
    weights = {name.removeprefix("t5."): tensor for name, tensor in load_file(path).items()}
    if not weights.keys() & _TIED:
        raise ConfigError("its weights hold no embeddings")
    embeddings = next(weights[name] for name in sorted(_TIED, reverse=True) if name in weights)
    weights |= dict.fromkeys(_TIED, embeddings)
    try:
        model = T5ForTokenClassification(_config(weights))
    except KeyError as error:
        raise ConfigError(f"its weights lack {error.args[0]!r}") from None
    lacking, left = model.load_state_dict(weights, strict=False)
    if lacking or left:
        raise ConfigError(f"its weights do not fit T5: {sorted([*lacking, *left])[0]!r}")
    return model


def _config(weights: Mapping[str, torch.Tensor]) -> Any:
    vocabulary, width = weights["transformer.shared.weight"].shape
    buckets, heads = weights[f"{_ATTENTION}relative_attention_bias.weight"].shape
    gated = f"{_BLOCK}0.layer.1.DenseReluDense.wi_0.weight"
    inner = weights[gated if gated in weights else f"{_BLOCK}0.layer.1.DenseReluDense.wi.weight"]
    blocks = {int(name[len(_BLOCK) :].partition(".")[0]) for name in weights if name.startswith(_BLOCK)}
    return T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=weights[f"{_ATTENTION}q.weight"].shape[0] // heads,
        d_ff=inner.shape[0],
        num_layers=len(blocks),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu" if gated in weights else "relu",
        num_labels=weights["classifier.weight"].shape[0],
    )
