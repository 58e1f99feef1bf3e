"""What the figures are called in the report, and tables of them. Knows names; knows no section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from guard.world.experiment.report_blocks import Table
from guard.world.experiment.report_figures import CHANGE, NOT_RUN, SHARE, Experiment, written

ARMS: Mapping[str, str] = MappingProxyType(
    {
        "policy": "no corrections: the policy model as it was",
        "masked": "the log; the bad premise is context, the correction and what the model wrote behind it are targets",
        "unmasked": "the same rows; the bad premise is a target too",
        "clean": 'no "No": whole turns of the log with the true statement in the place of each bad premise; in the '
        "place of corrections about what it does not know, more cautious answers",
        "synthetic": "right reasoning with one name changed by chance, drawn anew for every row, in the place of the "
        "log's corrections about what it knows",
        "masked_clean": "60 % rows of masked_short, 40 % rows of clean",
        "other_types": "masked_short, without the corrections from questions of one type",
        "preference": "DPO, correction against what the model went on to say; every step also has ordinary rows, half "
        "as many as the rows of another arm's step, and no cautious answers; fewer steps",
        "masked_short": "masked, with fewer steps: what the other short arms are compared with",
        "soft": "the rows of masked_short; the target of each token that a model wrote is its stored distribution "
        "where the log has it, that of what guard put in the token itself",
        "cautious": "masked_short without any correction: ordinary rows in their place, as many cautious answers",
        "false10": "masked_short; of its corrections about what it knows, 10 % are made of right premises by a "
        "supervisor with wrong facts, whatever the model wrote behind them",
        "false30": "the same with 30 %",
        "false50": "the same with 50 %",
        "phase_two": "masked, then more steps in which four fifths of the rows are ordinary",
    }
)
"""The arms in the order of the report; others follow by name."""

MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "p_wrong": 'P("No"|wrong)',
        "p_right": 'P("No"|right)',
        "auc": "AUC",
        "known.right": "right (known)",
        "known.wrong": "wrong (known)",
        "known.idk": "does not know (known)",
        "known.first_wrong": "first premise wrong (known)",
        "known.false_no": "false No (known)",
        "unknown.right": "right (unknown)",
        "unknown.wrong": "wrong (unknown)",
        "unknown.idk": "does not know (unknown)",
        "forced.right": "right (forced)",
        "forced.corrected": "corrected (forced)",
        "forced.idk": "does not know (forced)",
        "forced.follows": "follows it (forced)",
        "logp_harvested": "log p, premises of the log (nats)",
        "logp_heldout": "log p, random premises (nats)",
        "d_logp_harvested": "change against policy, premises of the log (nats)",
    }
)
"""Figures of an arm, in the order of the report."""

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "p_wrong_type": 'P("No"|wrong), first premise',
        "p_right_type": 'P("No"|right), first premise',
        "auc_type": "AUC, first premise",
        "p_wrong_relation": 'P("No"|wrong), last premise',
        "p_right_relation": 'P("No"|right), last premise',
        "auc_relation": "AUC, last premise",
    }
)
"""Figures about the question type that one arm had no corrections of."""

EXPERT: Mapping[str, str] = MappingProxyType(
    {
        "p_wrong_expert": 'P("No"|wrong), as expert',
        "p_right_expert": 'P("No"|right), as expert',
        "auc_expert": "AUC, as expert",
    }
)
"""Figures under a system prompt that says so."""

ANSWERS: Mapping[str, str] = MappingProxyType(
    {
        "right": "right",
        "wrong": "wrong",
        "idk": "does not know",
        "none": "no answer",
        "first_wrong": "first premise wrong",
        "premise_wrong": "premises wrong",
        "follows": "follows its own wrong premise",
        "unparsed": "unparsed sentences a transcript",
    }
)
"""Figures of unaided answers."""

STAGES: Mapping[str, str] = MappingProxyType(
    {"base": "after pre-training", "policy": "after listen", "corrected": "after corrections"}
)
"""Stages of the models that had documents."""

GROUPS = ("known", "tail", "unknown")


def title(key: str) -> str:
    """A figure's name in words; what stands before a known figure stays in front of it."""
    parts = key.split(".")
    for number in range(len(parts)):
        if known := MEASURES.get(".".join(parts[number:])):
            return ": ".join([" ".join(map(_word, parts[:number])), known] if number else [known])
    return key


def _word(part: str) -> str:
    return f"{part} %" if part.isdecimal() else STAGES.get(part, part)


def spec(key: str) -> str:
    """How a figure is rounded."""
    return CHANGE if key.rpartition(".")[2].startswith("d_") else SHARE


def arms(run: Experiment) -> list[str]:
    """Arms that were run, in the order of the report."""
    found = dict.fromkeys(key.partition(".")[0] for key in run.under("arm"))
    return [*(name for name in ARMS if name in found), *sorted(found.keys() - ARMS.keys())]


def table(
    run: Experiment, caption: str, first: str, rows: Iterable[tuple[str, str]], columns: Mapping[str, str]
) -> Table:
    """A row for each (name, prefix of its figures), a column for each figure below the prefix."""
    body = tuple((name, *(run.written(f"{prefix}.{key}", spec(key)) for key in columns)) for name, prefix in rows)
    return Table(caption=caption, head=(first, *columns.values()), rows=body)


def arm_table(run: Experiment, caption: str, names: Sequence[str], keys: Sequence[str]) -> Table:
    """Arms against some of their figures."""
    return table(run, caption, "arm", [(name, f"arm.{name}") for name in names], {key: MEASURES[key] for key in keys})


def sentence(run: Experiment, parts: Iterable[tuple[str, str]], *, unit: str = "", form: str = SHARE) -> str:
    """`name: figure unit; name: figure unit.` of (name, key) pairs."""
    return "; ".join(f"{name}: {_with_unit(run, key, unit, form)}" for name, key in parts) + "."


def _with_unit(run: Experiment, key: str, unit: str, form: str) -> str:
    value = run.get(key)
    return f"{written(value, form)} {unit}".rstrip() if value is not None else NOT_RUN
