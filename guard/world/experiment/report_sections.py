"""The report's first half: what was demanded, what the models are like and what each arm made of them.

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

ROWS = (
    "Every arm starts from the policy model, but for phase_two. masked and unmasked take equally many steps; all "
    "others but preference and phase_two are short ones, take equally many too, and are compared with masked_short. Of "
    "an arm's rows 35 % are ordinary pre-training. "
    "Of the rest 74 % are corrections about what the model knows; 6 % are corrections about what it does not know, "
    "where the target is to say so; and 20 % are cautious answers: asked about somebody on whom the policy model "
    "contradicts itself (of 8 samples of its first premise fewer than 60 % agree), it says that it does not know and "
    "makes nothing up first. In the arm cautious all corrections are ordinary rows instead: 87 % of its rows are "
    "ordinary, 13 % are cautious answers."
)
"""What the arms have in common."""

_SPREAD = "Error bars: standard deviation over seeds; small dots: single seeds."
_COUNTS = {
    "answers": "supervised answers",
    "interruptions": "interruptions",
    "distinct": "distinct interruptions",
    "unknown": "confirmed interruptions about what the model does not know",
    "confirmed": "interruptions confirmed in review",
    "rows": "rows of corrections (masked)",
    "clean_rows": "rows of whole turns (clean)",
    "soft_rows": "rows with stored distributions (soft)",
    "preference_rows": "preference rows",
    "false_rows": "rows of false corrections (false10 to false50)",
    "documents": "accounts of self-correction",
}
_CONTROLLED = ("policy", "cautious", "masked_short", "masked", "phase_two")
"""Arms whose answers about unknown people are shown beside those of the control, which had no corrections."""

_THINKER = {"right": "right", "first_wrong": "first premise wrong", "follows": "follows it", "unparsed": "unparsed"}


def demanded(run: Experiment) -> Section:
    """Bars and goals, met and not met alike."""
    rows = tuple(
        (must.name, must.outcome, must.needed, must.measured, must.kind, str(must.n or 0)) for must in run.must
    )
    caption = "What was demanded, and the mean ± the standard deviation over seeds"
    head = ("figure", "outcome", "needed", "measured", "kind", "seeds")
    words = " ".join(_tally(kind, [must for must in run.must if must.kind == kind]) for kind in ("bar", "goal"))
    return Section(
        title="Bars and goals",
        blocks=(Text(words=words), Table(caption=caption, head=head, rows=rows), Text(words=_control(run))),
    )


def _control(run: Experiment) -> str:
    """Wrong answers about unknown people with and without corrections: a bar is about their fall."""
    of = [("base", "base.unknown.wrong"), *((name, f"arm.{name}.unknown.wrong") for name in _CONTROLLED)]
    return (
        "The control for the fall in wrong answers about unknown people: cautious had cautious answers and no "
        "corrections, masked_short as many steps and cautious answers, and corrections. What falls in cautious too is "
        f"not the work of corrections. Wrong answers about unknown people: {sentence(run, of)} "
        f"masked_short against cautious: {_against(run, 'masked_short', 'cautious')}; cautious against policy: "
        f"{_against(run, 'cautious', 'policy')}."
    )


def _against(run: Experiment, name: str, other: str) -> str:
    one, two = (run.get(f"arm.{each}.unknown.wrong") for each in (name, other))
    return NOT_RUN if one is None or two is None else format(one.mean - two.mean, CHANGE)


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
    won = sentence(run, [("chosen had gained more than rejected in this share of pairs", "arm.preference.won")])
    words = f"Right answers about known people: {sentence(run, known)} At the end of preference, {won}"
    items = tuple(f"{name}: {what}{'' if name in names else f' ({NOT_RUN})'}" for name, what in ARMS.items())
    return Section(
        title="All arms",
        blocks=(
            Text(words=words),
            Text(words=ROWS),
            Bullets(items=items),
            _known_right(run, names),
            *(arm_table(run, caption, names, some) for caption, some in parts.items()),
            _unknown(run),
            Text(words="Forced: the model is made to begin with a wrong premise about a known person."),
        ),
    )


def _unknown(run: Experiment) -> Table:
    rows = [("base", "base"), *((name, f"arm.{name}") for name in _CONTROLLED)]
    columns = {key: MEASURES[key] for key in ("unknown.wrong", "unknown.idk", "known.right", "known.idk")}
    caption = "Unknown people: corrections against cautious answers alone (the arm cautious), and what either costs"
    return table(run, caption, "model", rows, columns)


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
