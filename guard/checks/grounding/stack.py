"""What the trees and an encoder say together: one logistic regression over a few log odds, read from `stack.json`.

    {"format": 1, "lexical": "0b6c4ab31e0f", "inputs": ["lexical", "statement"], "weights": [0.6, 0.5], "bias": -0.2,
     "ask_from": 0.03, "about": {}}

The probability is 1 / (1 + exp(-(bias + sum of weight x input))). `lexical` is the version of the trees' file that the
weights were fitted with: other trees make other log odds, so they are refused. `ask_from` is the trees' probability
from which the encoder is asked at all. `INPUTS` are all the inputs there are; `guard.train.stack` fits over them. A
Hugging Face model has no such file: it is believed alone, as it is (`alone`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.errors import ConfigError

FORMAT = 1
MOST = 30.0
"""Log odds are cut off here: beyond it a probability is 0 or 1 to every digit that anybody reads."""

INPUTS: Mapping[str, Callable[[float, float, Sequence[float]], float]] = {
    "lexical": lambda lexical, statement, tokens: lexical,
    "statement": lambda lexical, statement, tokens: statement,
    "token_most": lambda lexical, statement, tokens: max(tokens, default=statement),
    "token_mean": lambda lexical, statement, tokens: sum(tokens) / len(tokens) if len(tokens) else statement,
}
"""Input by name, from the trees' calibrated log odds, the statement's and its tokens', each cut off at `MOST`."""


def probability(log_odds: float) -> float:
    """The probability that has these log odds."""
    return 1.0 / (1.0 + math.exp(-_cut(log_odds)))


def inputs(names: Sequence[str], lexical: float, statement: float, tokens: Sequence[float]) -> list[float]:
    """The values of the inputs named, in that order."""
    row = _cut(lexical), _cut(statement), [_cut(token) for token in tokens]
    return [INPUTS[name](*row) for name in names]


def _cut(log_odds: float) -> float:
    return max(-MOST, min(MOST, float(log_odds)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """See the module. `about` is what the fit wrote down of itself, `digest` the SHA-256 of the file."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float
    ask_from: float
    about: Mapping[str, Any]
    digest: str = ""

    def score(self, lexical: float, statement: float, tokens: Sequence[float]) -> float:
        """The probability that a statement is unsupported, from log odds."""
        row = inputs(self.names, lexical, statement, tokens)
        return probability(self.bias + sum(w * x for w, x in zip(self.weights, row, strict=True)))


alone = Stack(names=("statement",), weights=(1.0,), bias=0.0, ask_from=0.0, about={})
"""The encoder asked about everything, and its own probability taken as it is."""


def load(path: Path, lexical: str) -> Stack:
    """The stack in a file, for trees of version `lexical`. Raises ConfigError, one line."""
    try:
        raw = path.read_bytes()
        document = json.loads(raw)
        fitted = document["lexical"]
        if not isinstance(fitted, str) or not fitted:
            raise ValueError(f"lexical: {fitted!r} is no version of a lexical model")
        stack = _stack(document, hashlib.sha256(raw).hexdigest())
    except OSError as error:
        raise ConfigError(f"the stack {str(path)!r} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"the stack {str(path)!r} is not valid: {told}") from None
    if fitted != lexical:
        raise ConfigError(
            f"the stack {str(path)!r} was fitted with the lexical model {fitted!r}, not with {lexical!r}; "
            "fit it again with guard.train.stack, or use the encoder that belongs to the model"
        )
    return stack


def _stack(document: Any, digest: str) -> Stack:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}, not {FORMAT}")
    names, weights = document["inputs"], document["weights"]
    if not isinstance(names, list) or not names or len(set(names)) != len(names) or set(names) - INPUTS.keys():
        raise ValueError(f"inputs {names!r} are not some of {list(INPUTS)!r}, each once")
    if not isinstance(weights, list) or len(weights) != len(names):
        raise ValueError(f"{len(names)} inputs do not go with weights {weights!r}")
    ask_from = _finite(document["ask_from"])
    if not 0 <= ask_from <= 1:
        raise ValueError(f"ask_from {ask_from!r} is no probability")
    if not isinstance(document["about"], dict):
        raise ValueError("about is no object")
    return Stack(
        names=tuple(names),
        weights=tuple(_finite(weight) for weight in weights),
        bias=_finite(document["bias"]),
        ask_from=ask_from,
        about=document["about"],
        digest=digest,
    )


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)
