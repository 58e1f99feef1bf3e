"""The training of the grounding check's model: what it reads, what it exports, and how it measures."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from guard.checks.grounding.features import NAMES
from guard.checks.grounding.model import load
from guard.checks.grounding.statement import Lexicon

pytest.importorskip("lightgbm", reason="needs the extra `train`")

from guard.train import grounding
from guard.train.grounding_data import Answer, Example, cut, examples, grounds, read_folder
from guard.train.grounding_fit import arrays, calibrate, fit, hints
from guard.train.grounding_score import Scored, auroc, best_f1, measure, streaming

PLACES = ("Arlen", "Dunmore", "Kestwick", "Ostle", "Farrow", "Hexby", "Torrin", "Wexmoor")
THINGS = ("bridge", "harbour", "library", "mill", "museum", "station", "theatre", "tower")


def row(number: int, rng: random.Random) -> dict[str, Any]:
    """A made-up place, an answer that repeats its context, and in every other one a sentence that does not."""
    place, thing = rng.choice(PLACES), rng.choice(THINGS)
    year, length = rng.randrange(1700, 2000), rng.randrange(20, 900)
    facts = [
        f"The {thing} of {place} was finished in {year}.",
        f"It is {length} metres long and made of pale sandstone.",
        "Visitors may enter on weekdays between nine and five, and on holidays in the afternoon.",
        f"A footpath leads from the {thing} to the river, where boats can be hired in summer.",
    ]
    good = " ".join(rng.sample(facts, 3))
    bad = (
        f" Its architect, Sir {rng.choice('ABCDEFG')}ldous Marchbank, also designed {rng.randrange(3, 40)} lighthouses."
    )
    made_up = number % 2 == 0
    text = good + bad * made_up
    return {
        "id": f"QA-{number}",
        "dataset": "ragtruth",
        "task": "QA",
        "question": f"Tell me about the {thing}.",
        "context": f"Report {number}. " + " ".join(facts),
        "response": text,
        "spans": [{"start": len(good) + 1, "end": len(text), "type": "x"}] if made_up else [],
        "hallucinated": made_up,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(1)
    made = tmp_path_factory.mktemp("data")
    lines = [json.dumps(row(number, rng)) for number in range(240)]
    (made / "ragtruth_qa_train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def read(folder: Path) -> tuple[list[Answer], list[Example], list[float]]:
    answers = read_folder(folder)
    return answers, grounding.build(answers, Lexicon()), grounding.natural(answers)


def test_text_is_cut_as_guard_cuts_it() -> None:
    assert cut("One is here. Two is too.\n- three") == [(0, 12), (12, 24), (24, 32)]
    assert cut(" ") == []


def test_a_segment_is_bad_if_it_shares_a_character_with_a_span(read: Any) -> None:
    answers, rows, _ = read
    own = [one for one in rows if one.answer == 0 and not one.made]
    assert [one.bad for one in own] == [False, False, False, True]
    assert answers[0].text[own[-1].start :].startswith("Its architect")
    assert any(is_bad for _, is_bad in own[-1].novel)


def test_made_examples_are_bad_and_say_one_thing_else(read: Any) -> None:
    _, rows, _ = read
    made = [one for one in rows if one.made]
    assert made
    assert all(one.bad for one in made)


def test_bad_answers_weigh_what_they_do_in_nature(read: Any) -> None:
    answers, _, weights = read
    bad = sum(weight for answer, weight in zip(answers, weights, strict=True) if answer.bad)
    assert bad / sum(weights) == pytest.approx(grounding.RATE)


def test_no_source_is_on_both_sides_of_a_split(read: Any) -> None:
    answers, rows, _ = read
    for fold in range(grounding.FOLDS):
        fitted = {answers[one.answer].context for one in grounding.training(answers, rows, fold)}
        held = {answer.context for answer in answers if grounding.fold_of(answer) == fold}
        assert fitted
        assert held
        assert not fitted & held


def test_another_context_can_be_put_in_its_place(read: Any) -> None:
    answers, _, _ = read
    novel = NAMES.index("novel")
    own = [one.values[novel] for one in examples(1, answers[1], grounds(answers[1], Lexicon()))]
    foreign = grounds(answers[1], Lexicon(), "Whip the cream with sugar until soft peaks form. " * 8)
    other = [one.values[novel] for one in examples(1, answers[1], foreign)]
    assert sum(other) > sum(own) + 1


def test_the_exported_trees_predict_what_the_trainer_predicts(read: Any, tmp_path: Path) -> None:
    answers, rows, _ = read
    booster, table = fit(grounding.training(answers, rows), answers, seed=3, trees=30)
    document = {
        "format": 1,
        "features": NAMES,
        "calibration": {"slope": 1.0, "shift": 0.0},
        "about": {},
        "words": {"unseen": 8.0, "rarity": {}, "hint": table},
        "trees": arrays(booster),
    }
    path = tmp_path / "model.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    model = load(path)
    assert len(model.trees) == 30
    rng = random.Random(5)
    inputs = [[rng.choice((0.0, rng.random(), rng.random() * 20)) for _ in NAMES] for _ in range(300)]
    for values, margin in zip(inputs, booster.predict(inputs, raw_score=True), strict=True):
        assert model.margin(values) == pytest.approx(float(margin), abs=1e-4)


def test_trained_on_this_it_finds_what_is_made_up(read: Any) -> None:
    answers, rows, _ = read
    margins = grounding.cross_validate(answers, rows, 0)
    real = [at for at, one in enumerate(rows) if not one.made]
    assert auroc([rows[at].bad for at in real], [margins[at] for at in real]) > 0.95


def test_the_script_writes_a_model_that_the_check_loads(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own.json"
    monkeypatch.setattr(sys, "argv", ["grounding", str(folder), "--out", str(out), "--seeds", "1"])
    grounding.main()
    assert json.loads(capsys.readouterr().out)["ragtruth_qa_train"][0]["auroc"] > 95
    about = load(out).about
    assert [one["file"] for one in about["trained_on"]] == ["ragtruth_qa_train.jsonl"]
    assert about["trained_on"][0]["licence"] == "MIT"


def test_words_that_are_made_up_more_often_get_a_higher_hint() -> None:
    rows = [
        Example(answer=0, start=0, end=1, values=[], bad=True, claim=True, novel=[("expert", True), ("note", False)])
        for _ in range(9)
    ]
    table = hints(rows)
    assert table["expert"] > 0 > table["note"]
    assert hints([]) == {}


def test_calibration_maps_margins_to_shares() -> None:
    rng = random.Random(2)
    margins = [rng.uniform(-3, 3) for _ in range(4000)]
    labels = [rng.random() < 1 / (1 + 2.718281828 ** -(2 * margin - 1)) for margin in margins]
    slope, shift = calibrate(margins, labels, [1.0] * len(margins))
    assert slope == pytest.approx(2, abs=0.2)
    assert shift == pytest.approx(-1, abs=0.2)


def test_of_one_kind_alone_nothing_can_be_told() -> None:
    assert auroc([], []) == 0.5
    assert auroc([True], [0.2]) == 0.5


@pytest.mark.parametrize(
    ("labels", "scores", "value"),
    [
        ([True, False], [0.9, 0.1], 1.0),
        ([True, False], [0.1, 0.9], 0.0),
        ([True, False], [0.5, 0.5], 0.5),
        ([True, True, False, False], [0.9, 0.4, 0.4, 0.1], 0.875),
    ],
)
def test_auroc_is_the_chance_that_a_bad_one_scores_higher(
    labels: list[bool], scores: list[float], value: float
) -> None:
    assert auroc(labels, scores) == pytest.approx(value)


def test_the_best_threshold_does_not_stand_between_equal_scores() -> None:
    f1, at = best_f1([0.9, 0.5, 0.5, 0.1], [1, 1, 1, 1], [1, 1, 0, 0])
    assert f1 == pytest.approx(0.8)
    assert at == 0.5


def scored() -> Scored:
    """Two answers of three segments of four tokens; the first is bad in its second segment."""
    text = "aa bb cc. dd ee ff. gg hh ii."
    parts = [(0, 9), (10, 19), (20, 29)]
    answers = [
        Answer(
            id=str(n),
            source="x",
            group="00",
            question="",
            context="",
            text=text,
            spans=spans,
            bad=bool(spans),
            segments=[],
        )
        for n, spans in enumerate([[(10, 19)], []])
    ]
    rows = [
        Example(answer=n, start=a, end=b, values=[], bad=n == 0 and a == 10, claim=True, novel=[])
        for n in range(2)
        for a, b in parts
    ]
    return Scored(answers, rows, [0.1, 0.8, 0.3, 0.2, 0.1, 0.05], [1.0, 1.0])


def test_measures_of_a_worked_example() -> None:
    found = measure(scored())
    assert found["auroc"] == found["segment_auroc"] == found["f1"] == found["span_f1"] == 100
    assert found["span_at"] == 0.8


def test_streaming_counts_caught_exact_and_clean() -> None:
    found = streaming(scored(), 0.0)
    assert (found["caught"], found["exact"], found["clean_hit"], found["false_per_1000"]) == (100, 100, 0, 0)
    assert found["delay"] == 4
    loose = streaming(scored(), 1000.0)
    assert loose["at"] == 0
    assert loose["clean_hit"] == 100
    assert loose["false_per_1000"] == pytest.approx(5 / 20 * 1000)
