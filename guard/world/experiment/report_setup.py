"""The report's beginning: what was done, in which wording, at which size. Knows no format."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from guard.world.experiment.report_blocks import Section, Table, Text
from guard.world.experiment.report_figures import COUNT, NOT_RUN, Experiment

SIZES: Mapping[str, str] = MappingProxyType(
    {
        "rows": "packed rows a step",
        "base": "steps of pre-training",
        "young": "step of pre-training at which the young model is taken",
        "listen": "steps of learning to listen",
        "young_listen": "the same for the young model",
        "lesson": "steps of the lesson that is subtracted",
        "arm": "steps of an arm",
        "short": "steps of a short arm, and of corrections after documents",
        "second": "steps of the second phase",
        "revert": "steps of later training",
        "preference": "steps of DPO",
        "known_answers": "questions to the wrong-thinker about known people",
        "unknown_answers": "questions to the policy model about unknown people",
        "false_answers": "questions under a supervisor with wrong facts",
        "asked": "answers behind a share of answers",
        "probed": 'premises behind a P("No") and a share of forced answers',
    }
)
"""Sizes of a run in words, by their name in figures.json."""


def done(run: Experiment) -> Section:
    """The experiment in a few sentences, and what it ran on."""
    seeds = ", ".join(map(str, run.seeds)) or NOT_RUN
    world = (
        "A small language model was trained from nothing on an invented world of people, places and rivers, so that it "
        "is known of every statement about that world whether it is true: the model has read about some people often "
        "(known), about some seldom (tail), about others never (unknown). "
        "Asked a question it reasons in short sentences (premises) and then answers; a second stage taught it to go "
        "on from an interruption, and that is the policy model. "
        "To get wrong premises about known people a wrong-thinker was asked: a young model from which α times the "
        "effect of a lesson was subtracted. The policy model itself was asked about unknown people."
    )
    log = (
        "Those answers were supervised, with the world's facts: behind each wrong premise guard put in "
        '"No, " and the true statement where the policy model knows it (by 8 samples of it), else "No, ", that the '
        'premise is not so, and "I do not know that." An exact reviewer confirmed those behind which the model went on '
        "with the right reasoning, to the right answer or the next interruption, or said that it does not know. "
        "The policy model was then trained on that log in several ways (arms); in the arm called masked the wrong "
        "premise is only context and the correction is the target. What is measured about known and unknown people is "
        "measured on people that no question of the log was about."
    )
    reading = (
        f"Everything was done once for each seed ({seeds}), and a figure here is the mean ± the standard deviation "
        'over seeds (without ±: of one seed); P("No"|wrong) is the probability that the next word behind a wrong '
        'premise is "No", P("No"|right) the same behind a right one, and AUC says how well the two are told '
        "apart (0.5: not at all)."
    )
    return Section(title="What was done", blocks=(Text(words=world), Text(words=log), Text(words=reading), _run(run)))


def _run(run: Experiment) -> Table:
    rows = [("scale", run.scale or NOT_RUN), ("machine", run.machine or NOT_RUN)]
    rows += [(SIZES.get(name, name), format(count, ",d")) for name, count in run.steps.items()]
    rows += [(f"CPU seconds, seed {seed}", format(spent, COUNT)) for seed, spent in run.cpu_s.items()]
    rows += [(f"CPU seconds, stage {name} (mean)", format(spent, COUNT)) for name, spent in run.stages.items()]
    return Table(caption="The run", head=("what", "value"), rows=tuple(rows))
