"""The sections that say how far self-correction reaches, and how a run is described."""

from __future__ import annotations

from typing import Any

import pytest

from guard.world.experiment import report
from guard.world.experiment.report_figures import NOT_RUN
from guard.world.experiment.report_measures import EXPERT, LEFT_OUT, MEASURES
from guard.world.experiment.report_sections import _CONTROLLED
from tests.world.report_sample import markdown_rows, sample, section


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return sample()


def test_a_bar_that_was_not_run_is_neither_met_nor_missed() -> None:
    bar = {"key": "k", "name": "n", "op": ">=", "bound": 0.9, "kind": "bar", "mean": None, "sd": None, "n": 0}
    figures = {"must": [bar | {"met": None}]}
    assert markdown_rows(section(report.markdown(figures), "Bars and goals"))[1] == [
        "n",
        NOT_RUN,
        "≥ 0.9",
        NOT_RUN,
        "bar",
        "0",
    ]
    assert "Bar not met" not in section(report.markdown(figures), "What does not work")
    assert "bar: n" in section(report.markdown(figures), "How to reproduce")


def test_what_was_left_out_is_shown_beside_an_arm_that_had_it(figures: dict[str, Any]) -> None:
    rows = markdown_rows(section(report.markdown(figures), "A question type left out"))
    assert rows[0] == ["model", *LEFT_OUT.values()]
    assert [row[0] for row in rows[1:]] == ["policy", "masked", "other_types"]
    for name, *cells in rows[1:]:
        for key, cell in zip(LEFT_OUT, cells, strict=True):
            assert float(cell.partition(" ±")[0]) == pytest.approx(
                figures["values"][f"arm.{name}.{key}"]["mean"], abs=5e-3
            )


def test_the_system_prompt_is_shown_beside_none(figures: dict[str, Any]) -> None:
    text = section(report.markdown(figures), "Told that it is an expert")
    rows = markdown_rows(text)
    assert [row[0] for row in rows[1:]] == ["policy", "masked", "phase_two"]
    assert rows[0][1:] == [MEASURES[key] for key in ("p_wrong", "p_right", "auc")] + list(EXPERT.values())
    values = figures["values"]
    fall = values["arm.masked.p_wrong_expert"]["mean"] - values["arm.masked.p_wrong"]["mean"]
    assert f"masked: {fall:+.2f}" in text


def test_sizes_and_stages_read_as_words(figures: dict[str, Any]) -> None:
    rows = dict(markdown_rows(section(report.markdown(figures), "What was done")))
    assert rows["steps of pre-training"] == "800"
    assert rows["answers behind a share of answers"] == "200"
    assert rows["packed rows a step"] == "24"
    assert "5 % after corrections: AUC" in section(
        report.markdown(figures), "Accounts of self-correction in pre-training"
    )


def test_wrong_answers_about_unknown_people_stand_beside_their_control(figures: dict[str, Any]) -> None:
    values, whole = figures["values"], report.markdown(figures)
    text = section(whole, "Bars and goals")
    short, alone, plain = (
        values[f"arm.{name}.unknown.wrong"]["mean"] for name in ("masked_short", "cautious", "policy")
    )
    assert (
        f"masked_short against cautious: {short - alone:+.2f}; cautious against policy: {alone - plain:+.2f}." in text
    )
    rows = markdown_rows(section(whole, "All arms"))
    places = [number for number, row in enumerate(rows) if row[0] == "model"]
    assert [row[0] for row in rows[places[0] + 1 :]] == ["base", *_CONTROLLED]
    for name, wrong, *_ in rows[places[0] + 1 :]:
        key = "base.unknown.wrong" if name == "base" else f"arm.{name}.unknown.wrong"
        assert float(wrong.partition(" ±")[0]) == pytest.approx(values[key]["mean"], abs=5e-3)


def test_a_control_that_was_not_run_is_compared_with_nothing(figures: dict[str, Any]) -> None:
    left = {key: value for key, value in figures["values"].items() if not key.startswith("arm.cautious.")}
    text = section(report.markdown(figures | {"values": left}), "Bars and goals")
    assert f"masked_short against cautious: {NOT_RUN}; cautious against policy: {NOT_RUN}." in text


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([101, 102], "None of this run's seeds (101, 102) is among them."),
        ([2, 41, 103], "Of this run's seeds it was found on 2, 41: their figures flatter it."),
        ([], f"None of this run's seeds ({NOT_RUN}) is among them."),
    ],
)
def test_the_seeds_that_the_recipe_was_found_on_are_told(seeds: list[int], said: str) -> None:
    text = section(report.markdown({"seeds": seeds}), "What the figures do not show")
    assert "with seeds 1, 2, 3, 4, 5, 11, 21, 31, 41, 51, 52 of the same world family." in text
    assert said in text
