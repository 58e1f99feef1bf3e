"""A claim that is flagged, and interrupted once the model builds on it: when, within what, and in whose words."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core import events as ev
from guard.core.types import Finding, Segment, Verdict
from tests.core.harness import Harness, policy
from tests.core.test_session import NO, cuts

FLAG = Finding(score=0.7, reason="that is wrong.", correction="It is GOOD.", subject="Kargate")
GATED = {"flag_at": 0.5, "used_at": 0.6, "interrupt_at": 0.9}


def found(segment: Segment) -> tuple[Finding, ...]:
    """Of BAD segments, their last word is what they are about; FAINT ones are below `used_at`, SURE ones above it."""
    if "BAD" not in segment.text:
        return ()
    score = 0.55 if "FAINT" in segment.text else 0.95 if "SURE" in segment.text else 0.7
    subject = segment.text.split()[-1].strip(".")
    return (Finding(score=score, reason="that is wrong.", correction="It is GOOD.", subject=subject),)


def gated(inline: bool = True, check: dict[str, Any] = GATED, **fields: Any) -> Harness:
    name = "quick" if inline else "slow"
    made = policy(checks=[{"check": name, **check}], **fields)
    return Harness(made, inline={"quick": found} if inline else {}, slow=[] if inline else ["slow"])


def latest(harness: Harness) -> list[Verdict]:
    harness.end()
    while harness.asked:
        harness.answer()
    assert harness.finish
    assert harness.finish.summary
    return list(harness.finish.summary.verdicts)


def test_a_claim_is_interrupted_when_a_later_segment_builds_on_it() -> None:
    harness = gated().say("The BAD town is Kargate. It is old. So in Kargate they ate. More")
    (record,) = harness.records
    assert (record.claim.text, record.late, record.check) == ("The BAD town is Kargate.", True, "quick")
    assert (record.verdicts[0].used, record.verdicts[0].status) == (2, "flagged")
    assert record.discarded == {"reasoning": " It is old. So in Kargate they ate. More"}
    assert harness.text() == "The BAD town is Kargate. It is old." + NO
    assert harness.opened[0].resume.kept == {"reasoning": "The BAD town is Kargate." + NO}


def test_a_claim_that_nothing_builds_on_is_only_flagged() -> None:
    verdicts = latest(gated().say("The BAD town is Kargate. It is old. So they ate. More"))
    assert [(v.status, v.disposition, v.used) for v in verdicts[:1]] == [("flagged", "none", None)]


@pytest.mark.parametrize(("late", "cut"), [(0, False), (1, False), (2, True), (3, True)])
def test_only_so_many_segments_later_counts(late: int, cut: bool) -> None:
    text = "The BAD town is Kargate. It is old. So in Kargate they ate. More"
    for points in cuts(text):
        harness = gated(interrupt={"max_late_segments": late, "cooldown_segments": 0}).say(text, cuts=points)
        assert bool(harness.records) is cut


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("The FAINT BAD town is Kargate. In Kargate they ate. More", None),
        ("A SURE BAD town is Kargate. In Kargate they ate. More", "A SURE BAD town is Kargate."),
        ("It is BAD of it. Then it is. More", None),
    ],
)
def test_what_is_below_does_not_wait_and_what_is_above_acts_at_once(text: str, claim: str | None) -> None:
    harness = gated().say(text)
    assert [(r.claim.text, r.verdicts[0].used) for r in harness.records] == ([(claim, None)] if claim else [])


def test_without_the_option_nothing_waits() -> None:
    harness = gated(check=GATED | {"used_at": None}).say("The BAD town is Kargate. So in Kargate. More")
    assert harness.records == []


@pytest.mark.parametrize("channel", ["reasoning", "content"])
def test_cutting_never_matters_where_use_is_waited_for(channel: Any) -> None:
    text = "Fine. The BAD town is Kargate. It is old. So in Kargate, they ate. Leak"
    told = []
    for points in cuts(text):
        harness = gated().say(text, channel, cuts=points)
        (record,) = harness.records
        told.append((record.claim, record.put_in, record.correct, record.verdicts, harness.segments))
        assert "Leak" not in harness.text(channel)
        assert "Leak" not in harness.opened[0].resume.kept[channel]
    assert all(each == told[0] for each in told)


def test_the_earliest_of_two_claims_is_corrected() -> None:
    harness = gated().say("The BAD town is Kargate. Its BAD river is Wend. So the Wend in Kargate. More")
    assert [record.claim.text for record in harness.records] == ["The BAD town is Kargate."]


def test_a_segment_that_is_itself_interrupted_builds_on_nothing() -> None:
    harness = gated().say("The BAD town is Kargate. A SURE BAD thing is Kargate. More")
    assert [record.claim.text for record in harness.records] == [" A SURE BAD thing is Kargate."]
    harness.open().say(" Fine. More")
    assert len(harness.records) == 1


def test_a_corrected_claim_is_not_corrected_for_its_use() -> None:
    harness = gated().say("A SURE BAD town is Kargate. More").open().say(" So in Kargate they ate. More").end()
    assert len(harness.records) == 1


def test_use_goes_on_counting_behind_a_cut() -> None:
    harness = gated().say("The BAD town is Kargate. A SURE BAD sea. More").open().say(" In Kargate. More")
    assert [record.claim.text for record in harness.records] == [" A SURE BAD sea.", "The BAD town is Kargate."]
    assert harness.records[1].attempt == 1


def test_a_slow_verdict_looks_at_what_has_followed_already() -> None:
    harness = gated(inline=False).say("A town. It is old. So in Kargate they ate. More")
    harness.answer(FLAG)
    (record,) = harness.records
    assert (record.claim.text, record.verdicts[0].used) == ("A town.", 2)
    assert harness.text().endswith(NO)


def test_a_slow_verdict_finds_no_use_beyond_its_reach_or_in_what_is_settled() -> None:
    limits = {"max_late_segments": 1, "cooldown_segments": 0, "max_per_response": 1, "at_limit": "release"}
    harness = gated(inline=False, interrupt=limits).say("A town. It is old. So in Kargate they ate. More")
    harness.answer(FLAG)
    assert harness.records == []
    harness = gated(inline=False, interrupt=limits | {"max_per_response": 0}).say("A town. In Kargate. More")
    harness.answer(Finding(score=1.0), which=1).answer(FLAG)
    assert harness.told == ["limit"]  # the second sentence's own; the first waits for another


def test_the_finding_that_is_used_words_the_correction() -> None:
    surer = Finding(score=0.8, correction="It is SURER.", subject="Wend")
    harness = gated(inline=False).say("A town.  So in Kargate. More")
    harness.answer(surer, FLAG)
    assert harness.records[0].correction == "It is GOOD."
    harness = gated(inline=False).say("A town.  So the Wend in Kargate. More")
    harness.answer(FLAG, surer)
    assert harness.records[0].correction == "It is SURER."


def test_a_later_channel_counts_only_where_it_is_held() -> None:
    harness = gated().say("The BAD town is Kargate. Done.").say("In Kargate. More", "content")
    assert [record.claim.text for record in harness.records] == ["The BAD town is Kargate."]
    open_ = {"reasoning": {"release": "immediate"}, "content": {"release": "immediate"}}
    harness = gated(watch=open_).say("The BAD town is Kargate. Done.").say("In Kargate. More", "content")
    assert (harness.records, harness.told) == ([], [])


def test_a_held_tool_call_builds_on_a_claim_too() -> None:
    harness = gated().say("The BAD town is Kargate.")
    harness.feed(ev.ToolDelta(0, 0, id="c", name="f", arguments='{"town": "Kargate"}')).end("tool_calls")
    assert [record.claim.text for record in harness.records] == ["The BAD town is Kargate."]
    assert not any(piece.call for piece in harness.pieces)


def test_the_slow_checks_of_what_falls_are_not_asked_for() -> None:
    made = policy(checks=[{"check": "quick", **GATED}, {"check": "slow"}])
    harness = Harness(made, inline={"quick": found}, slow=["slow"])
    harness.say("The BAD town is Kargate. So in Kargate. More")
    assert len(harness.records) == 1
    assert [segment.id for segment, _ in harness.asked] == [0]


def test_an_observing_policy_notes_the_use_once() -> None:
    watch = {"reasoning": {"release": "immediate"}}
    harness = gated(mode="observe", watch=watch).say("The BAD town is Kargate. In Kargate. So Kargate it is. More")
    verdicts = latest(harness)
    assert [(v.disposition, v.used) for v in verdicts] == [
        ("observed", 1),
        ("none", None),
        ("none", None),
        ("none", None),
    ]
    assert harness.records == []


def test_one_use_is_enough_where_two_checks_wait_for_it() -> None:
    made = policy(checks=[{"check": "quick", **GATED}, {"check": "again", **GATED}])
    harness = Harness(made, inline={"quick": found, "again": found})
    harness.say("The BAD town is Kargate. So in Kargate. More")
    assert [record.check for record in harness.records] == ["quick"]


def test_only_so_many_segments_later_is_told_of() -> None:
    """Beyond its reach a use leads to nothing at all, not even to a note that it came too late."""
    text = "The BAD town is Kargate. It is old. So in Kargate they ate. More"
    harness = gated(interrupt={"max_late_segments": 1}).say(text)
    assert (harness.told, latest(harness)[0].disposition) == ([], "none")


def test_a_corrected_claim_that_still_waits_for_another_use_is_left_alone() -> None:
    limits = {"max_per_response": 0, "at_limit": "release"}
    made = policy(checks=[{"check": "quick", **GATED}, {"check": "sure"}], interrupt=limits)
    sure: Any = lambda s: (Finding(score=1.0),) if "BAD" in s.text else ()  # noqa: E731
    harness = Harness(made, inline={"quick": found, "sure": sure})
    harness.say("The BAD town is Kargate. So in Kargate. More")
    assert harness.told == ["limit"]
