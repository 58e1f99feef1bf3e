"""A calibration from reviews: a served app records, reviewers judge, thresholds follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st

from guard.cli.eval_reviews import recalibrate_from
from guard.cli.judging import judgement
from guard.core.calibration import Calibration
from guard.core.records import Ruling
from guard.errors import ConfigError
from guard.evaluation.recalibrating import check_of, recalibrate
from guard.evaluation.recalibrating_reviews import PARTS, Group, Judged, Reviews, reviews
from guard.store import Database
from tests.server.live import answer, policy_file, serving, settings

SCORES = {"W30": 0.3, "W55": 0.55, "W70": 0.7, "W90": 0.9}
"""What the check is sure of; below 0.5 it flags nothing, from 0.85 on it interrupts."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 conversations; in each, one statement that is interrupted and two that are flagged and let pass."""
    folder = tmp_path_factory.mktemp("recalibrating")
    phrases = [{"text": word, "reason": f"{word}.", "score": score} for word, score in SCORES.items()]
    phrases.append({"regex": "One|Five", "score": 0.0})  # what the check has looked at and found nothing in
    policy = policy_file(folder, "scored", checks=[{"check": "phrase", "phrases": phrases}])
    said = answer([{"content": "One. Two W90. Three W55. Four W70. Five."}, {"finish": "stop"}])
    with serving(settings(folder, [said], policies={"default": policy})) as live:
        for number in range(40):
            live.post({"x-guard-conversation": f"c{number}"}).raise_for_status()
    return folder / "guard.db"


@pytest.fixture
def log(filled: Path, tmp_path: Path) -> Database:
    (tmp_path / "guard.db").write_bytes(filled.read_bytes())
    found = Database(f"sqlite:///{tmp_path / 'guard.db'}")
    found.open()
    return found


def judge(log: Database, wrong: Callable[[str, int], bool], limit: int = 200) -> None:
    """Everything in the queue, by what is wrong in truth: by the statement's text and its place in the queue."""
    for place, subject in enumerate(log.queue("ann", limit)):
        cut = log.interruption(subject.id)
        segment = log.segment(subject.id)
        text = cut.interruption.claim.text if cut is not None else segment.segment.text if segment is not None else ""
        bad = wrong(text, place)
        ruling: Ruling = "confirmed" if bad is (cut is not None) else "rejected"
        assert log.judge(judgement(subject.id, ruling, "ann")) is not None


def truth(text: str, place: int) -> bool:
    """The surer the check is, the more often it is right."""
    return "W90" in text or ("W70" in text and place % 2 == 0) or ("W55" in text and place % 8 == 0)


def test_thresholds_follow_what_reviewers_say(
    log: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(log, truth)
    out = tmp_path / "phrase.json"
    recalibrate_from(log.url, out, None, budget=20, seed=0)
    document = json.loads(out.read_text())
    found = Calibration.model_validate(document)
    curve = found.calibration.probability
    assert (found.check, found.check_version) == ("phrase", "1")
    assert curve(0.55) < 0.3 < curve(0.7) < 0.75 < curve(0.9)
    assert found.thresholds.interrupt_at is not None
    assert document["data"] == [{"store": log.url, "interruptions": 40, "flagged": 80, "clean": 40}]
    said = capsys.readouterr()
    assert "phrase: 40 of 40 judged interruptions right, precision 1.000 [0.912, 1.000]" in said.out
    assert "0 of 40 clean statements drawn at random were missed" in said.out
    assert "calibration: phrase.json" in said.err
    told = "phrase: calibrated on 120 judged findings (statements: 40 interrupted, 80 flagged and let pass)"
    assert told in said.err


def test_what_is_judged_stands_for_all_of_its_kind(log: Database) -> None:
    judge(log, truth)
    found = reviews(log)
    by_kind: dict[str, float] = {}
    for each, weight in zip(found.judged, found.weights, strict=True):
        by_kind[each.kind] = by_kind.get(each.kind, 0) + weight
    recall = log.recall()
    assert recall is not None
    assert by_kind == pytest.approx({"interruptions": 40, "flagged": 80, "clean": recall.segments})


def test_what_is_judged_first_does_not_stand_for_other_scores(log: Database) -> None:
    """Of the flagged ones all doubtful ones are judged, and few of the others: each score keeps its share."""
    judged = {"W55": 0, "W70": 0}
    for subject in log.queue("ann", 200, clean_share=0.0):
        segment = log.segment(subject.id)
        word = next((word for word in judged if segment is not None and word in segment.segment.text), None)
        if word is not None and judged[word] < {"W55": 4, "W70": 30}[word]:
            judged[word] += 1
            log.judge(judgement(subject.id, "rejected", "ann"))
    found = reviews(log)
    mass = dict.fromkeys(judged, 0.0)
    for each, weight in zip(found.judged, found.weights, strict=True):
        mass["W55" if "W55" in each.text else "W70"] += weight
    assert mass == pytest.approx({"W55": 40, "W70": 40})


@settings_(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9).map(lambda tenths: tenths / 10), min_size=1, max_size=30), st.floats(0, 1))
def test_every_part_of_a_group_has_something_that_is_judged(scores: list[float], other: float) -> None:
    found = Reviews(judged=[_flagged(score) for score in scores])
    found.divide()
    group: Group = ("flagged", "phrase")
    parts = {found.stratum(group, score) for score in scores}
    assert len(parts) <= PARTS
    assert found.stratum(group, other) in parts
    found.population.update(dict.fromkeys(parts, 1000))
    assert sum(found.weights) == pytest.approx(1000 * len(parts))


def _flagged(score: float) -> Judged:
    of = {"source": "c", "group": "phrase", "text": "It is.", "stands_for": 1, "scores": {}, "versions": {}}
    return Judged(kind="flagged", wrong=True, score=score, **of)  # type: ignore[arg-type]


def test_too_few_reviews_are_counted_and_how_many_it_takes_is_said(log: Database, tmp_path: Path) -> None:
    out = tmp_path / "phrase.json"
    with pytest.raises(ConfigError, match="of the checks none has judged findings"):
        recalibrate_from(log.url, out, None, budget=1, seed=0)
    judge(log, truth, limit=10)
    with pytest.raises(
        ConfigError,
        match=r"check 'phrase' has \d+ judged findings \(statements: .*\), .*; it takes 30, at least 5 of each",
    ):
        recalibrate_from(log.url, out, None, budget=1, seed=0)
    with pytest.raises(ConfigError, match="'grounding' has none"):
        recalibrate_from(log.url, out, "grounding", budget=1, seed=0)
    assert not out.exists()


def test_clean_statements_must_be_judged_too(log: Database) -> None:
    for subject in log.queue("ann", 200, clean_share=0.0):
        if subject.why != "random clean segment":
            log.judge(judgement(subject.id, "confirmed", "ann"))
    found = reviews(log)
    with pytest.raises(ConfigError, match="every check passed 0 are judged where 'phrase' ran; it takes 20"):
        recalibrate(found, check_of(found, None), budget=1)


def test_a_check_that_is_surer_where_it_is_wrong_is_not_calibrated(log: Database) -> None:
    judge(log, lambda text, place: "W55" in text or ("W70" in text and place % 2 == 0))
    found = reviews(log)
    with pytest.raises(ConfigError, match="nothing to calibrate"):
        recalibrate(found, "phrase", budget=1)
