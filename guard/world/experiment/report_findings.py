"""The report's second half: self-correction, how it decays, and what the data it is learned from must be like.

Every sentence with a number is a rule over the figures. Knows no format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from guard.world.experiment import report_charts
from guard.world.experiment.drawing import Axis
from guard.world.experiment.report_blocks import Plot, Section, Table, Text
from guard.world.experiment.report_charts import Head, Range, Series
from guard.world.experiment.report_figures import CHANGE, COUNT, NOT_RUN, Experiment, Value, ranged, written
from guard.world.experiment.report_measures import MEASURES, STAGES, arm_table, arms, sentence, table, title

ONE_HOT = "masked_short"
"""The arm that soft targets and false corrections are compared with: the same steps."""

_MIXED = ("p_wrong", "p_right", "auc", "known.right", "unknown.wrong", "unknown.idk", "forced.right")
_UNDRAWN = re.compile(r"logp|\.(base|policy)\.")
"""Differences left to the table: in nats, they would flatten the shares beside them; at early stages, they are many."""

_SPREAD = "Error bars: standard deviation over seeds; small dots: single seeds."


def correcting(run: Experiment) -> Section:
    """P("No") behind wrong premises against that behind right ones."""
    names = arms(run)
    points = [
        (name, right, wrong)
        for name in names
        if (right := run.get(f"arm.{name}.p_right")) and (wrong := run.get(f"arm.{name}.p_wrong"))
    ]
    head = Head(
        name="correcting",
        title="Self-correction against false correction by arm",
        description='A point for each arm: across P("No"|right), up P("No"|wrong). On the dashed line they are equal.',
    )
    both = [(f"masked, {MEASURES[key]}", f"arm.masked.{key}") for key in ("p_wrong", "p_right", "auc")]
    far = max(points, key=lambda point: point[2].mean - point[1].mean, default=None)
    gap = f"{far[0]}, {format(far[2].mean - far[1].mean, CHANGE)}" if far else NOT_RUN
    words = f'{sentence(run, both)} Largest P("No"|wrong) - P("No"|right): {gap}.'
    svg = report_charts.scatter(head, (MEASURES["p_right"], MEASURES["p_wrong"]), points)
    return Section(
        title="Self-correction against false correction",
        blocks=(
            Text(words=words),
            Plot(caption="Error bars: standard deviation over seeds. On the dashed line both are equal.", svg=svg),
            arm_table(run, 'The word "No" behind a premise', names, ("p_wrong", "p_right", "auc", "known.false_no")),
        ),
    )


def decay(run: Experiment) -> Section:
    """What ordinary training makes of the skill, with corrections kept in and without."""
    found = [re.fullmatch(r"keep(\d{1,3})\.(\d{1,9})\.p_wrong", key) for key in run.under("elasticity")]
    places = {(int(match[1]), int(match[2])) for match in found if match}
    keeps, steps = sorted({keep for keep, _ in places}), sorted({step for _, step in places})
    tokens = run.get("elasticity.tokens_a_step")
    parts = [
        (f"{step} steps", f"elasticity.keep{keep}.{step}.p_wrong")
        for keep in keeps[:1]
        for step in steps[:: max(1, len(steps) - 1)]
    ]
    kept = [(f"{keep} %", f"elasticity.keep{keep}.{steps[-1]}.p_wrong") for keep in keeps]
    right = [(f"{keep} %", f"elasticity.keep{keep}.end.known.right") for keep in keeps]
    words = (
        "Later training of masked, at half the rows a step, was on ordinary rows and a share of that arm's others "
        f'(corrections and cautious answers). P("No"|wrong) with {keeps[0]} % of them: {sentence(run, parts)} '
        f"After {steps[-1]} steps: {sentence(run, kept)} Right answers about known people then: {sentence(run, right)}"
        if places
        else f"Later training: {NOT_RUN}."
    )
    rows = [
        (f"{keep} %, {step} ({_tokens(tokens, step)})", f"elasticity.keep{keep}.{step}")
        for keep in keeps
        for step in steps
    ]
    columns = {key: MEASURES[key] for key in ("p_wrong", "p_right", "auc")}
    caption = "Later training of the arm masked"
    return Section(
        title="Elasticity: how fast it is lost",
        blocks=(
            Text(words=words),
            *([_decay(run, keeps, steps, tokens)] if places else []),
            table(run, caption, "share of rows not ordinary, steps (tokens)", rows, columns),
        ),
    )


def _tokens(tokens: Value | None, step: int) -> str:
    return format(step * tokens.mean, COUNT) if tokens else NOT_RUN


def _decay(run: Experiment, keeps: list[int], steps: list[int], tokens: Value | None) -> Plot:
    head = Head(
        name="decay",
        title='P("No"|wrong) under ordinary training',
        description="A line for each share of rows that are not ordinary, over steps on a logarithmic scale.",
    )
    series = [
        Series(
            name=f"{keep} % of rows",
            points=tuple((math.log2(1 + step), run.get(f"elasticity.keep{keep}.{step}.p_wrong")) for step in steps),
        )
        for keep in keeps
    ]
    x = _logarithmic("steps of ordinary training (log scale)", {step: str(step) for step in steps})
    counted = {step: f"{step * tokens.mean / 1000:.3g}k" if step else "0" for step in steps} if tokens else {}
    above = _logarithmic("tokens", counted) if counted else None
    svg = report_charts.lines(head, x, MEASURES["p_wrong"], series, above=above)
    return Plot(caption=f"Above: tokens of that training. {_SPREAD}", svg=svg)


def _logarithmic(label: str, labels: dict[int, str]) -> Axis:
    ticks = tuple((math.log2(1 + step), words) for step, words in labels.items())
    return Axis(label=label, low=0.0, high=max(1.0, ticks[-1][0]), ticks=ticks)


def documents(run: Experiment) -> Section:
    """Accounts of self-correction in pre-training."""
    found = (re.match(r"(\d{1,3}(?:\.\d{1,3})?)\.(?:base|policy|corrected)\.", key) for key in run.under("documents"))
    rates = sorted({match[1] for match in found if match}, key=float)
    rows = [(f"{rate} %, {name}", f"documents.{rate}.{stage}") for rate in rates for stage, name in STAGES.items()]
    words = [
        f"{MEASURES[key]} after corrections: "
        + sentence(run, [(f"{rate} %", f"documents.{rate}.corrected.{key}") for rate in rates])
        for key in ("p_wrong", "unknown.wrong")
    ]
    caption = (
        "Share of the pre-training tokens that are accounts of self-correction from the log, and the stage measured"
    )
    return Section(
        title="Accounts of self-correction in pre-training",
        blocks=(
            Text(words=" ".join(words) if rates else f"Pre-training with documents: {NOT_RUN}."),
            *(_mix(run, rates, key) for key in ("p_wrong", "unknown.wrong") if rates),
            table(run, caption, "documents, stage", rows, {key: MEASURES[key] for key in _MIXED}),
            *_effects(run, "documents", "Differences seed by seed, documents minus none at the same stage"),
        ),
    )


def _mix(run: Experiment, rates: list[str], key: str) -> Plot:
    head = Head(
        name=f"documents-{key.replace('.', '-')}",
        title=f"{MEASURES[key]} by share of documents and stage",
        description="Groups of bars: per cent of the pre-training tokens; a bar for each stage.",
    )
    series = [
        Series(
            name=name,
            points=tuple((float(i), run.get(f"documents.{rate}.{stage}.{key}")) for i, rate in enumerate(rates)),
        )
        for stage, name in STAGES.items()
    ]
    svg = report_charts.bars(head, [f"{rate} %" for rate in rates], MEASURES[key], series)
    return Plot(caption=f"Across: documents in pre-training. {_SPREAD}", svg=svg)


def cleanliness(run: Experiment) -> Section:
    """False corrections in the log."""
    shares = {0: ONE_HOT, 10: "false10", 30: "false30", 50: "false50"}
    shown = ("auc", "p_right", "known.false_no")
    words = [
        f"{MEASURES[key]}: " + sentence(run, [(f"{share} %", f"arm.{name}.{key}") for share, name in shares.items()])
        for key in ("auc", "known.false_no")
    ]
    head = Head(
        name="cleanliness",
        title="What false corrections in the log do",
        description="Lines over the share of corrections that are false: AUC and two measures of false correction.",
    )
    series = [
        Series(name=MEASURES[key], points=tuple((float(s), run.get(f"arm.{name}.{key}")) for s, name in shares.items()))
        for key in shown
    ]
    x = Axis(
        label="% of corrections (known) that are false",
        low=0,
        high=50,
        ticks=tuple((float(s), str(s)) for s in shares),
    )
    rows = [(f"{share} % ({name})", f"arm.{name}") for share, name in shares.items()]
    columns = {key: MEASURES[key] for key in ("auc", "p_wrong", "p_right", "known.false_no", "known.right")}
    return Section(
        title="How clean the log must be",
        blocks=(
            Text(words=" ".join(words)),
            Plot(caption=_SPREAD, svg=report_charts.lines(head, x, "AUC or share", series)),
            table(run, "False corrections, of those about what the model knows", "false (arm)", rows, columns),
        ),
    )


def softness(run: Experiment) -> Section:
    """The stored distribution as a target against the token itself."""
    words = [
        f"{MEASURES[key]}: " + sentence(run, [("one-hot", f"arm.{ONE_HOT}.{key}"), ("soft", f"arm.soft.{key}")])
        for key in ("auc", "known.right")
    ]
    names = (ONE_HOT, "soft")
    caption = (
        f"One-hot is {ONE_HOT}: the same rows and steps. Rows behind whose correction no model wrote on have no stored "
        "distribution, and are one-hot in soft too"
    )
    return Section(
        title="Soft targets against one-hot",
        blocks=(
            Text(words=" ".join(words)),
            *_effects(run, "soft", "Differences seed by seed, soft minus one-hot"),
            arm_table(
                run, caption, names, ("p_wrong", "p_right", "auc", "known.right", "unknown.wrong", "forced.right")
            ),
        ),
    )


def _effects(run: Experiment, family: str, caption: str) -> Iterator[Plot | Table | Text]:
    found = run.under(f"effect.{family}")
    if not found:
        yield Text(words=f"{caption}: {NOT_RUN}.")
        return
    head = Head(name=f"effect-{family}", title=caption, description="A row for each figure: mean and 95 % interval.")
    rows = [_effect(key, value) for key, value in found.items() if not _UNDRAWN.search(key)]
    after = ", after corrections" if family == "documents" else ""
    if rows:
        yield Plot(
            caption=f"{caption}{after}: mean, 95 % t-interval over seeds, and single seeds.",
            svg=report_charts.ranges(head, "difference", rows, line=0.0),
        )
    cells = tuple((title(key), written(value, CHANGE), ranged(value), str(value.n)) for key, value in found.items())
    yield Table(caption=caption, head=("figure", "difference", "95 % t-interval", "seeds"), rows=cells)


def _effect(key: str, value: Value) -> Range:
    """A row of the picture; in the names of documents the share and nothing of the stage."""
    return Range(
        name=title(key.replace(".corrected.", " %.")),
        middle=value.mean,
        ends=value.interval or (value.mean, value.mean),
        seeds=value.values if value.n > 1 else (),
    )
