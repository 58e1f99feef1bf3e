"""Fits the weights of the resampling check's comparison, and says how good they are on topics they have not seen.

    python -m guard.train.resampling PAIRS.jsonl > guard/checks/resampling/weights.py

`PAIRS` are JSON lines with `topic`, `prefix`, `sentence`, `resample` and `contradicts`. A logistic regression over
standardised features, both classes weighing the same, since pairs that contradict are the rule in such data and the
exception in what a model writes. The figure goes to standard error: every topic is scored by a fit without it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.checks.resampling.features import NAMES, Pair, features
from guard.checks.resampling.reading import keys_of, read

STRENGTH = 0.01
"""Inverse of the penalty on weights."""
STEPS = 20
"""Of Newton's method; ten are enough."""
SHUFFLES, FOLDS = 10, 5

HEAD = '''"""Weights of `features`. Fitted: `python -m guard.train.resampling` prints this file."""

from __future__ import annotations

from collections.abc import Mapping
'''


def load(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Features, labels and topics of a file of pairs."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = (Pair(read(row["sentence"]), read(row["resample"]), keys_of(row["prefix"])) for row in rows)
    values = np.array([features(pair) for pair in pairs])
    return values, np.array([row["contradicts"] for row in rows]), np.array([row["topic"] for row in rows])


def fit(values: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Weights of the features as they are, and the bias: the logistic regression, by Newton's method."""
    middle, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    rows = np.column_stack([(values - middle) / spread, np.ones(len(labels))])
    share = np.where(labels, labels.mean(), 1 - labels.mean())
    penalty = np.diag([1 / STRENGTH] * values.shape[1] + [1e-9])
    found = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        odds = 1 / (1 + np.exp(-rows @ found))
        slope = rows.T @ ((odds - labels) * 0.5 / share) + penalty @ found
        curve = (rows.T * (odds * (1 - odds) * 0.5 / share)) @ rows + penalty
        found -= np.linalg.solve(curve, slope)
    weights = found[:-1] / spread
    return weights, float(found[-1] - weights @ middle)


def unseen(values: NDArray[Any], labels: NDArray[Any], topics: NDArray[Any]) -> list[float]:
    """AUROC on topics that were left out, one for each shuffling of the folds."""
    found = []
    for seed in range(SHUFFLES):
        names = np.random.default_rng(seed).permutation(np.unique(topics))
        scores = np.zeros(len(labels))
        for held_out in np.array_split(names, FOLDS):
            test = np.isin(topics, held_out)
            weights, bias = fit(values[~test], labels[~test])
            scores[test] = values[test] @ weights + bias
        found.append(auroc(scores, labels))
    return found


def auroc(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """The chance that a pair that contradicts scores above one that does not, ties counting half."""
    above = scores[labels][:, None] - scores[~labels][None, :]
    return float(((above > 0) + (above == 0) / 2).mean())


def main(path: Path) -> None:
    """Print the module; say the figure beside it."""
    values, labels, topics = load(path)
    found = unseen(values, labels, topics)
    sys.stderr.write(f"{len(labels)} pairs, AUROC on unseen topics {np.mean(found):.4f} (sd {np.std(found):.4f})\n")
    weights, bias = fit(values, labels)
    rows = "".join(f'    "{name}": {weight:.4f},\n' for name, weight in zip(NAMES, weights, strict=True))
    sys.stdout.write(f"{HEAD}\nBIAS = {bias:.4f}\nWEIGHTS: Mapping[str, float] = {{\n{rows}}}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
