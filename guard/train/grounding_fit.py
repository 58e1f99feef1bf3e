"""Boosted trees for `guard.train.grounding`, and what they become: plain arrays in JSON.

Knows features as columns, not what they mean. The two `hint` columns depend on labels: for the rows that trees are
fitted on they are worked out from the other rows' sources, or the trees would trust them too much.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from guard.checks.grounding.features import FALLING, NAMES, RISING
from guard.train.grounding_data import Answer, Example

Floats = NDArray[np.float64]
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 16,
    "min_data_in_leaf": 80,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5,
    "monotone_constraints": [1 if n in RISING else -1 if n in FALLING else 0 for n in NAMES],
    "monotone_constraints_method": "intermediate",
    "num_threads": 1,
    "verbose": -1,
}
TREES = 160
PRIOR = 8.0
"""Weight of the mean in a word's log odds."""
INNER = 5
MADE = 0.07
"""Weight of a made example: at more, real ones are found less often; at none, a changed number is not found at all."""
_SUM, _MAX = NAMES.index("hint_sum"), NAMES.index("hint_max")


def rarities(contexts: Iterable[str], stems: Any, most: int = 12000) -> tuple[dict[str, float], float]:
    """The log rarity of the commoner stems over distinct contexts, and that of all others."""
    counts: Counter[str] = Counter()
    total = 0
    for total, context in enumerate(dict.fromkeys(contexts), 1):  # noqa: B007  # how many there were is wanted
        counts.update(set(stems(context)))
    table = {
        word: round(math.log((1 + total) / (0.5 + count)), 1)
        for word, count in sorted(counts.most_common(most))
        if count > 2 and not word[0].isdigit()
    }
    return table, round(math.log(1 + total), 1)


def hints(rows: Iterable[Example]) -> dict[str, float]:
    """For new words, the log odds of having been made up, less the mean's; made examples tell nothing of that."""
    seen: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for row in rows:
        for word, is_bad in () if row.made else row.novel:
            seen[word] += 1
            bad[word] += is_bad
    rate = sum(bad.values()) / (sum(seen.values()) or 1)
    if not 0 < rate < 1:
        return {}
    mean = math.log(rate / (1 - rate))
    return {
        word: round(math.log((bad[word] + PRIOR * rate) / (n - bad[word] + PRIOR * (1 - rate))) - mean, 2)
        for word, n in sorted(seen.items())
        if n >= 4
    }


def with_hints(row: Example, table: Mapping[str, float]) -> list[float]:
    """The row's values with its two hint columns from this table."""
    found = [hint for word, _ in row.novel if (hint := table.get(word, 0.0))]
    values = list(row.values)
    values[_SUM], values[_MAX] = sum(found), max(found, default=0.0)
    return values


def fit(
    rows: Sequence[Example], answers: Sequence[Answer], seed: int, trees: int = TREES
) -> tuple[lightgbm.Booster, dict[str, float]]:
    """Trees fitted on rows of `answers`, and the hints to read others with.

    Not to the natural rate of bad answers: with few bad ones weighted down, less is learned. `calibrate` sees to that.
    """
    parts = [int(answers[row.answer].group[:6], 16) // 7 % INNER for row in rows]
    tables = [hints(row for row, part in zip(rows, parts, strict=True) if part != out) for out in range(INNER)]
    matrix = np.array([with_hints(row, tables[part]) for row, part in zip(rows, parts, strict=True)], np.float64)
    labels = np.array([row.bad for row in rows], np.float64)
    data = lightgbm.Dataset(matrix, labels, weight=[MADE if row.made else 1.0 for row in rows])
    booster = lightgbm.train({**PARAMETERS, "seed": seed}, data, trees)
    return booster, hints(rows)


def predict(booster: lightgbm.Booster, rows: Sequence[Example], table: Mapping[str, float]) -> list[float]:
    """Log odds of the rows, uncalibrated."""
    matrix = np.array([with_hints(row, table) for row in rows], np.float64)
    return [float(value) for value in booster.predict(matrix, raw_score=True)] if len(rows) else []


def calibrate(margins: Sequence[float], labels: Sequence[bool], weights: Sequence[float]) -> tuple[float, float]:
    """Slope and shift of the logistic curve that best maps margins to labels."""
    x = np.stack([np.array(margins), np.ones(len(margins))], 1)
    slope, shift = logistic(x, np.array(labels, np.float64), np.array(weights), [1e-6, 1e-6])
    return float(slope), float(shift)


def logistic(x: Floats, y: Floats, weights: Floats, penalty: Sequence[float]) -> Floats:
    """The coefficients of columns `x` (rows, columns) that best tell labels `y`, each with its L2 penalty (Newton)."""
    beta, held = np.zeros(x.shape[1]), np.diag(penalty)
    for _ in range(30):
        p = 1 / (1 + np.exp(-(x @ beta)))
        step = x.T @ (weights * (y - p)) - held @ beta
        beta = beta + np.linalg.solve((x.T * (weights * p * (1 - p))) @ x + held, step)
    return beta


def arrays(booster: lightgbm.Booster) -> list[dict[str, list[Any]]]:
    """The trees as `guard.checks.grounding.model` reads them."""
    return [_tree(info["tree_structure"]) for info in booster.dump_model()["tree_info"]]


def _tree(root: Mapping[str, Any]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {"feature": [], "value": [], "left": [], "right": []}
    _append(root, out)
    return out


def _append(node: Mapping[str, Any], out: dict[str, list[Any]]) -> int:
    at = len(out["feature"])
    is_leaf = "leaf_value" in node
    if not is_leaf and node["decision_type"] != "<=":
        raise ValueError(f"a split of kind {node['decision_type']!r} cannot be exported")
    out["feature"].append(-1 if is_leaf else node["split_feature"])
    out["value"].append(_short(node["leaf_value"]) if is_leaf else node["threshold"])
    for side in ("left", "right"):
        out[side].append(0)
    for side in () if is_leaf else ("left", "right"):
        out[side][at] = _append(node[f"{side}_child"], out)
    return at


def _short(value: float) -> float:
    return float(f"{value:.6g}")
