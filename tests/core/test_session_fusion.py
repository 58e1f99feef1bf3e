"""Several checks weighed together in a session: when they decide, on whose words, and that nothing waits for them."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core import events as ev
from guard.core.types import Finding, Segment, Verdict
from tests.core.harness import Answer, Harness, policy
from tests.core.test_calibration import document
from tests.core.test_session import NO, cuts, watching

INPUT = {"flag_at": None, "interrupt_at": None}
WEIGHED = {"check_version": "1", "weight": 1.0, "silent": -1.0}
# 0.8 and 0.8 together are 0.94, one of them beside a silent check 0.6, and alone 0.8.
FUSION: dict[str, Any] = {
    "version": 1,
    "checks": {"quick": WEIGHED, "slow": WEIGHED},
    "bias": 0.0,
    "flag_at": 0.55,
    "interrupt_at": 0.9,
}
MAYBE = Finding(score=0.8, reason="that is wrong.", correction="It is GOOD.")
OTHER = Finding(score=0.9, reason="that is odd.", correction="It is FINE.")


def maybe(segment: Segment) -> tuple[Finding, ...]:
    return (MAYBE,) if "BAD" in segment.text else ()


def fusing(fusion: dict[str, Any] | None = None, quick: Any = INPUT, slow: Any = INPUT, **fields: Any) -> Harness:
    """One inline check that is not sure of BAD, one slow check whose answers the test gives, both weighed."""
    checks = [{"check": "quick", **quick}, {"check": "slow", **slow}]
    made = policy(checks=checks, fusion=FUSION | (fusion or {}), **fields)
    return Harness(made, inline={"quick": maybe}, slow=["slow"])


def verdicts(harness: Harness) -> dict[tuple[int, str], Verdict]:
    harness.end()
    while harness.asked:
        harness.answer()
    assert harness.finish
    assert harness.finish.summary
    return {(v.segment, v.check): v for v in harness.finish.summary.verdicts}


def test_two_that_are_not_sure_interrupt_together_in_the_words_of_the_one_that_adds_most() -> None:
    harness = fusing(**watching(reasoning="immediate")).say("A BAD one. Then").answer(OTHER)
    (record,) = harness.records
    assert (record.check, record.correction, record.claim.text) == ("slow", "It is FINE.", "A BAD one.")
    assert record.verdicts[0].status == "flagged"
    assert record.verdicts[0].fused == pytest.approx(36 / 37)
    assert [(v.check, v.status, v.fused) for v in record.verdicts[1:]] == [("quick", "clean", None)]
    assert harness.text() == "A BAD one. Then No, that is odd. It is FINE."


def test_one_beside_a_silent_one_is_flagged_and_goes_on() -> None:
    found = verdicts(fusing().say("A BAD one. Then"))
    assert (found[0, "quick"].status, found[0, "quick"].disposition) == ("flagged", "none")
    assert found[0, "quick"].fused == pytest.approx(4 / (4 + 2.718281828))
    assert (found[0, "slow"].status, found[0, "slow"].fused) == ("clean", None)
    assert all(found[1, name].fused is None and found[1, name].status == "clean" for name in ("quick", "slow"))


def test_what_is_not_flagged_keeps_its_probability() -> None:
    found = verdicts(fusing({"flag_at": 0.7}).say("A BAD one."))
    assert found[0, "quick"].status == "clean"
    assert found[0, "quick"].fused == pytest.approx(0.595, abs=0.001)


def test_nothing_is_decided_before_all_have_answered_and_checked_text_waits_for_that() -> None:
    harness = fusing().say("A BAD one. Two", "content")
    assert (harness.text("content"), harness.records) == ("", [])
    harness.answer(MAYBE)
    assert harness.text("content") == "It is GOOD."
    assert harness.records[0].correct == "retract"


def test_a_claim_that_a_slow_check_clears_is_not_interrupted_before_that() -> None:
    harness = fusing({"interrupt_at": 0.75}).say("A BAD one. Two").answer().end().answer()
    assert (harness.records, harness.text()) == ([], "A BAD one. Two")


@pytest.mark.parametrize("why", ["not_applicable", "unscanned"])
def test_a_check_that_did_not_run_adds_nothing(why: Any) -> None:
    harness = fusing({"interrupt_at": 0.75}).say("A BAD one. Two", "content")
    segment, check = harness.asked.pop()
    harness.feed(ev.Unchecked(segment.id, check, why, "x"))
    assert harness.records[0].verdicts[0].fused == pytest.approx(0.8)


def test_a_hold_that_runs_out_is_an_answer_and_a_later_one_is_weighed_in() -> None:
    harness = fusing().say("A BAD one. Two", "content").feed(ev.HoldExpired(0))
    assert (harness.text("content"), harness.records) == ("A BAD one.", [])
    harness.answer(MAYBE)
    (record,) = harness.records
    assert (record.check, record.correct) == ("quick", "interrupt")  # what was sent cannot be retracted
    assert harness.text("content") == "A BAD one." + NO


def test_a_hold_that_runs_out_may_be_what_interrupts() -> None:
    harness = fusing({"interrupt_at": 0.75}).say("A BAD one. Two", "content").feed(ev.HoldExpired(0))
    assert harness.text("content") == "It is GOOD."
    assert harness.records[0].verdicts[0].fused == pytest.approx(0.8)


def test_a_fusion_does_not_keep_the_finish_waiting() -> None:
    harness = fusing(watch={"content": {"release": "checked"}}).say("A BAD one.", "content").end()
    harness.feed(ev.HoldExpired(0))
    assert harness.finish
    assert harness.text("content") == "A BAD one."


def test_a_checks_own_threshold_acts_alone_and_at_once() -> None:
    harness = fusing(quick={"interrupt_at": 0.8, "flag_at": 0.1}).say("A BAD one. Two")
    (record,) = harness.records
    assert record.verdicts[0].fused is None
    assert harness.session.receive(ev.Checked(0, "slow", (OTHER,))) == []  # noted: the claim is settled


def test_a_check_that_an_earlier_one_calls_for_is_waited_for() -> None:
    calling: dict[str, Any] = {"flag_at": 0.5, "interrupt_at": None}
    harness = fusing({"interrupt_at": 0.75}, quick=calling, slow=INPUT | {"only_if": ["quick"]})
    harness.say("Fine. A BAD one. Two", "content")
    assert [segment.text for segment, _ in harness.asked] == [" A BAD one."]
    assert harness.records == []
    harness.answer(MAYBE)
    assert harness.records[0].verdicts[0].fused == pytest.approx(16 / 17)


def test_a_check_that_was_not_asked_adds_nothing() -> None:
    harness = fusing(slow=INPUT | {"channels": ["content"]}).say("A BAD one. Two")
    assert harness.records == []
    assert verdicts(harness)[0, "quick"].fused == pytest.approx(0.8)


def test_only_what_is_weighed_is_waited_for() -> None:
    alone = {"checks": {"quick": WEIGHED}, "interrupt_at": 0.75}
    harness = fusing(alone).say("A BAD one. Two", "content")
    assert harness.text("content") == "It is GOOD."
    harness = fusing(alone, slow={}).say("Fine. Two", "content").answer(OTHER)
    assert harness.records[0].check == "slow"  # what is not weighed acts on its own


def test_an_observing_policy_notes_what_it_would_have_done() -> None:
    harness = fusing(mode="observe", **watching(reasoning="immediate", content="immediate"))
    found = verdicts(harness.say("A BAD one. Two").answer(MAYBE))
    assert (found[0, "quick"].disposition, found[0, "quick"].status) == ("observed", "flagged")
    assert found[0, "quick"].fused == pytest.approx(16 / 17)
    assert harness.records == []


def test_what_was_observed_once_is_not_acted_on_again() -> None:
    harness = fusing(mode="observe", quick={"interrupt_at": 0.8}, **watching(reasoning="immediate"))
    found = verdicts(harness.say("A BAD one. Two").answer(MAYBE))
    assert found[0, "quick"].disposition == "observed"
    assert found[0, "quick"].fused == pytest.approx(16 / 17)


def test_a_retraction_speaks_of_the_finding_that_is_below_its_own_threshold() -> None:
    def two(segment: Segment) -> tuple[Finding, ...]:
        weak = Finding(score=0.2, correction="It is WEAK.")
        return (weak, MAYBE) if "BAD" in segment.text else ()

    made = policy(
        checks=[{"check": "quick", **INPUT}], fusion=FUSION | {"checks": {"quick": WEIGHED}, "interrupt_at": 0.7}
    )
    assert Harness(made, inline={"quick": two}).say("A BAD one. Two", "content").text("content") == "It is GOOD."


def test_cutting_never_matters_where_checks_are_weighed() -> None:
    text = "Fine. A BAD claim. More. An ODD BAD one. Leak"
    made = policy(
        checks=[{"check": "quick", **INPUT}, {"check": "odd", **INPUT}],
        fusion=FUSION | {"checks": {"quick": WEIGHED, "odd": WEIGHED}},
    )
    inline: dict[str, Answer] = {"quick": maybe, "odd": lambda s: (OTHER,) if "ODD" in s.text else ()}
    for channel in ("reasoning", "content"):
        told = []
        for points in cuts(text):
            harness = Harness(made, inline=inline).say(text, channel, cuts=points)
            told.append(
                (harness.text(channel), harness.records[0].claim, harness.records[0].verdicts, harness.segments)
            )
        assert all(each == told[0] for each in told)
        assert "Leak" not in told[0][0]


def test_scores_are_calibrated_before_they_are_weighed_or_judged() -> None:
    calibrated = {"calibration": document(None, None)}  # 0.8 is 0.9
    fusion = {"checks": {"quick": WEIGHED | {"calibrated": True}, "slow": WEIGHED}}
    harness = fusing(fusion, quick=calibrated).say("A BAD one. Two").answer()
    found = verdicts(harness)
    assert found[0, "quick"].findings[0].score == 0.9
    assert found[0, "quick"].fused == pytest.approx(9 / (9 + 2.718281828))
    made = policy(checks=[{"check": "quick", "calibration": document()}])
    assert Harness(made, inline={"quick": maybe}).say("A BAD one. Two").records[0].verdicts[0].findings[0].score == 0.9


def test_what_stops_the_choice_is_not_weighed() -> None:
    harness = fusing(on_unscanned="stop").say("A BAD one. Two", "content").feed(ev.HoldExpired(0))
    assert harness.finish
    assert harness.finish.summary
    assert (harness.finish.reason, harness.records) == ("content_filter", [])
    assert all(v.fused is None for v in harness.finish.summary.verdicts)
