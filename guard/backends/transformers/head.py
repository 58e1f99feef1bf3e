"""A probe: one linear head over a hidden state of one model, and its file.

Knows safetensors and how a model is told from another. Does not know text, labels or how a head is fitted. Its rules:

1. A file names the model that it was fitted on by its fingerprint, and is refused for every other.
2. Normalisation and calibration are folded into weights and bias when the file is read, so that a token costs one dot
   product.
3. Bad files are a ConfigError of one line; nothing in a file is code.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from guard.backends.transformers.model import LocalModel
from guard.errors import ConfigError

FORMAT = "premise-guard probe 1"
"""What a file's metadata calls itself; another format is refused."""

_SAMPLED = 16
"""Values of each tensor that a fingerprint looks at: all of them would take minutes for a large model."""
_VOLATILE = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_cache", "architectures")
_WAY_OUT = "train one for it with guard train probe, or take `probe` out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What training found.

    The probability that a token is made up is sigmoid(calibration[0] * z + calibration[1]), where
    z = weights · (state - mean) / scale + bias.

    Attributes:
        layer: index into transformers' `hidden_states`: 0 is the embedding, the last one is behind the final norm.
        weights, mean, scale: [width], float32.
        bias: of z.
        calibration: slope and offset.
        about: what else the file should say, as text.
    """

    layer: int
    weights: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    bias: float
    calibration: tuple[float, float]
    about: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Head:
    """A probe ready to be asked: `weights` [width], float32 on the model's device."""

    layer: int
    weights: torch.Tensor
    bias: float

    def __call__(self, state: torch.Tensor) -> float:
        """What it makes of one state [width]: 0..1, 1 for made up. Not a number where the state is none."""
        return sigmoid(float(self.weights @ state.float()) + self.bias)


def sigmoid(value: float) -> float:
    """1 / (1 + exp(-value)), for any value."""
    return 1 / (1 + math.exp(-value)) if value > -500 else 0.0


def fold(fitted: Fitted, device: torch.device) -> Head:
    """Normalisation and calibration in one set of weights."""
    slope, offset = fitted.calibration
    weights = slope * fitted.weights / fitted.scale
    bias = slope * fitted.bias + offset - float(weights @ fitted.mean)
    return Head(fitted.layer, weights.to(device), bias)


def fingerprint(model: LocalModel) -> str:
    """SHA-256 of a model's configuration and of the first values of each of its tensors, as bfloat16.

    A fine-tuned copy has another one; the same weights loaded in another precision have the same.
    """
    digest = hashlib.sha256(json.dumps(_steady(model.config), sort_keys=True, default=str).encode())
    for name, tensor in model.parameters():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        sample = tensor.detach().reshape(-1)[:_SAMPLED].to("cpu", torch.bfloat16)
        digest.update(sample.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


def _steady(config: Any) -> Any:
    """A configuration without what depends on who saved or loaded it."""
    if not isinstance(config, dict):
        return config
    return {name: _steady(value) for name, value in config.items() if name not in _VOLATILE}


def write(path: Path, fitted: Fitted, model: LocalModel) -> None:
    """Write a probe of `model`. Raises ConfigError where the file cannot be written."""
    tensors = {
        "weights": fitted.weights,
        "mean": fitted.mean,
        "scale": fitted.scale,
        "bias": torch.tensor([fitted.bias]),
        "calibration": torch.tensor(fitted.calibration),
    }
    metadata = {**fitted.about, "format": FORMAT, "layer": str(fitted.layer), "model": fingerprint(model)}
    plain = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, path, metadata)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"probe {str(path)!r} cannot be written: {error}") from None


def read(path: Path, model: LocalModel) -> Head:
    """The probe in a file, for this model and no other.

    Raises:
        ConfigError: there is no such file, it is no probe, or it is another model's.
    """
    tensors, metadata = _opened(path)
    if metadata.get("format") != FORMAT:
        raise ConfigError(f"probe {str(path)!r} is no probe ({FORMAT!r}): write one with guard train probe")
    if metadata.get("model") != fingerprint(model):
        trained = metadata.get("trained on", "")
        raise ConfigError(f"probe {str(path)!r} is of another model ({trained!r}); {_WAY_OUT}")
    return fold(_checked(path, tensors, metadata, model), model.device)


def _opened(path: Path) -> tuple[dict[str, torch.Tensor], Mapping[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 - no dict
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigError(f"probe {str(path)!r} cannot be read: {error}") from None


def _checked(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str], model: LocalModel) -> Fitted:
    shapes = {**dict.fromkeys(("weights", "mean", "scale"), (model.width,)), "bias": (1,), "calibration": (2,)}
    for name, shape in shapes.items():
        found: Any = tensors.get(name)
        if found is None or tuple(found.shape) != shape or not bool(found.float().isfinite().all()):
            told = None if found is None else tuple(found.shape)
            raise ConfigError(
                f"probe {str(path)!r}: {name!r} must be {shape!r} finite numbers, not {told!r}; {_WAY_OUT}"
            )
    layer = metadata.get("layer", "")
    if not layer.isdecimal() or int(layer) > model.depth:
        raise ConfigError(f"probe {str(path)!r}: there is no layer {layer!r}, 0 to {model.depth} are; {_WAY_OUT}")
    if not bool((tensors["scale"] > 0).all()):
        raise ConfigError(f"probe {str(path)!r}: every 'scale' must be above 0; {_WAY_OUT}")
    slope, offset = (float(value) for value in tensors["calibration"])
    return Fitted(
        layer=int(layer),
        weights=tensors["weights"].float(),
        mean=tensors["mean"].float(),
        scale=tensors["scale"].float(),
        bias=float(tensors["bias"][0]),
        calibration=(slope, offset),
        about=metadata,
    )
