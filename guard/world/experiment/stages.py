"""The stages of the experiment in their order.

Every stage reads what earlier ones saved in the lab and nothing else, so a run goes on where one was broken off. Names
of figures are plain and dotted; `bars` says what is demanded of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guard.world.experiment import arms, forming, gathering, later
from guard.world.experiment.examining import Figures
from guard.world.experiment.scale import Scale
from guard.world.experiment.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A named piece of the experiment and the steps of its progress bar."""

    name: str
    run: Callable[[Work], Figures]
    ticks: int


def stages(s: Scale) -> list[Stage]:
    """All of them, in order."""
    found = [
        Stage(name="base", run=forming.base, ticks=s.base),
        Stage(name="listen", run=forming.listen, ticks=s.listen),
        Stage(name="wrong_thinker", run=forming.wrong_thinker, ticks=s.young_listen + s.lesson),
        Stage(name="harvest", run=gathering.harvest, ticks=s.known_answers + s.unknown_answers),
        Stage(name="false_harvest", run=gathering.false_harvest, ticks=s.false_answers),
        Stage(name="untrained_arm", run=arms.untrained_arm, ticks=0),
        Stage(name="masked", run=arms.masked, ticks=s.arm),
        Stage(name="phase_two", run=arms.phase_two, ticks=s.second),
        Stage(name="elasticity", run=later.elasticity, ticks=3 * s.revert),
        *(Stage(name=name, run=arms.arm(name, parts), ticks=s.arm) for name, parts in arms.LONG.items()),
        Stage(name="preference", run=arms.preference, ticks=s.preference),
        *(Stage(name=name, run=arms.arm(name, parts, short=True), ticks=s.short) for name, parts in arms.SHORT.items()),
    ]
    for share in s.noise:
        name = f"false{share * 100:.0f}"
        found.append(Stage(name=name, run=arms.arm(name, arms.of_noise(share), short=True), ticks=s.short))
    found.append(Stage(name="documents0", run=later.no_documents, ticks=0))
    whole = s.base + s.listen + s.short
    found += [Stage(name=f"documents{x * 100:g}", run=later.documents(x), ticks=whole) for x in s.shares if x]
    return found
