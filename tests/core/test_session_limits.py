"""What comes too late, what is over a budget, and where the client is told it happened."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core import events as ev
from guard.core.types import Finding, GuardEvent
from tests.core.harness import Harness, bad, policy
from tests.core.test_session import BOTH, FLAG, NO, slow


def told(harness: Harness) -> list[GuardEvent]:
    """The guard events the client has been sent."""
    return [piece.guard for piece in harness.pieces if piece.guard]


def span(harness: Harness, event: GuardEvent, channel: str = "reasoning") -> str:
    """What a client finds at an event's span."""
    return harness.text(channel)[slice(*event.span)]


# Late


@pytest.mark.parametrize("limits", [{"max_per_response": 0, "at_limit": "release"}, {"max_per_response": 0}, {}])
def test_text_behind_a_claim_that_is_dealt_with_waits_for_its_other_inline_check(limits: dict[str, Any]) -> None:
    made = policy(checks=[{"check": "quick"}, {"check": "again"}], interrupt={"cooldown_segments": 0} | limits)
    text = "Fine. A BAD one. Two. Three. x"
    whole = Harness(made, inline={"quick": bad, "again": bad}).say(text)
    bits = Harness(made, inline={"quick": bad, "again": bad}).say(text, cuts=range(1, len(text)))
    assert (whole.text(), whole.told) == (bits.text(), bits.told)
    assert len(whole.told) == 1


def test_a_late_verdict_interrupts_at_the_claims_end_and_names_what_no_longer_counts() -> None:
    harness = slow().say("One. A BAD one. Then a third. And a fou").answer().answer(FLAG)
    (record,) = harness.records
    assert (record.late, record.claim.text, record.discarded) == (
        True,
        " A BAD one.",
        {"reasoning": " Then a third. And a fou"},
    )
    (event,) = told(harness)
    assert event.discarded
    assert span(harness, event) == " A BAD one."
    assert harness.text()[slice(*event.discarded)] == " Then a third. And a fou"
    assert harness.text().endswith(NO)
    assert harness.opened[0].resume.kept == {"reasoning": "One. A BAD one." + NO}
    assert harness.opened[0].resume.sent == {"reasoning": "One. A BAD one. Then a third. And a fou" + NO}


def test_a_verdict_before_anything_followed_is_not_late() -> None:
    harness = slow().say("A BAD one.")
    harness.end().answer(FLAG)
    assert not harness.records[0].late
    assert told(harness)[0].discarded is None


def test_a_retraction_that_comes_too_late_is_a_visible_interruption() -> None:
    harness = slow().say("A BAD one. Two. x", "content").feed(ev.HoldExpired(0)).answer(FLAG)
    assert [r.correct for r in harness.records] == ["interrupt"]
    assert harness.text("content") == "A BAD one." + NO


@pytest.mark.parametrize(("behind", "event"), [(3, "interruption"), (4, "late")])
def test_beyond_max_late_segments_it_is_only_told(behind: int, event: str) -> None:
    harness = slow().say("BAD." + " More." * behind).answer(FLAG)
    assert harness.told == [event]
    assert bool(harness.records) == (event == "interruption")


def test_reasoning_flagged_after_content_was_sent_is_only_told() -> None:
    watch = {"reasoning": {"release": "immediate"}, "content": {"release": "immediate"}}
    harness = slow(watch=watch).say("A BAD thought.").say("So", "content").answer(FLAG)
    assert (harness.told, harness.records) == (["late"], [])
    assert (span(harness, told(harness)[0]), told(harness)[0].channel) == ("A BAD thought.", "reasoning")
    assert harness.say(" it is.", "content").end().answer().finish
    assert harness.finish
    assert harness.finish.summary
    assert [v.disposition for v in harness.finish.summary.verdicts] == ["late", "none"]


def test_reasoning_flagged_while_content_is_held_is_corrected() -> None:
    harness = slow().say("A BAD thought.").say("So it is. x", "content").answer(FLAG)
    assert [r.discarded for r in harness.records] == [{"content": "So it is. x"}]
    assert harness.opened[0].resume.open_channel == "reasoning"
    assert harness.text("content") == ""


def test_text_flagged_after_a_tool_call_was_sent_is_only_told() -> None:
    watch = {"content": {"release": "immediate"}, "tool_calls": {"release": "immediate"}}
    harness = slow(watch=watch).say("A BAD one.", "content").feed(ev.ToolDelta(0, 0, "c", "f", "{}")).answer(FLAG)
    assert harness.told == ["late"]


def test_a_tool_call_flagged_after_it_was_sent_is_only_told() -> None:
    harness = slow(watch={"tool_calls": {"release": "immediate"}})
    harness.feed(ev.ToolDelta(0, 0, "c", "f", "BAD"), ev.Finished(0, "tool_calls")).answer(FLAG)
    assert harness.told == ["late"]
    assert harness.finish
    assert harness.finish.reason == "tool_calls"


# Budgets

CLAIMS = "One BAD. Two BAD. Three BAD. Four. "


