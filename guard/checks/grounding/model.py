"""The lexical model: boosted trees as plain arrays, read from a JSON file and checked before use.

It does not know what its features mean or who trained it. A file is refused unless its features are this version's, in
their order, and every tree is a tree: children behind their parent, each but the root a child of one node. So walking
it always ends. Nothing in a file is ever run.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from guard.checks.grounding.features import NAMES
from guard.checks.grounding.statement import Lexicon
from guard.errors import ConfigError

FORMAT = 1
SHIPPED = Path(__file__).with_name("lexical.json")
Node: TypeAlias = tuple[int, float, Any, Any] | float
"""(feature, threshold, node if the feature is at most that, node if not), or a leaf's value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Trees over `features.NAMES`, what they know of words, and what turns their sum into a probability.

    `slope` and `shift` map the sum (log odds) to calibrated log odds at the natural rate of unsupported statements.
    `version` is the first letters of the file's SHA-256; `about` what training wrote down of itself.
    """

    trees: tuple[Node, ...]
    lexicon: Lexicon
    slope: float
    shift: float
    version: str
    about: Mapping[str, Any]

    def margin(self, values: Sequence[float]) -> float:
        """The trees' sum, in log odds before calibration."""
        total = 0.0
        node: Any
        for node in self.trees:
            while node.__class__ is tuple:
                feature, threshold, low, high = node
                node = low if values[feature] <= threshold else high
            total += node
        return total

    def score(self, values: Sequence[float]) -> float:
        """The probability that a statement with these features is unsupported."""
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, self.slope * self.margin(values) + self.shift))))


@cache
def load(path: Path = SHIPPED) -> Model:
    """The model in a file. Raises ConfigError, one line."""
    try:
        raw = path.read_bytes()
        return _model(json.loads(raw), hashlib.sha256(raw).hexdigest()[:12])
    except OSError as error:
        raise ConfigError(f"the grounding model {str(path)!r} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"the grounding model {str(path)!r} is not valid: {told}") from None


def _model(document: Any, version: str) -> Model:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}, not {FORMAT}")
    if tuple(document["features"]) != NAMES:
        raise ValueError("made for other features; train it again")
    words = document["words"]
    lexicon = Lexicon(_numbers(words["rarity"]), _numbers(words["hint"]), _finite(words["unseen"]))
    calibration = document["calibration"]
    return Model(
        trees=tuple(_tree(arrays) for arrays in document["trees"]),
        lexicon=lexicon,
        slope=_finite(calibration["slope"]),
        shift=_finite(calibration["shift"]),
        version=version,
        about=document["about"],
    )


def _numbers(table: Mapping[str, float]) -> dict[str, float]:
    return {str(word): _finite(value) for word, value in table.items()}


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _tree(arrays: Mapping[str, Any]) -> Node:
    """Nested tuples of a tree's arrays; node i splits on feature[i] >= 0, or is a leaf with value[i]."""
    feature, value, left, right = (arrays[name] for name in ("feature", "value", "left", "right"))
    if not len(feature) == len(value) == len(left) == len(right) > 0:
        raise ValueError("a tree's arrays differ in length")
    built: dict[int, Node] = {}
    for at in reversed(range(len(feature))):
        built[at] = _node(at, feature[at], _finite(value[at]), left[at], right[at], built)
    if len(built) != 1:
        raise ValueError("a tree has nodes that nothing leads to")
    return built[0]


def _node(at: int, feature: Any, value: float, left: Any, right: Any, built: dict[int, Node]) -> Node:
    if feature == -1:
        return value
    if not isinstance(feature, int) or not 0 <= feature < len(NAMES) or left == right:
        raise ValueError(f"{feature!r} is no feature")
    return (feature, value, built.pop(left), built.pop(right))
