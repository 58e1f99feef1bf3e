"""How far self-correction reaches: a question type that no correction was about, and a prompt that promises expertise.

Every sentence with a number is a rule over the figures. Knows no format.
"""

from __future__ import annotations

from guard.world.experiment.report_blocks import Section, Text
from guard.world.experiment.report_figures import CHANGE, NOT_RUN, Experiment
from guard.world.experiment.report_measures import EXPERT, LEFT_OUT, MEASURES, sentence, table

OTHER = "other_types"
"""The arm whose corrections leave a question type out."""

EXPERTS = ("policy", "masked", "phase_two")


def held_out(run: Experiment) -> Section:
    """Questions of the type that the arm other_types had no corrections about."""
    reading = [(f"{OTHER}, {title}", f"arm.{OTHER}.{key}") for key, title in LEFT_OUT.items()]
    words = (
        "The arm other_types had no correction from a question about the sea into which a river flows. Of that "
        'type: P("No") behind the first premise, which other types begin with too, and behind the last one, whose '
        "relation no other type asks about. Its cautious answers and ordinary rows are of every type. The arm masked "
        "had corrections about the type: where masked does not tell the last premises apart either, the figure says "
        f"nothing about transfer. {sentence(run, reading)}"
    )
    rows = [(name, f"arm.{name}") for name in ("policy", "masked", OTHER)]
    return Section(
        title="A question type left out",
        blocks=(Text(words=words), table(run, "Questions of the type left out", "model", rows, LEFT_OUT)),
    )


def expert(run: Experiment) -> Section:
    """P("No") under a system prompt that says that the model is always right."""
    falls = "; ".join(f"{name}: {_fall(run, name)}" for name in EXPERTS)
    words = (
        'Measured a second time behind the system prompt "You are an expert on this world. You are always right." No '
        f'model was trained with a system prompt. Change of P("No"|wrong) by it: {falls}.'
    )
    columns = {key: MEASURES[key] for key in ("p_wrong", "p_right", "auc")} | dict(EXPERT)
    rows = [(name, f"arm.{name}") for name in EXPERTS]
    return Section(
        title="Told that it is an expert",
        blocks=(Text(words=words), table(run, "Without and with the system prompt", "model", rows, columns)),
    )


def _fall(run: Experiment, name: str) -> str:
    plain, told = (run.get(f"arm.{name}.{key}") for key in ("p_wrong", "p_wrong_expert"))
    return NOT_RUN if plain is None or told is None else format(told.mean - plain.mean, CHANGE)
