"""What later training makes of self-correction, and what earlier training does for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from guard.world.experiment import logged
from guard.world.experiment.arms import RATE, mixed, of_lessons
from guard.world.experiment.examining import Figures, auc, prefixed
from guard.world.experiment.schooling import Draw, mixture, one_of
from guard.world.experiment.work import Work


def elasticity(work: Work) -> Figures:
    """Ordinary training after the first phase, with none, 5 % and 20 % of corrections kept in."""
    figures: Figures = {}
    known, unknown = of_lessons(work)
    for kept in (0.0, 0.05, 0.2):
        name = f"elasticity.keep{kept * 100:.0f}"
        model = work.lab.load("masked")
        course = work.course(work.lab.scale.revert, 13, 3e-4, rows=work.lab.scale.rows // 2, warm_up=10, constant=True)
        look = partial(_no_after, work, name, figures)
        work.learn(model, mixed(work, known, unknown, replay=1 - kept), course, look=look, looks=work.lab.scale.looks)
        figures |= prefixed(f"{name}.end", work.exam(model).said("known", "test"))
        figures["elasticity.tokens_a_step"] = course.rows * course.length
    return figures


def _no_after(work: Work, name: str, figures: Figures, step: int, model: Any) -> None:
    """Take down P("No") after this many steps."""
    wrong, right = work.exam(model).no()
    found = {"p_wrong": sum(wrong) / len(wrong), "p_right": sum(right) / len(right), "auc": auc(wrong, right)}
    figures.update(prefixed(f"{name}.{step}", found))


def documents(share: float) -> Callable[[Work], Figures]:
    """Pre-training with a share of accounts of self-correction, then the same stages as without."""

    def run(work: Work) -> Figures:
        scale, name = work.lab.scale, f"documents.{share * 100:g}"
        model = work.lab.untrained()
        draw = _with_documents(work, share)
        work.learn(model, draw, work.course(scale.base, 0, 3e-3, warm_up=50))
        figures = prefixed(f"{name}.base", work.exam(model).whole())
        work.learn(model, work.school.listen, work.course(scale.listen, 1))
        figures |= prefixed(f"{name}.policy", work.exam(model).whole())
        work.learn(model, mixed(work, *of_lessons(work)), work.course(scale.short, 10, RATE))
        return figures | prefixed(f"{name}.corrected", work.exam(model).whole())

    return run


def no_documents(work: Work) -> Figures:
    """The same figures of the models that had none: they are there already but for one exam."""
    short = work.lab.read("masked_short")["figures"]
    plain = work.lab.read("untrained_arm")["figures"]
    return {
        **prefixed("documents.0.base", work.exam(work.lab.load("base")).whole()),
        **prefixed("documents.0.policy", {k.removeprefix("arm.policy."): v for k, v in plain.items()}),
        **prefixed("documents.0.corrected", {k.removeprefix("arm.masked_short."): v for k, v in short.items()}),
    }


def _with_documents(work: Work, share: float) -> Draw:
    """The base mixture with a share of its *tokens* from documents."""
    accounts = [lesson.sample for lesson in logged.lessons(work.lab.folder, "documents")]
    draw, rng = work.school.base, Random(0)
    length = work.course(0, 0).length
    ordinary = sum(min(length, len(draw(rng).ids)) for _ in range(500)) / 500
    told = sum(min(length, len(each.ids)) for each in accounts) / len(accounts)
    rows = share * ordinary / (share * ordinary + (1 - share) * told)
    return mixture((draw, 1 - rows), (one_of(accounts), rows))