def limited(why: str, **limits: Any) -> Harness:
    """A run that comes to its limit at the second BAD sentence."""
    interrupt = {
        "max_per_response": {"max_per_response": 1},
        "max_per_check": {"max_per_check": 1},
        "cooldown_segments": {"cooldown_segments": 1},
        "max_wasted_tokens": {"max_wasted_tokens": 0},
        "repeated": {"max_per_check": 9},
    }[why]
    harness = Harness(policy(interrupt={"cooldown_segments": 0} | interrupt | limits))
    again = " One BAD." if why == "repeated" else " Two BAD."
    harness.say("One BAD. x").open()
    if why == "repeated":
        harness.say(f"{again} x").open()
    return harness.say(f"{again} Fine. ").end()


WHYS = ["max_per_response", "max_per_check", "cooldown_segments", "max_wasted_tokens", "repeated"]


@pytest.mark.parametrize("why", WHYS)
def test_at_the_limit_a_caveat_follows_the_claim_and_the_model_does_not_see_it(why: str) -> None:
    harness = limited(why)
    assert harness.finish
    assert harness.finish.summary
    again = " One BAD." if why == "repeated" else " Two BAD."
    assert harness.text().endswith(f"{again}{NO} Fine. ")
    assert harness.finish.summary.text["reasoning"].endswith(f"{again} Fine. ")
    event = told(harness)[-1]
    assert (event.event, event.why, span(harness, event)) == ("limit", why, again)
    assert harness.finish.reason == "stop"
    assert len(harness.records) == (2 if why == "repeated" else 1)


@pytest.mark.parametrize("why", WHYS)
def test_at_the_limit_text_may_pass_with_a_word_to_the_client(why: str) -> None:
    harness = limited(why, at_limit="release")
    again = " One BAD." if why == "repeated" else " Two BAD."
    assert harness.text().endswith(f"{NO}{again} Fine. ")
    assert (told(harness)[-1].event, told(harness)[-1].why) == ("limit", why)


@pytest.mark.parametrize("why", WHYS)
def test_at_the_limit_the_choice_may_end_in_front_of_the_claim(why: str) -> None:
    harness = limited(why, at_limit="stop")
    assert harness.finish
    assert harness.text().endswith(NO)
    assert (harness.finish.reason, told(harness)[-1].why) == ("content_filter", why)
    assert told(harness)[-1].span == (len(harness.text()), len(harness.text()))


def test_a_choice_that_stops_at_a_sent_claim_ends_behind_it_and_drops_what_follows() -> None:
    harness = slow(interrupt={"max_per_response": 0, "at_limit": "stop"}).say("A BAD one. Two. Three. x").answer(FLAG)
    assert harness.finish
    assert harness.finish.summary
    assert (harness.finish.reason, harness.finish.summary.text["reasoning"]) == ("content_filter", "A BAD one.")
    assert ev.DropChecks((1, 2)) in harness.commands
    assert ev.CancelAttempt(0) in harness.commands


def test_a_response_may_have_no_interruption_at_all() -> None:
    harness = Harness(policy(interrupt={"max_per_response": 0})).say("One BAD. x")
    assert (harness.told, harness.records) == (["limit"], [])


def test_the_same_claim_after_a_retract_is_interrupted_visibly_once_and_then_limited() -> None:
    harness = Harness(policy(interrupt={"max_per_check": 9, "cooldown_segments": 0}))
    harness.say("A BAD one. x", "content").open().say(" a BAD ONE! x", "content")
    harness.open().say(" A BAD one. Fine. ", "content").end()
    assert [r.correct for r in harness.records] == ["retract", "interrupt"]
    assert harness.told == ["retraction", "interruption", "limit"]
    assert told(harness)[-1].why == "repeated"
    assert harness.text("content") == f"It is GOOD. a BAD ONE!{NO} A BAD one.{NO} Fine. "


def test_cooldown_counts_segments_and_ends() -> None:
    harness = Harness(policy(interrupt={"cooldown_segments": 2})).say("One BAD. x").open()
    harness.say(" Two BAD. Three BAD. Four BAD. x")
    assert harness.told == ["interruption", "limit", "limit", "interruption"]


def test_without_cooldown_a_slow_verdict_on_earlier_text_may_interrupt_at_once() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say("First. Then BAD. x")
    assert harness.answer(FLAG).told == ["interruption", "interruption"]


def test_with_cooldown_a_slow_verdict_on_earlier_text_does_not_interrupt() -> None:
    harness = Harness(policy(**BOTH, interrupt={"cooldown_segments": 1}), slow=["slow"]).say("First. Then BAD. x")
    assert harness.answer(FLAG).told == ["interruption", "limit"]


def test_a_flag_below_interrupt_at_only_stays_on_record() -> None:
    harness = Harness(policy(), inline={"quick": lambda s: (Finding(score=0.6),)}).say("One. x").end()
    assert harness.told == []
    assert harness.finish
    assert harness.finish.summary
    assert harness.finish.summary.flagged


def test_the_highest_score_words_the_message() -> None:
    both = (Finding(score=0.86, reason="low.", correction="Low."), FLAG)
    assert slow().say("One. x").answer(*both).records[0].reason == FLAG.reason


