"""The report's first half: what was done, what was demanded, what the models are like and what each arm made of them.

Every sentence with a number is a rule over the figures. Knows no format.
"""

from __future__ import annotations

import re

from guard.world.experiment import drawing, report_charts
from guard.world.experiment.report_blocks import Bullets, Plot, Section, Table, Text
from guard.world.experiment.report_charts import Head, Range, Series, Shade
from guard.world.experiment.report_figures import CHANGE, COUNT, NOT_RUN, Experiment, Must
from guard.world.experiment.report_measures import ANSWERS, ARMS, GROUPS, MEASURES, arm_table, arms, sentence, table

REFUSED = 1.5
"""The α from which a wrong-thinker is refused: its sentences no longer parse."""

_SPREAD = "Error bars: standard deviation over seeds; small dots: single seeds."
_COUNTS = {
    "answers": "supervised answers",
    "interruptions": "interruptions",
    "confirmed": "confirmed in review",
    "distinct": "distinct",
    "unknown": "about what the model does not know",
    "rows": "rows of corrections",
    "preference_rows": "preference rows",
    "documents": "accounts of self-correction",
}
_THINKER = {"right": "right", "first_wrong": "first premise wrong", "follows": "follows it", "unparsed": "unparsed"}


def done(run: Experiment) -> Section:
    """The experiment in five sentences, and what it ran on."""
    seeds = ", ".join(map(str, run.seeds)) or NOT_RUN
    words = (
        "A small language model was trained from nothing on an invented world of people, places and rivers, so that it "
        "is known of every statement about that world whether it is true: the model has read about some people often "
        "(known), about some seldom (tail), about others never (unknown). "
        "Asked a question it reasons in short sentences (premises) and then answers; a second stage taught it to go "
        "on from an interruption, and that is the policy model. "
        'Answers were supervised: each wrong premise was interrupted with "No, …" and logged, and to get wrong '
        "premises about known people a wrong-thinker was asked, a young model from which α times the effect of a "
        "lesson was subtracted. "
        "The policy model was then trained on that log in several ways (arms); in the arm called masked the wrong "
        "premise is only context and the correction is the target. "
        f"Everything was done once for each seed ({seeds}), and a figure here is the mean ± the standard deviation "
        'over seeds (without ±: of one seed); P("No"|wrong) is the probability that the next word behind a wrong '
        'premise is "No", P("No"|right) the same behind a right one, and AUC says how well the two are told '
        "apart (0.5: not at all)."
    )
    return Section(title="What was done", blocks=(Text(words=words), _setting(run)))


def _setting(run: Experiment) -> Table:
    rows = [("scale", run.scale or NOT_RUN), ("machine", run.machine or NOT_RUN)]
    rows += [(f"steps, {name}", format(count, ",d")) for name, count in run.steps.items()]
    rows += [(f"CPU seconds, seed {seed}", format(spent, COUNT)) for seed, spent in run.cpu_s.items()]
    rows += [(f"CPU seconds, stage {name} (mean)", format(spent, COUNT)) for name, spent in run.stages.items()]
    return Table(caption="The run", head=("what", "value"), rows=tuple(rows))


def demanded(run: Experiment) -> Section:
    """Bars and goals, met and not met alike."""
    rows = tuple(
        (must.name, must.outcome, must.needed, must.measured, must.kind, str(must.n or 0)) for must in run.must
    )
    caption = "What was demanded, and the mean ± the standard deviation over seeds"
    head = ("figure", "outcome", "needed", "measured", "kind", "seeds")
    words = " ".join(_tally(kind, [must for must in run.must if must.kind == kind]) for kind in ("bar", "goal"))
    return Section(title="Bars and goals", blocks=(Text(words=words), Table(caption=caption, head=head, rows=rows)))


