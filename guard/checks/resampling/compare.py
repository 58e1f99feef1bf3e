"""How surely a sample contradicts a sentence, by words alone: no model, about a millisecond.

Pure. The features are `features`, their weights `weights`; `guard.train.resampling` fits them. Measured on ChatProtect
(706 pairs, 31 topics, every topic scored by weights that never saw it, mean of 50 shuffles): AUROC 86.9, 95 % of the
draws of topics between 82 and 91, where a mismatch of names or of numbers alone has 57. The features were chosen on the
same pairs, so expect less elsewhere: where each fold had to choose its own out of 125, 20 features had 77, not 84.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from guard.checks.resampling.features import NAMES, Pair, features
from guard.checks.resampling.reading import keys_of, read
from guard.checks.resampling.weights import BIAS, WEIGHTS


def compare(sentence: str, resample: str, context: str) -> float:
    """0 (surely not) to 1 (surely contradicts); 0.5 are even odds. `context` is the text that stands before both."""
    said, other = read(sentence), read(resample)
    if not other.items or said.content == other.content:
        return 0.0
    values = features(Pair(said, other, keys_of(context)))
    return 1 / (1 + math.exp(-BIAS - sum(WEIGHTS[name] * value for name, value in zip(NAMES, values, strict=True))))


def aggregate(sentence: str, samples: Sequence[Sequence[str]], context: str) -> float:
    """How surely the model does not know: the mean over samples of what was said instead.

    Each sample is its sentences in order; the one that is about the same thing is held against `sentence`. A sample
    that is about something else says nothing, and counts as agreement: silence is no contradiction.
    """
    scores = [compare(sentence, nearest, context) if (nearest := _nearest(sentence, s)) else 0.0 for s in samples]
    return sum(scores) / len(scores) if scores else 0.0


def _nearest(sentence: str, sample: Sequence[str]) -> str:
    """The sentence of a sample that shares most words; "" if none shares two, or a third of its own."""
    said = read(sentence).keys
    shared = {text: len(said & read(text).keys) for text in sample}
    best = max(shared, key=lambda text: shared[text], default="")
    enough = best and shared[best] >= min(2, len(said)) and shared[best] * 3 >= len(read(best).keys)
    return best if enough else ""
