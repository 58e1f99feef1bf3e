"""Loads a causal language model to train it or to look at it: a folder, a hub name, or a folder with a LoRA adapter.

Knows transformers and peft. Weights come from safetensors alone: a pickle is code, and none is ever run.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as hub_logging

from guard.errors import ConfigError

ADAPTER = "adapter_config.json"
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, SafetensorError)
"""What transformers, peft and safetensors raise over files that are not a model's."""

_SAID = 300
"""Characters of their message that are told: a size mismatch names every tensor."""


def load(name: str, *, dtype: str = "auto", device: str = "auto", base: str | None = None) -> tuple[Any, Any]:
    """A model in eval mode on its device, and its tokenizer.

    `dtype` ``auto`` is float32 on the CPU and the files' own elsewhere, else a torch name; `device` ``auto`` is CUDA
    where there is one. A folder that holds an adapter is loaded over `base`, by default the base it names.

    Raises:
        ConfigError: they cannot be loaded.
    """
    hub_logging.disable_progress_bar()
    try:
        place = torch.device(_device(device))
        kind = "float32" if dtype == "auto" and place.type == "cpu" else dtype
        model = _model(name, kind, base)
        return model.to(place).eval(), AutoTokenizer.from_pretrained(_words(name, base), **_local(name))
    except BROKEN as error:
        raise ConfigError(f"model {name!r} cannot be loaded ({said(error)}); name a folder with safetensors") from None


def said(error: Exception) -> str:
    """What another library's error says, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SAID else f"{text[:_SAID]}..."


def adapted(name: str) -> bool:
    """Whether this is a folder that holds a LoRA adapter."""
    return (Path(name) / ADAPTER).is_file()


def base_of(name: str) -> str:
    """The base that an adapter's folder names. Raises ConfigError where it names none."""
    base = json.loads((Path(name) / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ConfigError(f"{str(Path(name) / ADAPTER)!r} names no base model; write it into base_model_name_or_path")
    return str(base)


def over(model: Any, name: str) -> Any:
    """The model with the adapter of this folder, named ``default``, over it. Raises ConfigError for a pickled one."""
    from peft import PeftModel

    if not (Path(name) / "adapter_model.safetensors").is_file():
        raise ConfigError(f"{name!r} has no adapter_model.safetensors; save the adapter with safe_serialization")
    with warnings.catch_warnings():
        # peft asks for a property whose name transformers has changed; nobody here can do about it.
        warnings.filterwarnings("ignore", r"`is_gradient_checkpointing` is deprecated", FutureWarning)
        return PeftModel.from_pretrained(model, name)


def _model(name: str, dtype: str, base: str | None) -> Any:
    if adapted(name):
        return over(_model(base or base_of(name), dtype, None), name)
    return AutoModelForCausalLM.from_pretrained(name, dtype=dtype, use_safetensors=True, **_local(name))


def _words(name: str, base: str | None) -> str:
    """Where the tokenizer is: beside an adapter, else with its base."""
    if adapted(name) and not (Path(name) / "tokenizer_config.json").is_file():
        return base or base_of(name)
    return name


def _local(name: str) -> dict[str, bool]:
    return {"local_files_only": True} if Path(name).exists() else {}


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
