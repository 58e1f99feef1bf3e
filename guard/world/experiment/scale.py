"""How large an experiment is: people, steps, questions. Nothing else differs between a quick run and a full one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PEOPLE: Mapping[str, Mapping[str, int]] = {
    "known": {"train": 120, "test": 40},
    "tail": {"train": 50, "test": 30},
    "unknown": {"test": 240, "train": 240, "listen": 360},
}
"""Fewer of the unknown than in the shipped world: with 120 people to be corrected about and many more to know nothing
of, a model that is asked about anybody else says that it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes of one experiment.

    Attributes:
        groups: people of the world, as `guard.world.generate.GROUPS` has them.
        rows: packed rows a step.
        base: steps of pre-training; `young`: the step at which the partly trained model is taken from it.
        listen, young_listen, lesson: steps of those stages.
        arm: steps of an arm, `short` of a shorter one (compared among themselves); `second`: of the second phase.
        revert: steps of ordinary training in the elasticity runs, looked at in `looks`.
        preference: steps of DPO.
        known_answers, unknown_answers, false_answers: questions of the harvest: about people the model knows, about
            people it has never heard of, and about people it knows with a supervisor whose facts are wrong.
        asked: questions a figure rests on; `probed`: forced premises.
        shares: parts of the pre-training tokens that are documents.
    """

    groups: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: PEOPLE)
    rows: int = 24
    base: int = 800
    young: int = 250
    listen: int = 160
    young_listen: int = 80
    lesson: int = 80
    arm: int = 700
    short: int = 300
    second: int = 60
    revert: int = 60
    preference: int = 120
    known_answers: int = 6000
    unknown_answers: int = 500
    false_answers: int = 700
    asked: int = 180
    probed: int = 240
    looks: tuple[int, ...] = (0, 1, 2, 5, 10, 20, 40, 60)
    shares: tuple[float, ...] = (0.0, 0.01, 0.05, 0.2)
    noise: tuple[float, ...] = (0.1, 0.3, 0.5)


SCALES: Mapping[str, Scale] = {
    "full": Scale(),
    "quick": Scale(
        groups={
            "known": {"train": 40, "test": 10},
            "tail": {"train": 6, "test": 4},
            "unknown": {"test": 40, "train": 60, "listen": 60},
        },
        rows=12,
        base=400,
        young=160,
        listen=100,
        young_listen=40,
        lesson=30,
        arm=120,
        short=60,
        second=20,
        revert=20,
        preference=20,
        known_answers=500,
        unknown_answers=150,
        false_answers=100,
        asked=60,
        probed=80,
        looks=(0, 5, 20),
        shares=(0.0, 0.05),
        noise=(0.5,),
    ),
}
