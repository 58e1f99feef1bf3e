"""What every stage is given: one seed's lab, the rows it can draw, the exams it can set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from guard.world.experiment.examining import Exam
from guard.world.experiment.lab import Lab
from guard.world.experiment.schooling import Draw, School, endless
from guard.world.learning import Course, train

Tick = Callable[[int], None]
"""Told of steps that are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A lab with what every stage needs. `alpha`: None lets the sweep choose."""

    lab: Lab
    tick: Tick
    alpha: float | None = None

    @property
    def school(self) -> School:
        """Draws this world's rows."""
        return School(world=self.lab.world, tokenizer=self.lab.tokenizer)

    def exam(self, model: Any) -> Exam:
        """Examines a model."""
        return Exam(speaker=self.lab.speaker(model), scale=self.lab.scale)

    def learn(self, model: Any, draw: Draw, course: Course, **look: Any) -> None:
        """Train a model in place."""
        train(model, endless(draw, course.seed), course, step=lambda _: self.tick(1), **look)

    def course(self, steps: int, number: int, rate: float = 1e-3, rows: int | None = None, **how: Any) -> Course:
        """A course; `number` sets its seed apart from the other stages'."""
        rows, seed = rows or self.lab.scale.rows, 1000 * self.lab.seed + number
        return Course(steps=steps, learning_rate=rate, seed=seed, rows=rows, **how)