def _tally(kind: str, musts: list[Must]) -> str:
    count = {outcome: sum(must.outcome == outcome for must in musts) for outcome in ("met", "NOT met", NOT_RUN)}
    return f"{kind.title()}s: {', '.join(f'{number} {outcome}' for outcome, number in count.items())}."


def believes(run: Experiment) -> Section:
    """The base's unaided answers: it confabulates, and goes on from what it said."""
    shown = {"right": "right", "first_wrong": "first premise wrong", "follows": "follows its own wrong premise"}
    head = Head(
        name="believes",
        title="Unaided answers of the base",
        description="Bars: shares of answers by group of people (known, tail, unknown); the table has the numbers.",
    )
    series = [
        Series(name=name, points=tuple((float(i), run.get(f"base.{group}.{key}")) for i, group in enumerate(GROUPS)))
        for key, name in shown.items()
    ]
    facts = [(f"unknown people, {name}", f"base.unknown.{key}") for key, name in shown.items()]
    own = [("Known people, right", "base.known.right"), ("agreement of samples, known", "consistency.known")]
    own += [("unknown", "consistency.unknown"), ("AUC of that agreement for known against unknown", "consistency.auc")]
    forced = [(name, f"arm.policy.forced.{key}") for key, name in (("follows", "follows it"), ("right", "right"))]
    rows = [(f"{stage}, {group}", f"{stage}.{group}") for stage in ("base", "policy") for group in GROUPS]
    reading = (
        f"Base, {sentence(run, facts)} {sentence(run, own)} "
        f"Policy, made to begin with a wrong premise about somebody it knows, {sentence(run, forced)}"
    )
    return Section(
        title="The base believes itself",
        blocks=(
            Text(words=reading),
            Plot(caption=_SPREAD, svg=report_charts.bars(head, GROUPS, "share of answers", series)),
            table(run, "Unaided answers before and after learning to listen", "model, people", rows, ANSWERS),
        ),
    )


def alphas(run: Experiment) -> list[str]:
    """The α of the sweep, as they are written in the names of the figures, in order."""
    found = (re.match(r"(-?\d{1,6}(?:\.\d{1,6})?)\.(?:known|tail)\.", key) for key in run.under("alpha"))
    return sorted({match[1] for match in found if match}, key=float)


def wrong_thinker(run: Experiment) -> Section:
    """The sweep over α, and the log that came of it."""
    found = alphas(run)
    ends = [found[0], found[-1]] if found else []
    parts = [(f"α = {a}, {group}, right", f"alpha.{a}.{group}.right") for a in ends for group in ("tail", "known")]
    parse = [(f"α = {a}", f"alpha.{a}.known.unparsed") for a in ends]
    words = (
        f"{sentence(run, parts)} Unparsed sentences a transcript, known: {sentence(run, parse)} "
        if found
        else f"The sweep was {NOT_RUN}. "
    )
    rows = [(f"{a}, {group}", f"alpha.{a}.{group}") for group in ("tail", "known") for a in found]
    log = tuple((name, run.written(f"harvest.{key}", COUNT)) for key, name in _COUNTS.items())
    return Section(
        title="The wrong-thinker and the log",
        blocks=(
            Text(words=f"{words}Used for the log: α = {run.written('alpha.used')}."),
            *(_sweep(run, found, group) for group in ("tail", "known") if found),
            table(run, "Young model - α × (lesson - young model); α = -1 is the lesson", "α, people", rows, _THINKER),
            Table(caption="The log, a seed", head=("what", "count"), rows=log),
        ),
    )


def _sweep(run: Experiment, found: list[str], group: str) -> Plot:
    head = Head(
        name=f"alpha-{group}",
        title=f"The wrong-thinker about {group} people, by α",
        description=f"Lines: {', '.join(_THINKER.values())}. Shaded: α of {REFUSED} and above, which are refused.",
    )
    x = drawing.axis("α", map(float, found), least=(-1.0, 2.0))
    series = [
        Series(name=name, points=tuple((float(a), run.get(f"alpha.{a}.{group}.{key}")) for a in found))
        for key, name in _THINKER.items()
    ]
    shade = Shade(start=REFUSED, end=x.high, words="refused")
    return Plot(
        caption=f"About {group} people. Unparsed: sentences a transcript. {_SPREAD}",
        svg=report_charts.lines(head, x, "share of answers", series, shade=shade),
    )


