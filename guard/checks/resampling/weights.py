"""Weights of `features`. Fitted: `python -m guard.train.resampling` prints this file."""

from __future__ import annotations

from collections.abc import Mapping

BIAS = -0.9663
WEIGHTS: Mapping[str, float] = {
    "replaced": 0.6728,
    "new_here": 0.4817,
    "lists": -0.5102,
    "other_lists": -0.2736,
    "other_behind": 0.6574,
    "other_near": 0.3797,
    "only_said_denies": -1.4420,
    "both_deny": -1.8881,
    "denied": 0.4092,
    "number_added": -1.3091,
    "same_subject": 0.6707,
    "opening": -0.4068,
    "same_title": -0.8310,
    "clause_hard_gone": 0.3863,
    "number_changed": 0.4317,
    "year_changed": 0.2514,
    "other_count": 0.2735,
    "once": 0.2669,
    "adds": -0.6006,
    "more": -1.1791,
}
