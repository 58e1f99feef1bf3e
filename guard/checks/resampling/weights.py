"""Weights of `features`. Fitted: `python -m guard.train.resampling` prints this file."""

from __future__ import annotations

from collections.abc import Mapping

BIAS = -0.9065
WEIGHTS: Mapping[str, float] = {
    "replaced": 0.7553,
    "new_here": 0.5800,
    "lists": -0.3563,
    "other_behind": 0.6166,
    "other_near": 0.3653,
    "only_said_denies": -1.3957,
    "both_deny": -1.9999,
    "denied": 0.4875,
    "number_added": -1.2871,
    "same_subject": 0.6354,
    "opening": -0.3115,
    "same_title": -0.6929,
    "clause_hard_gone": 0.3985,
    "number_changed": 0.4553,
    "year_changed": 0.2813,
    "adds": -0.6088,
    "more": -1.2412,
    "both_several": -0.7570,
    "clause_several": -0.6365,
    "other_for": -1.3670,
    "other_by": 0.6998,
    "same_behind": -0.2137,
    "replaced_within": 0.5455,
}
