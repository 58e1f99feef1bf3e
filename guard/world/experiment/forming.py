"""From nothing to a model that listens, and to one that thinks the wrong thing."""

from __future__ import annotations

import copy
from typing import Any

from guard.world.experiment.examining import Exam, Figures, auc, prefixed
from guard.world.experiment.work import Work

ALPHAS = (-1.0, 0.0, 0.25, 0.5, 0.75, 1.0)
MOST, PARSES = 0.25, 0.9
"""The largest step that is taken unless one is asked for, and the share of sentences that must be well-formed behind
it. Larger steps make more mistakes and, drawn as hot as the harvest is, fewer sentences."""


def base(work: Work) -> Figures:
    """Pre-training; the partly trained model is kept on the way."""
    lab, model = work.lab, work.lab.untrained()
    course = work.course(lab.scale.base, 0, 3e-3, warm_up=50)
    work.learn(
        model, work.school.base, course, look=lambda _, young: lab.save("young", young), looks=(lab.scale.young,)
    )
    lab.save("base", model)
    exam = work.exam(model)
    known, unknown = exam.consistency("known", "test"), exam.consistency("unknown", "test")
    return {
        **prefixed("base", _unaided(exam)),
        "consistency.known": sum(known) / len(known),
        "consistency.unknown": sum(unknown) / len(unknown),
        "consistency.auc": auc(known, unknown),
    }


def listen(work: Work) -> Figures:
    """The model learns to follow an interruption: this is the policy model."""
    model = work.lab.load("base")
    work.learn(model, work.school.listen, work.course(work.lab.scale.listen, 1))
    work.lab.save("policy", model)
    return prefixed("policy", _unaided(work.exam(model)))


def _unaided(exam: Exam) -> Figures:
    return {
        **exam.said("known", "test"),
        **exam.said("tail", None),
        **exam.said("unknown", "test"),
        **exam.forced(),
    }


def wrong_thinker(work: Work) -> Figures:
    """The partly trained model listens, learns the lesson, and the difference is taken from it instead."""
    lab = work.lab
    young = lab.load("young")
    work.learn(young, work.school.listen, work.course(lab.scale.young_listen, 2))
    taught = copy.deepcopy(young)
    work.learn(taught, work.school.lesson, work.course(lab.scale.lesson, 3))
    figures: Figures = {}
    for alpha in ALPHAS:
        exam = work.exam(inverted(young, taught, alpha))
        figures |= prefixed(f"alpha.{alpha:g}", {**exam.said("known", "train"), **exam.said("tail", None)})
    chosen = work.alpha if work.alpha is not None else _chosen(figures)
    lab.save("wrong-thinker", inverted(young, taught, chosen))
    return figures | {"alpha.used": chosen}


def inverted(before: Any, after: Any, alpha: float) -> Any:
    """before - alpha x (after - before)."""
    model, learned = copy.deepcopy(before), after.state_dict()
    model.load_state_dict({name: old - alpha * (learned[name] - old) for name, old in before.state_dict().items()})
    return model


def _chosen(figures: Figures) -> float:
    """The largest step of the sweep, up to `MOST`, after which sentences still parse."""
    parse = [alpha for alpha in ALPHAS if 0 <= alpha <= MOST and figures[f"alpha.{alpha:g}.known.parsed"] >= PARSES]
    return max(parse, default=0.0)
