"""What is demanded of the experiment: bars that it must reach, goals that it should.

Each is a figure computed from a seed's own figures, then averaged over seeds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A demand. `of` computes the figure from a seed's figures and raises KeyError where they lack a part of it."""

    key: str
    name: str
    of: Callable[[Values], float]
    op: Literal[">=", "<="]
    bound: float
    kind: Literal["bar", "goal"] = "bar"

    def met(self, mean: float) -> bool:
        """Whether a mean reaches it."""
        return mean >= self.bound if self.op == ">=" else mean <= self.bound


def _rise(values: Values, arm: str) -> float:
    return values[f"arm.{arm}.logp_harvested"] - values["arm.policy.logp_harvested"]


def _gap(values: Values) -> float:
    last = max(int(key.split(".")[2]) for key in values if key.startswith("elasticity.keep0.") and ".p_wrong" in key)
    return values[f"elasticity.keep20.{last}.p_wrong"] - values[f"elasticity.keep0.{last}.p_wrong"]


BARS: Sequence[Bar] = (
    Bar(
        key="follows_own_wrong_premise",
        name="answers follow the model's own wrong premise (people it never heard of)",
        of=lambda v: v["base.unknown.follows"],
        op=">=",
        bound=0.8,
    ),
    Bar(
        key="consistency_auc",
        name="agreement over 8 samples tells known from unknown people (AUC)",
        of=lambda v: v["consistency.auc"],
        op=">=",
        bound=0.85,
    ),
    Bar(
        key="masked_logp_change",
        name="change in the log-probability of harvested bad premises, masked (nats)",
        of=lambda v: _rise(v, "masked"),
        op="<=",
        bound=0.3,
    ),
    Bar(
        key="unmasked_minus_masked_logp",
        name="the same, unmasked above masked (nats)",
        of=lambda v: _rise(v, "unmasked") - _rise(v, "masked"),
        op=">=",
        bound=2.0,
    ),
    Bar(
        key="no_auc_phase_one",
        name='P("No") tells wrong from right premises about held-out people, phase one (AUC)',
        of=lambda v: v["arm.masked.auc"],
        op=">=",
        bound=0.9,
    ),
    Bar(
        key="no_auc_phase_two",
        name="the same after phase two (AUC)",
        of=lambda v: v["arm.phase_two.auc"],
        op=">=",
        bound=0.9,
    ),
    Bar(
        key="no_after_wrong_phase_one",
        name='P("No") after a wrong premise, phase one',
        of=lambda v: v["arm.masked.p_wrong"],
        op=">=",
        bound=0.6,
    ),
    Bar(
        key="no_after_right_phase_one",
        name='P("No") after a right premise, phase one',
        of=lambda v: v["arm.masked.p_right"],
        op="<=",
        bound=0.25,
    ),
    Bar(
        key="no_after_wrong_phase_two",
        name='P("No") after a wrong premise, phase two',
        of=lambda v: v["arm.phase_two.p_wrong"],
        op=">=",
        bound=0.5,
    ),
    Bar(
        key="no_after_right_phase_two",
        name='P("No") after a right premise, phase two',
        of=lambda v: v["arm.phase_two.p_right"],
        op="<=",
        bound=0.15,
    ),
    Bar(
        key="unknown_wrong_fall",
        name="fall in wrong answers about people it never heard of, base to phase two",
        of=lambda v: v["base.unknown.wrong"] - v["arm.phase_two.unknown.wrong"],
        op=">=",
        bound=0.2,
    ),
    Bar(
        key="known_right_change",
        name="change in right answers about held-out known people, base to phase two",
        of=lambda v: v["arm.phase_two.known.right"] - v["base.known.right"],
        op=">=",
        bound=-0.05,
    ),
    Bar(
        key="elasticity_gap",
        name='P("No") after a wrong premise at the end of later training: a fifth of rows kept, above none',
        of=_gap,
        op=">=",
        bound=0.4,
    ),
    Bar(
        key="harvested_no_auc",
        name='P("No") AUC from a log that guard harvested',
        of=lambda v: v["arm.masked.auc"],
        op=">=",
        bound=0.9,
        kind="goal",
    ),
    Bar(
        key="recovered_right",
        name="right answers after a forced wrong premise about something it knows",
        of=lambda v: max(v["arm.masked.forced.right"], v["arm.phase_two.forced.right"]),
        op=">=",
        bound=0.6,
        kind="goal",
    ),
)
"""The first are bars; the last two are goals."""

ARMS = ("masked", "phase_two")
_SHARES, _STAGES = ("1", "5", "20"), ("base", "policy", "corrected")

REPORTED: Mapping[str, str] = {
    "harvested_answers_interrupted": "harvest.interruptions",
    "no_auc_held_out_type": "arm.other_types.auc_type",
    "no_after_wrong_held_out_type": "arm.other_types.p_wrong_type",
    "no_after_right_held_out_type": "arm.other_types.p_right_type",
    "no_auc_held_out_relation": "arm.other_types.auc_relation",
    **{f"no_after_wrong_as_expert_{arm}": f"arm.{arm}.p_wrong_expert" for arm in ARMS},
    **{f"no_after_right_as_expert_{arm}": f"arm.{arm}.p_right_expert" for arm in ARMS},
    **{f"no_auc_as_expert_{arm}": f"arm.{arm}.auc_expert" for arm in ARMS},
    "unknown_wrong_after_doubts_alone": "arm.cautious.unknown.wrong",
    "unknown_wrong_after_corrections_short": "arm.masked_short.unknown.wrong",
    "recovered_right_phase_one": "arm.masked.forced.right",
    "recovered_right_phase_two": "arm.phase_two.forced.right",
    "soft_minus_one_hot_auc": "effect.soft.auc",
    "soft_minus_one_hot_known_right": "effect.soft.known.right",
    "soft_minus_one_hot_recovered": "effect.soft.forced.right",
    **{
        f"documents_{share}_minus_none_auc_{stage}": f"effect.documents.{share}.{stage}.auc"
        for share in _SHARES
        for stage in _STAGES
    },
    **{
        f"documents_{share}_minus_none_no_after_wrong_{stage}": f"effect.documents.{share}.{stage}.p_wrong"
        for share in _SHARES
        for stage in _STAGES
    },
    **{f"no_auc_false_interruptions_{share}": f"arm.false{share}.auc" for share in ("10", "30", "50")},
}
"""Figures that are told whichever way they come out: plain key -> name among a seed's figures."""


def plain(figures: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Every demanded and every reported figure as mean, sd and n under its plain key."""
    found = {each["key"]: each for each in figures["must"] if each["n"]}
    found |= {key: figures["values"][name] for key, name in REPORTED.items() if name in figures["values"]}
    return {key: {name: each[name] for name in ("mean", "sd", "n")} for key, each in found.items()}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation over seeds (0 for one), how many, and each."""
    return {
        "mean": statistics.mean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
        "n": len(values),
        "values": list(values),
    }


def demanded(seeds: Sequence[Values]) -> list[dict[str, Any]]:
    """Every bar and goal with its figures and whether it is met; None where a run does not have its parts."""
    found = []
    for bar in BARS:
        told = {"key": bar.key, "name": bar.name, "op": bar.op, "bound": bar.bound, "kind": bar.kind}
        try:
            figures = spread([bar.of(values) for values in seeds])
        except (KeyError, ValueError):
            found.append(told | {"mean": None, "sd": None, "n": 0, "met": None})
            continue
        found.append(told | {name: figures[name] for name in ("mean", "sd", "n")} | {"met": bar.met(figures["mean"])})
    return found
