"""The report's end: what does not work, and how to do it again. By rule, from the figures; knows no format."""

from __future__ import annotations

from collections.abc import Iterator

from guard.world.experiment.report_blocks import Bullets, Command, Section, Text
from guard.world.experiment.report_figures import CHANGE, NOT_RUN, Experiment, ranged, written
from guard.world.experiment.report_measures import ARMS, arms, title

WORSE = 0.05
"""How far right answers about known people may fall below policy's before an arm is named among what does not work."""


def failings(run: Experiment) -> Section:
    """Whatever was not met, is worse or cannot be told from nothing."""
    items = [
        f"{m.kind.title()} not met: {m.name}: needed {m.needed}, measured {m.measured}."
        for m in run.must
        if m.outcome == "NOT met"
    ]
    items += [*_worse(run), *_nothing(run)]
    words = (
        f"By rule: every bar and goal that is not met, every arm with more than {WORSE:g} fewer right answers about "
        "known people than policy, and every difference whose 95 % t-interval over seeds includes 0."
    )
    return Section(
        title="What does not work",
        blocks=(Text(words=words), Bullets(items=tuple(items)) if items else Text(words="None was found.")),
    )


def _worse(run: Experiment) -> Iterator[str]:
    plain = run.get("arm.policy.known.right")
    if plain is None:
        yield f"Arms could not be compared with policy: its right answers about known people were {NOT_RUN}."
        return
    for name in arms(run):
        value = run.get(f"arm.{name}.known.right")
        if value is not None and plain.mean - value.mean > WORSE + 1e-9:
            less = format(value.mean - plain.mean, CHANGE)
            yield f"Arm {name}: right answers about known people {written(value)}, policy {written(plain)} ({less})."


def _nothing(run: Experiment) -> Iterator[str]:
    """One line for all figures of a comparison whose interval includes 0, and one for those without interval."""
    found: dict[tuple[str, str], list[str]] = {}
    for key, value in run.under("effect").items():
        about, _, figure = title(key).rpartition(": ")
        told = f"{figure} {written(value, CHANGE)}"
        if value.interval is None:
            found.setdefault((about, "is from one seed and has no interval"), []).append(told)
        elif value.interval[0] <= 0 <= value.interval[1]:
            found.setdefault((about, "has an interval that includes 0"), []).append(f"{told} ({ranged(value)})")
    for (about, why), figures in found.items():
        yield f"Difference {about} {why}: {'; '.join(figures)}."


def again(run: Experiment) -> Section:
    """The command, what was left out, and the notes of the run."""
    missing = [f"arm {name}" for name in ARMS if name not in arms(run)]
    missing += [f"{'bar' if m.kind == 'bar' else 'goal'}: {m.name}" for m in run.must if m.outcome == NOT_RUN]
    words = f"This run: scale {run.scale or NOT_RUN}, seeds {', '.join(map(str, run.seeds)) or NOT_RUN}."
    return Section(
        title="How to reproduce",
        blocks=(
            Command(lines=f"pip install 'premise-guard[local]'\nguard world experiment --out DIR{_options(run)}"),
            Text(words=f"{words} DIR/figures.json holds every number of this page, with each seed's."),
            Text(words=f"Not run: {', '.join(missing)}." if missing else "Every arm was run."),
            *([Bullets(items=run.notes)] if run.notes else []),
        ),
    )


def _options(run: Experiment) -> str:
    quick = run.scale == "quick"
    usual = (1,) if quick else (1, 2, 3)
    seeds = "".join(f" --seed {seed}" for seed in run.seeds) if run.seeds != usual else ""
    return f"{' --quick' if quick else ''}{seeds}"
