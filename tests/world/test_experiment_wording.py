"""What the report says of the arms is what their code does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from guard.world.experiment import arms, examining, logged
from guard.world.experiment.examining import EXPERT, HELD_OUT
from guard.world.experiment.lab import Lab
from guard.world.experiment.report_figures import read
from guard.world.experiment.report_measures import ARMS
from guard.world.experiment.report_sections import ROWS
from guard.world.experiment.report_setup import SIZES
from guard.world.experiment.report_transfer import expert, held_out
from guard.world.experiment.running import _numbers
from guard.world.experiment.scale import SCALES, Scale
from guard.world.experiment.work import Work
from guard.world.world import QUESTIONS, UNKNOWN_ANSWER


def test_every_arm_has_its_description() -> None:
    noise = {f"false{share * 100:.0f}" for share in Scale().noise}
    run = {"policy", "masked", "phase_two", "preference", *arms.LONG, *arms.SHORT, *noise}
    assert set(ARMS) == run


def test_shares_are_those_of_the_mixture() -> None:
    rest = 1 - arms.UNKNOWN - arms.CAUTION
    assert f"{rest:.0%}".replace("%", " %") + " are corrections about what the model knows" in ROWS
    assert f"{arms.UNKNOWN:.0%}".replace("%", " %") + " are corrections about what it does not know" in ROWS
    assert f"{arms.CAUTION:.0%}".replace("%", " %") + " are cautious" in ROWS
    assert f"of {examining.SAMPLES} samples" in ROWS
    assert f"fewer than {logged.UNSURE_BELOW * 100:.0f} % agree" in ROWS
    assert f"Of an arm's rows {arms.REPLAY * 100:.0f} % are ordinary" in ROWS
    assert arms.SECOND_REPLAY == 0.8
    assert "four fifths" in ARMS["phase_two"]
    assert (
        ARMS["masked_clean"]
        == f"{100 - arms.CLEAN * 100:.0f} % rows of masked_short, {arms.CLEAN * 100:.0f} % rows of clean"
    )


def test_the_control_has_no_corrections_and_as_many_cautious_answers(tmp_path: Path) -> None:
    share = (1 - arms.REPLAY) * arms.CAUTION
    assert f"{100 - 100 * share:.0f} % of its rows are ordinary, {100 * share:.0f} % are cautious answers" in ROWS
    lab = Lab(folder=tmp_path / "seed-1", seed=1, scale=SCALES["quick"])
    lab.open()
    lab.keep_unsure([("born", person) for person in lab.world.group("unknown", "train")])
    work = Work(lab=lab, tick=lambda _: None)
    draw, rng = arms.mixed(work, *arms.of_doubts(work)), Random(0)
    texts = [str(lab.tokenizer.decode(draw(rng).ids)) for _ in range(2000)]
    assert not [text for text in texts if "No, " in text]
    assert sum(UNKNOWN_ANSWER in text for text in texts) / 2000 == pytest.approx(share, abs=0.03)


def test_the_system_prompt_and_the_type_are_named() -> None:
    texts = [" ".join(getattr(block, "words", "") for block in part(read({})).blocks) for part in (expert, held_out)]
    assert EXPERT in texts[0]
    assert HELD_OUT in texts[1]
    last = QUESTIONS[HELD_OUT][0][-1]
    assert [type_ for type_, (relations, _) in QUESTIONS.items() if last in relations] == [HELD_OUT]


@pytest.mark.parametrize("scale", SCALES)
def test_every_size_has_a_name(scale: str) -> None:
    assert set(_numbers(SCALES[scale])) <= set(SIZES)
    assert set(SIZES) <= {field.name for field in dataclasses.fields(Scale)}
