"""What a fusion and the gate of premises come to when labelled text plays: scores, flags and when they are known."""

from __future__ import annotations

from typing import Any

import pytest

from guard.evaluation.counting import counts, delay_tokens
from guard.evaluation.judged import Flag, Heard, Judged, Played
from guard.evaluation.playing import Player
from tests.evaluation.labelled import loaded, row

PHRASES = {"check": "phrase", "phrases": [{"text": "BAD", "score": 0.8}, {"text": "LONE", "score": 0.7}]}
INPUT = {"flag_at": None, "interrupt_at": None}
pytestmark = pytest.mark.usefixtures("installed")


def fusion(**fields: Any) -> dict[str, Any]:
    weighed = {"check_version": "7", "weight": 1.0, "silent": -1.0}
    phrase = weighed | {"check_version": loaded(PHRASES).specs[0].version}
    base = {"version": 1, "checks": {"phrase": phrase, "shouting": weighed}, "bias": 0.0, "flag_at": 0.5}
    return base | {"interrupt_at": 0.9} | fields


def play(policy: Any, text: str, **fields: Any) -> Played:
    with Player(policy, "grounded") as player:
        return player.play(row(text, **fields))


def test_a_segments_score_is_the_fused_one_and_what_only_the_fusion_flags_is_shown() -> None:
    policy = loaded(PHRASES | INPUT, {"check": "shouting", **INPUT}, fusion=fusion())
    one, two, three = play(policy, "Fine one. A BAD one. A LONE HM.").segments
    assert (one.score, one.flagged, one.fused) == (0.0, False, None)
    assert two.fused == two.score
    assert two.fused is not None
    assert two.fused > 0.99
    assert (two.flagged, two.interrupts) == (True, True)
    assert [flag.score for heard in two.heard for flag in heard.flags] == [two.fused]
    assert three.score == three.fused  # 0.7 and 1.0: the surer finding no longer stands for the segment
    assert three.score != 1.0 or three.fused == 1.0


def test_below_the_threshold_nothing_is_flagged_and_the_score_is_there() -> None:
    policy = loaded(PHRASES | INPUT, {"check": "whispering", **INPUT}, fusion=fusion(checks=_one(), flag_at=0.9))
    (only,) = play(policy, "A BAD one.").segments
    assert only.fused == pytest.approx(0.8)
    assert (only.flagged, only.interrupts) == (False, False)
    assert only.score == 1.0  # a check that is not weighed stands for itself


def _one() -> dict[str, Any]:
    return {"phrase": {"check_version": loaded(PHRASES).specs[0].version, "weight": 1.0}}


def test_the_score_of_what_is_weighed_is_not_its_checks_own() -> None:
    heard = (Heard(check="a", status="clean", score=0.9, weighed=True), Heard(check="b", status="clean", score=0.2))
    assert Judged(start=0, end=1, heard=heard).score == 0.9
    assert Judged(start=0, end=1, heard=heard, fused=0.4).score == 0.4
    assert Judged(start=0, end=1, heard=heard, fused=0.1).score == 0.2


def test_an_interruption_that_waits_for_use_is_known_where_it_is_used() -> None:
    number = {"check": "arithmetic", "flag_at": 0.1, "used_at": 0.2, "interrupt_at": None}
    text = "In all 3 + 4 = 8 came. They sat. So 3 + 4 of them. They left."
    found = play(loaded(number), text, wrong=True, spans=[(7, 16)])
    first = found.segments[0]
    assert (first.end, first.used_at, first.known_at) == (22, 50, 50)
    assert [heard.used for heard in first.heard] == [True]
    assert (first.interrupts, found.interruptions) == (True, (first,))
    assert counts(found)["arithmetic.used"] == 1
    assert delay_tokens(found) == 17
    at_once = play(loaded(number | {"used_at": None, "interrupt_at": 0.5}), text, wrong=True, spans=[(7, 16)])
    assert (at_once.segments[0].known_at, counts(at_once)["arithmetic.used"]) == (22, 0)


def test_scores_are_calibrated_where_text_plays() -> None:
    curve = {"method": "isotonic", "points": [[0.0, 0.0], [1.0, 0.5]]}
    version = loaded(PHRASES).specs[0].version
    base = {"version": 1, "check": "phrase", "check_version": version, "calibration": curve}
    calibration = base | {"thresholds": {"flag_at": 0.3, "interrupt_at": 0.4}}
    (only,) = play(loaded(PHRASES | {"calibration": calibration}), "A BAD one.").segments
    assert (only.score, only.flagged, only.interrupts) == (0.4, True, True)
    assert only.heard[0].flags == (Flag(2, 5, 0.4),)