def test_a_slow_check_is_not_started_on_a_settled_claim() -> None:
    harness = Harness(policy(**BOTH, interrupt={"max_per_response": 0}), slow=["slow"]).say("One BAD. Two. x")
    assert [s.text for s, _ in harness.asked] == [" Two."]


def test_the_checks_of_a_settled_claim_do_not_hold_the_finish() -> None:
    checks = [{"check": "a"}, {"check": "b"}]
    harness = Harness(policy(checks=checks, interrupt={"max_per_response": 0}), inline={}, slow=["a", "b"])
    harness.say("BAD.", "content").end()
    assert harness.answer(FLAG).finish
    assert harness.text("content") == "BAD." + NO


# Where the client is told it happened


def test_a_caveat_shifts_what_comes_after_it_and_nothing_before() -> None:
    made = {"interrupt": {"max_per_check": 0}, "checks": [{"check": "quick"}, {"check": "slow", "interrupt_at": 0.9}]}
    harness = Harness(policy(**made), slow=["slow"]).say("Zero. One BAD. Two. Thr")
    harness.say("ee. Four BAD. Five. ").end()
    assert harness.text() == f"Zero. One BAD.{NO} Two. Three. Four BAD.{NO} Five. "
    assert [span(harness, event) for event in told(harness)] == [" One BAD.", " Four BAD."]


def test_a_late_caveat_does_not_shift_what_was_sent_before_it() -> None:
    limits = {"max_per_response": 1, "cooldown_segments": 0, "max_late_segments": 9}
    harness = slow(interrupt=limits).say("One. BAD a. Two. BAD b. Thr")
    harness.say("ee. ").answer(FLAG, which=3)
    harness.open().say(" Four. Fi").answer(FLAG, which=1).answer(FLAG, which=1)
    assert harness.told == ["interruption", "limit", "limit"]
    assert [span(harness, event) for event in told(harness)] == [" BAD b.", " BAD a.", " Two."]
    harness.say("ve. Six. x").answer(FLAG, which=-1)
    assert span(harness, told(harness)[-1]) == " Six."


def test_a_caveat_shifts_an_event_that_is_still_held() -> None:
    limits = {"max_per_response": 1, "cooldown_segments": 0}
    harness = slow(interrupt=limits, watch={"content": {"release": "checked"}})
    harness.say("BAD a. Two. BAD b. x", "content").answer(FLAG, which=2).answer(FLAG).answer()
    assert harness.text("content") == f"BAD a.{NO} Two. BAD b.{NO}"
    assert [span(harness, event, "content") for event in told(harness)] == ["BAD a.", " BAD b."]


def test_a_caveat_that_is_discarded_before_it_was_sent_shifts_nothing() -> None:
    checks = {"checks": [{"check": "quick"}, {"check": "slow"}]}
    harness = Harness(policy(**checks, interrupt={"max_per_check": 1, "cooldown_segments": 0}), slow=["slow"])
    harness.say("A BAD. x", "content").open().say(" One. Two BAD. Three. ", "content")
    assert harness.text("content") == "It is GOOD."
    harness.answer(FLAG).open().say(" Four. x", "content")
    harness.answer(FLAG, which=-1)
    assert harness.text("content") == f"It is GOOD. It is GOOD. Four.{NO}"
    assert span(harness, told(harness)[-1], "content") == " Four."


WORDS = ["One is fine.", "Two is BAD.", "Three is BAD too.", "Four is here.", "Five is short."]


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_span_is_where_the_client_has_the_claim(data: Any) -> None:
    """Every event whose claim was sent in one piece, after no cut or caveat inside it."""
    channel = data.draw(st.sampled_from(["reasoning", "content"]))
    limits = {"max_per_response": data.draw(st.integers(0, 4)), "cooldown_segments": 0}
    prefix = {channel: data.draw(st.sampled_from(["", "Before it. ", "Once "]))}
    made = policy(interrupt=limits, **BOTH)
    harness = Harness(made, inline={"quick": bad} if data.draw(st.booleans()) else {}, slow=["slow"], prefix=prefix)
    for _ in range(4):
        text = "".join(" " + data.draw(st.sampled_from(WORDS)) for _ in range(4))
        points = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
        for a, b in pairwise([0, *points, len(text)]):
            harness.say(text[a:b], channel)
            if harness.asked and data.draw(st.booleans()):
                segment, _ = harness.asked[0]
                harness.answer(*bad(segment))
        harness.open()
    harness.end()
    while harness.asked:
        harness.answer(*bad(harness.asked[0][0]))
    received = harness.text(channel)
    by_id = {r.id: r.claim.text for r in harness.records} | {f"s.0.s{s.id}": s.text for s in harness.segments}
    for event in told(harness):
        if event.event == "retraction":
            assert event.span[0] == event.span[1] <= len(received)
            continue
        found = received[slice(*event.span)]
        assert found in by_id[event.id] or NO in found
        assert found == by_id[event.id] or prefix[channel] or NO in found
        if event.discarded:
            assert event.span[1] == event.discarded[0] < event.discarded[1] <= len(received)
