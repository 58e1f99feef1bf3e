"""The report's end: what does not work, what the figures do not show, how to do it again. By rule; knows no format."""

from __future__ import annotations

from collections.abc import Iterator

from guard.world.experiment.report_blocks import Bullets, Command, Section, Text
from guard.world.experiment.report_figures import CHANGE, NOT_RUN, Experiment, ranged, written
from guard.world.experiment.report_measures import ARMS, arms, title

WORSE = 0.05
"""How far right answers about known people may fall below policy's before an arm is named among what does not work."""

FOUND_ON = (1, 2, 3, 4, 5, 11, 21, 31, 41, 51, 52)
"""Seeds whose figures were looked at while the recipe was found."""


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


def limits(run: Experiment) -> Section:
    """How far the figures reach, beyond how they came out."""
    chance = run.written("arm.policy.forced.right")
    items = (
        "The facts and the reviewer are exact, and the world is closed. A log of a real model has neither.",
        "The goal about a harvested log and the bar about phase one are one figure: every log is harvested.",
        "Right answers after a forced wrong premise are, in the goal, the better of masked and phase_two by seed. "
        "Some are right by chance, as another city may be in the same country: policy, which goes on from the wrong "
        f"premise, has {chance}.",
        'P("No") is measured behind premises with a name drawn by chance, not behind what the model itself makes up.',
        "Log-probabilities of premises of the log are those of premises that the arms were trained with, as context "
        "or as target; those of random premises are of people that no question of the log was about.",
        "The log's questions leave out the people that are measured. Where a model mixed up names, one of them can be "
        "the wrong name in a bad premise; the log of false corrections is not searched for them at all.",
        "The recipe (wording, shares, steps, rates) was found by figures like these, with seeds "
        f"{', '.join(map(str, FOUND_ON))} of the same world family. {_fresh(run)} Another kind of "
        "world, or of model, was not tried.",
        "Models with documents are corrected from the log of the policy model without, and cautious where that one was "
        "unsure. Documents take the place of ordinary tokens.",
        "How much of the fall in wrong answers about unknown people is the work of cautious answers is seen in the "
        "short arms, where cautious is the control of masked_short: both kinds of corrections are missing from it, and "
        "ordinary rows are in their place. masked and phase_two have no control of their own length.",
    )
    return Section(title="What the figures do not show", blocks=(Bullets(items=items),))


def _fresh(run: Experiment) -> str:
    known = [str(seed) for seed in run.seeds if seed in FOUND_ON]
    if known:
        return f"Of this run's seeds it was found on {', '.join(known)}: their figures flatter it."
    return f"None of this run's seeds ({', '.join(map(str, run.seeds)) or NOT_RUN}) is among them."


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
    usual = (1,) if quick else (101, 102, 103)
    seeds = "".join(f" --seed {seed}" for seed in run.seeds) if run.seeds != usual else ""
    return f"{' --quick' if quick else ''}{seeds}"