def masking(run: Experiment) -> Section:
    """What each arm thinks of bad premises afterwards."""
    names = [name for name in ("policy", "masked", "unmasked", "clean") if name in arms(run)]
    kinds = {"logp_harvested": "of the log", "logp_heldout": "random, held-out people"}
    head = Head(
        name="masking",
        title="Log-probability of bad premises after training",
        description="Bars: mean log-probability in nats by arm, for premises of the log and for random ones.",
    )
    series = [
        Series(name=name, points=tuple((float(i), run.get(f"arm.{name}.{key}")) for i, key in enumerate(kinds)))
        for name in names
    ]
    pair = ("masked", "unmasked")
    change = sentence(run, [(n, f"arm.{n}.d_logp_harvested") for n in pair], unit="nats", form=CHANGE)
    other = sentence(run, [(n, f"arm.{n}.logp_heldout") for n in ("policy", *pair)], unit="nats")
    words = f"Change of the log-probability of premises of the log against policy: {change} "
    return Section(
        title="Masked against unmasked",
        blocks=(
            Text(words=f"{words}Log-probability of random bad premises about held-out people: {other}"),
            Plot(caption=_SPREAD, svg=report_charts.bars(head, tuple(kinds.values()), "nats", series)),
            arm_table(run, "Bad premises", names, ("logp_harvested", "d_logp_harvested", "logp_heldout")),
        ),
    )


def all_arms(run: Experiment) -> Section:
    """Everything measured of every arm."""
    names = arms(run)
    parts = {
        'The word "No" behind a premise': [key for key in MEASURES if key.startswith(("p_", "auc"))],
        "Unaided answers": [key for key in MEASURES if key.startswith(("known.", "unknown."))],
        "Forced and bad premises": [key for key in MEASURES if key.startswith(("forced.", "logp_", "d_"))],
    }
    known = [(name, f"arm.{name}.known.right") for name in ("policy", "masked", "phase_two")]
    expert = [("plain", "arm.masked.p_wrong"), ("as expert", "arm.masked.p_wrong_expert")]
    words = f'Right answers about known people: {sentence(run, known)} P("No"|wrong) of masked: {sentence(run, expert)}'
    return Section(
        title="All arms",
        blocks=(
            Text(words=words),
            Bullets(
                items=tuple(f"{name}: {what}{'' if name in names else f' ({NOT_RUN})'}" for name, what in ARMS.items())
            ),
            _known_right(run, names),
            *(arm_table(run, caption, names, some) for caption, some in parts.items()),
            Text(
                words="As expert: with a system prompt that says so. Held-out type, relation: one that no correction "
                "was about. Forced: the model is made to begin with a wrong premise about somebody it knows."
            ),
        ),
    )


def _known_right(run: Experiment, names: list[str]) -> Plot:
    head = Head(
        name="arms",
        title="Right answers about known people by arm",
        description="A row for each arm: mean, standard deviation, single seeds; the upright line is policy.",
    )
    values = [(name, value) for name in names if (value := run.get(f"arm.{name}.known.right")) is not None]
    rows = [
        Range(
            name=name,
            middle=value.mean,
            ends=(value.mean - value.spread, value.mean + value.spread),
            seeds=value.values if value.n > 1 else (),
        )
        for name, value in values
    ]
    plain = run.get("arm.policy.known.right")
    svg = report_charts.ranges(head, "share right, known people", rows, line=plain.mean if plain else None)
    return Plot(caption=f"The upright line is policy. {_SPREAD}", svg=svg)
