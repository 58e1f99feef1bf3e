"""DESIGN's rules of a session, one by one: what is sent when, what acts, how it ends."""

from __future__ import annotations

import random
from typing import Any

import pytest

from guard.core import events as ev
from guard.core.types import Finding, Segment
from tests.core.harness import Harness, bad, policy

FLAG = Finding(score=1.0, reason="that is wrong.", correction="It is GOOD.")
NO = " No, that is wrong. It is GOOD."
SLOW: dict[str, Any] = {"checks": [{"check": "slow"}]}
BOTH: dict[str, Any] = {"checks": [{"check": "quick"}, {"check": "slow"}]}


def cuts(text: str) -> list[list[int]]:
    """Whole, one character at a time, and twice at random."""
    rng = random.Random(text)
    drawn = [sorted(rng.sample(range(1, len(text)), 3)) for _ in range(2)]
    return [[], list(range(1, len(text))), *drawn]


def slow(**fields: Any) -> Harness:
    """One slow check, whose answers the test gives."""
    return Harness(policy(**(SLOW | fields)), inline={}, slow=["slow"])


def watching(**releases: str) -> dict[str, Any]:
    """A `watch` that interrupts everywhere."""
    return {"watch": {channel: {"release": release} for channel, release in releases.items()}}


# 1. What a client has been sent cannot be taken back


def test_checked_text_goes_out_when_its_segment_is_judged() -> None:
    harness = Harness(policy()).say("One. Two", "content")
    assert harness.text("content") == "One."
    assert harness.end().text("content") == "One. Two"


def test_checked_text_waits_for_its_slow_check() -> None:
    harness = slow().say("One. Two. Three", "content")
    assert harness.text("content") == ""
    assert harness.answer(which=1).text("content") == ""
    assert harness.answer().text("content") == "One. Two."


def test_immediate_text_goes_out_at_once_and_does_not_wait_for_slow_checks() -> None:
    harness = slow().say("One. Two")
    assert harness.text() == "One. Two"
    assert [segment.text for segment, _ in harness.asked] == ["One."]


def test_release_is_split_at_the_segments_end_so_that_the_word_after_a_flagged_claim_does_not_leak() -> None:
    text = "Fine. BAD claim. Leak"
    for points in cuts(text):
        harness = Harness(policy()).say(text, cuts=points)
        assert harness.text() == "Fine. BAD claim." + NO
        assert harness.records[0].claim.text == " BAD claim."


def test_checked_content_waits_for_an_earlier_reasoning_segments_slow_check() -> None:
    harness = slow().say("Thought.").say("Answer.", "content").end()
    assert (harness.text(), harness.text("content"), harness.finish) == ("Thought.", "", None)
    harness.answer(which=1)
    assert (harness.text("content"), harness.finish) == ("", None)
    assert harness.answer().text("content") == "Answer."
    assert harness.finish


def test_a_judged_answer_waits_although_a_later_one_is_what_is_pending_in_its_channel() -> None:
    harness = slow().say("Thought. ").say("One. Two. x", "content").answer(which=1)
    assert harness.text("content") == ""
    assert harness.answer().text("content") == "One."


def test_immediate_text_waits_behind_checked_text() -> None:
    harness = slow(**watching(reasoning="checked", content="immediate"))
    harness.say("Thought.").say("Answer.", "content")
    assert harness.text() + harness.text("content") == ""
    harness.answer()
    assert harness.text() + harness.text("content") == "Thought.Answer."


def test_guards_own_text_in_a_checked_channel_waits_for_what_stands_before_it_too() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say("Thought. ").say("A BAD answer. More", "content")
    assert harness.records
    assert harness.text("content") == ""
    assert harness.answer().text("content") == "It is GOOD."


def test_a_hold_begins_when_checked_text_has_to_wait() -> None:
    harness = slow().say("Thought. ").say("Answer. More", "content")
    assert harness.holds == [ev.StartHold(1, 2500)]


def test_no_hold_begins_for_text_that_can_go_out() -> None:
    harness = Harness(policy()).say("Answer. More", "content")
    assert harness.holds == []


def test_a_hold_that_expires_releases_what_was_pending_up_to_its_segment() -> None:
    harness = slow().say("One. Two. Three. Four", "content").feed(ev.HoldExpired(1))
    assert harness.text("content") == "One. Two."
    assert harness.end().finish is None
    harness.answer(which=2).answer(which=2)
    assert harness.finish
    assert harness.finish.summary
    assert [v.why for v in harness.finish.summary.verdicts if v.status == "unscanned"] == ["hold", "hold"]


def test_a_hold_that_expires_stops_the_choice_where_unscanned_text_may_not_pass() -> None:
    harness = slow(on_unscanned="stop").say("One. Two. Three", "content").feed(ev.HoldExpired(1))
    assert harness.finish
    assert (harness.text("content"), harness.finish.reason, harness.told) == ("", "content_filter", ["unscanned"])


def test_a_hold_of_a_discarded_segment_expires_without_effect() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"])
    harness.say("Thought. ").say("Answer. A BAD one. ", "content")
    assert [segment.text for segment, _ in harness.asked] == ["Thought.", "Answer."]
    harness.answer(FLAG)
    assert harness.feed(ev.HoldExpired(1)).text("content") == ""
    assert harness.told == ["interruption"]


def test_a_verdict_after_its_hold_expired_still_acts_and_replaces_the_unscanned_one() -> None:
    harness = slow().say("A BAD one. Two", "content").feed(ev.HoldExpired(0))
    assert harness.text("content") == "A BAD one."
    harness.answer(FLAG).open().say(" Right.", "content").end().answer()
    assert harness.text("content") == "A BAD one." + NO + " Right."
    assert harness.finish
    assert harness.finish.summary
    assert harness.finish.summary.unscanned == 0


# 2. Nothing stale acts


def test_an_event_of_an_earlier_attempt_changes_nothing() -> None:
    harness = Harness(policy()).say("BAD. More")
    before = list(harness.pieces)
    stale: list[ev.Event] = [
        ev.Delta(0, "reasoning", "stale. "),
        ev.ToolDelta(0, 0, "c", "f", "{}"),
        ev.Extra(0, {"raw": 1}),
        ev.Opened(0),
        ev.Failed(0, "broken"),
        ev.Finished(0, "stop"),
    ]
    assert harness.feed(*stale).pieces == before
    assert harness.finish is None


def test_an_event_of_a_later_attempt_changes_nothing() -> None:
    harness = Harness(policy()).feed(ev.Delta(1, "reasoning", "early"), ev.Opened(1, "reask"), ev.Opened(0))
    assert (harness.pieces, harness.commands) == ([], [])


def test_a_verdict_of_a_discarded_segment_does_not_act() -> None:
    harness = slow().say("One BAD. Two BAD. ")
    _, second = harness.asked
    harness.answer(FLAG)
    assert ev.DropChecks((1,)) in harness.commands
    harness.open().say(" Fine. ")
    harness.feed(ev.Checked(second[0].id, "slow", (FLAG,)))
    assert harness.told == ["interruption"]


def test_a_slow_check_pending_on_kept_text_runs_on_when_a_later_segment_is_cut() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say("First. Then BAD. More")
    harness.open().say(" So it goes. ").end()
    assert [segment.text for segment, _ in harness.asked] == ["First.", " So it goes."]
    assert harness.finish is None
    harness.answer().answer()
    assert harness.finish
    assert harness.finish.summary
    assert [(v.segment, v.check) for v in harness.finish.summary.verdicts] == [
        (0, "quick"),
        (1, "quick"),
        (2, "quick"),
        (0, "slow"),
        (2, "slow"),
    ]
    assert [c.outcome for c in harness.finish.closings] == ["corrected"]


def test_a_slow_verdict_on_kept_text_supersedes_a_later_interruption() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say("First. Then BAD. More").open()
    harness.say(" New text.")
    harness.answer(FLAG)
    assert [r.claim.text for r in harness.records] == [" Then BAD.", "First."]
    assert harness.opened[-1].resume.kept == {"reasoning": "First." + NO}
    assert harness.records[1].discarded == {"reasoning": " Then BAD. New text."}
    assert harness.open().say(" Right.").end().asked
    harness.answer()
    assert harness.finish
    assert [c.outcome for c in harness.finish.closings] == ["abandoned", "corrected"]


def test_the_record_of_a_superseded_interruption_opens_nothing() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"], record=False).say("First. Then BAD. More")
    harness.answer(FLAG)
    assert [r.id for r in harness.records] == ["s.0.1", "s.0.2"]
    assert harness.feed(ev.Recorded("s.0.1")).opened == []
    assert [o.attempt for o in harness.feed(ev.Recorded("s.0.2")).opened] == [2]


def test_an_answer_that_was_not_asked_for_is_ignored() -> None:
    harness = slow().say("One. Two").feed(ev.Checked(0, "other", (FLAG,)), ev.Unchecked(7, "slow", "unscanned", ""))
    assert harness.told == []
    harness.answer(FLAG)
    assert harness.feed(ev.Checked(0, "slow", (FLAG,))).told == ["interruption"]


def test_guards_text_is_never_checked() -> None:
    harness = Harness(policy(), inline={"quick": bad}).say("BAD. x")
    harness.open().say(" then on. Good. ").end()
    assert [s.text for s in harness.segments] == ["BAD.", " then on.", " Good."]
    assert harness.segments[1].start == len("BAD." + NO)


def test_what_a_check_may_build_on_is_what_stands_and_was_not_interrupted() -> None:
    harness = Harness(policy()).say("One. BAD. x").open().say(" Two. y")
    assert [segment.text for segment in harness.session.kept] == ["One.", " Two."]


def test_checks_of_discarded_segments_are_dropped_and_those_of_kept_ones_are_not() -> None:
    harness = slow().say("One. Two BAD. Three. Four. ")
    harness.answer(FLAG, which=1)
    assert [c.segments for c in harness.commands if isinstance(c, ev.DropChecks)] == [(2, 3)]


# 3. Exactly one finish


def test_the_finish_waits_for_the_last_verdict() -> None:
    harness = slow().say("One. Two.").feed(ev.Finished(0, "stop", {"raw": 1}))
    assert harness.answer().finish is None
    assert harness.answer().finish
    assert harness.finish
    assert (harness.finish.reason, harness.finish.raw) == ("stop", {"raw": 1})


def test_a_finish_that_overtakes_the_last_verdict_is_void_if_its_text_is_discarded() -> None:
    harness = slow().say("One. BAD. Three.").feed(ev.Finished(0, "stop", {"raw": 1}))
    harness.answer().answer(FLAG)
    assert harness.finish is None
    harness.open().say(" Right.").end("length").answer(which=-1)
    assert harness.finish
    assert (harness.finish.reason, harness.finish.raw) == ("length", None)


def test_after_the_finish_nothing_does_anything() -> None:
    harness = slow().say("One.").end()
    harness.answer()
    assert harness.finish
    assert harness.session.done
    later: list[ev.Event] = [ev.Finished(0, "stop"), ev.Delta(0, "content", "x"), ev.ClientLeft(), ev.Failed(0, "x")]
    assert [harness.session.receive(event) for event in later] == [[]] * 4


def test_a_second_finish_of_the_upstream_is_ignored() -> None:
    harness = slow().say("One.").end().feed(ev.Finished(0, "length"), ev.Delta(0, "reasoning", "More."))
    harness.answer()
    assert harness.finish
    assert (harness.finish.reason, harness.text()) == ("stop", "One.")


def test_an_empty_answer_finishes() -> None:
    harness = Harness(policy()).feed(ev.Delta(0, "content", ""), ev.Finished(0, "stop"))
    assert harness.finish
    assert harness.pieces == []


def test_a_failure_waits_for_verdicts_and_sends_what_was_held() -> None:
    harness = slow().say("One. Two", "content").feed(ev.Failed(0, "broken", 503))
    assert (harness.text("content"), harness.finish) == ("", None)
    harness.answer().answer()
    assert harness.finish
    assert (harness.text("content"), harness.finish.error, harness.finish.status) == ("One. Two", "broken", 503)
    assert harness.finish.summary
    assert (harness.finish.summary.error, harness.finish.summary.finish_reason) == ("broken", None)


def test_a_failure_in_text_that_is_then_discarded_is_void() -> None:
    harness = slow().say("BAD. Two").feed(ev.Failed(0, "broken"))
    harness.answer(FLAG).open().say(" Right.").end().answer(which=-1)
    assert harness.finish
    assert (harness.finish.error, harness.finish.reason) == (None, "stop")


def test_an_attempt_that_fails_ends_the_choice_with_the_error() -> None:
    harness = Harness(policy()).say("BAD. x").feed(ev.Failed(1, "no continuation", 400))
    assert harness.finish
    assert (harness.finish.error, harness.finish.status) == ("no continuation", 400)
    assert [c.outcome for c in harness.finish.closings] == ["abandoned"]


def leaving(phase: str) -> Harness:
    harness = Harness(policy(**BOTH), slow=["slow"], record=phase != "awaiting record")
    match phase:
        case "streaming":
            harness.say("One")
        case "held":
            harness.say("One. Two. ", "content")
        case "awaiting record" | "resuming":
            harness.say("One BAD. x")
        case "continuing":
            harness.say("One BAD. x").open().say(" Two. Three")
        case "ending":
            harness.say("One. Two.").end()
    return harness


@pytest.mark.parametrize(
    "phase", ["before anything", "streaming", "held", "awaiting record", "resuming", "continuing", "ending"]
)
def test_a_client_that_leaves_ends_the_choice_in_every_phase(phase: str) -> None:
    harness = leaving(phase)
    waiting = tuple(segment.id for segment, _ in harness.asked)
    held = list(harness.pieces)
    commands = harness.session.receive(ev.ClientLeft())
    assert commands[:2] == [ev.CancelAttempt(harness.session.attempt), ev.DropChecks(waiting)]
    (finish,) = commands[2:]
    assert isinstance(finish, ev.Finish)
    assert finish.summary
    assert (finish.reason, finish.summary.client_left, finish.summary.finish_reason) == ("client_left", True, None)
    assert {c.outcome for c in finish.closings} <= {"abandoned"}
    assert (harness.pieces, harness.session.receive(ev.Recorded("s.0.1"))) == (held, [])


# 4. Cutting never matters

LONG = "Well. One is fine. Two is BAD. Three. Four is odd. Five is BAD again. Six."


@pytest.mark.parametrize("channel", ["reasoning", "content"])
@pytest.mark.parametrize("released", ["immediate", "checked"])
def test_however_deltas_are_cut_the_session_does_the_same(channel: Any, released: str) -> None:
    made = policy(**watching(**{channel: released}))
    seen = []
    for points in cuts(LONG):
        harness = Harness(made).say(LONG, channel, cuts=points)
        harness.open().say(" So. Five is BAD again. Six.", channel).open().say(" End.", channel).end()
        records = [(r.claim, r.kept, r.put_in, r.correct) for r in harness.records]
        seen.append((harness.text(channel), records, harness.segments, harness.told, harness.finish and harness.finish))
    first = seen[0]
    assert all(other[:4] == first[:4] for other in seen)
    assert len(first[1]) == 2


# 5. Logged, then resumed


def test_no_attempt_opens_before_its_interruption_is_recorded() -> None:
    harness = Harness(policy(), record=False).say("BAD. x")
    assert ([r.id for r in harness.records], harness.opened) == (["s.0.1"], [])
    harness.feed(ev.Recorded("another"))
    assert harness.opened == []
    assert [o.attempt for o in harness.feed(ev.Recorded("s.0.1")).opened] == [1]
    assert len(harness.feed(ev.Recorded("s.0.1")).opened) == 1


def test_the_upstream_is_stopped_before_the_interruption_is_recorded() -> None:
    harness = Harness(policy(), record=False).say("BAD. x")
    kinds = [type(c) for c in harness.commands]
    assert kinds.index(ev.CancelAttempt) < kinds.index(ev.Record)


@pytest.mark.parametrize("on_store_error", ["continue", "stop"])
def test_a_record_that_cannot_be_made_does_what_the_policy_says(on_store_error: str) -> None:
    harness = Harness(policy(record={"on_store_error": on_store_error}), record=False).say("BAD. x")
    harness.feed(ev.Recorded("s.0.1", "disk full"))
    if on_store_error == "continue":
        assert [o.attempt for o in harness.opened] == [1]
        return
    assert harness.opened == []
    assert harness.finish
    assert harness.finish.status == 500
    assert "disk full" in (harness.finish.error or "")


def test_an_interruption_carries_all_that_training_needs() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say("Fine. So BAD it is. Then more", cuts=[8])
    (record,) = harness.records
    assert (record.id, record.number, record.attempt, record.correct, record.late) == (
        "s.0.1",
        1,
        0,
        "interrupt",
        False,
    )
    assert (record.claim.start, record.claim.end, record.claim.text) == (5, 19, " So BAD it is.")
    assert (record.kept, record.discarded) == ({"reasoning": "Fine."}, {"reasoning": " Then more"})
    assert (record.put_in, record.delay, record.tokens_wasted) == (NO, 10, 3)
    assert (record.reason, record.correction, record.check) == ("that is wrong.", "It is GOOD.", "quick")
    assert [(v.check, v.status) for v in record.verdicts] == [("quick", "flagged")]
    (opened,) = harness.opened
    assert opened.resume.kept == {"reasoning": "Fine. So BAD it is." + NO}
    assert (opened.resume.open_channel, opened.resume.put_in, opened.resume.retracted) == ("reasoning", NO, "")
    assert opened.resume.sent == opened.resume.kept
    assert opened.resume.message == "No, that is wrong. It is GOOD. Continue from where the answer stopped."


def test_every_verdict_on_the_claim_is_in_its_record_the_deciding_one_first() -> None:
    harness = Harness(policy(**BOTH), inline={"quick": lambda s: (Finding(score=0.6),)}, slow=["slow"]).say("Odd. x")
    harness.answer(FLAG)
    assert [(v.check, v.status) for v in harness.records[0].verdicts] == [("slow", "flagged"), ("quick", "flagged")]


def test_a_retraction_leaves_the_claim_in_no_text_and_shows_its_place() -> None:
    harness = Harness(policy()).say("Fine.\n- A BAD one. More", "content")
    assert harness.text("content") == "Fine.\n- It is GOOD."
    (record,) = harness.records
    assert (record.correct, record.claim.text, record.put_in) == ("retract", "\n- A BAD one.", "\n- It is GOOD.")
    (event,) = [p.guard for p in harness.pieces if p.guard]
    assert (event.event, event.span, event.discarded, event.retracted) == ("retraction", (5, 5), None, None)
    assert harness.opened[0].resume.retracted == "\n- A BAD one."


def test_retracted_text_is_told_only_where_the_policy_reveals_it() -> None:
    harness = Harness(policy(record={"reveal": True})).say("A BAD one. More", "content")
    assert [p.guard.retracted for p in harness.pieces if p.guard] == ["A BAD one."]


# 7. An interruption is a value and a transition; what is not supervised passes


def test_chunks_of_the_first_attempt_pass_untouched_where_nothing_is_split_and_later_ones_never() -> None:
    harness = Harness(policy())
    raws = [{"n": n} for n in range(4)]
    harness.feed(
        ev.Extra(0, raws[0]),
        ev.Delta(0, "reasoning", "One. ", raws[1]),
        ev.Delta(0, "reasoning", "Two", raws[2]),
        ev.Delta(0, "reasoning", ". A BAD. x", raws[3]),
    )
    assert [(p.text, p.raw) for p in harness.pieces if p.raw] == [
        ("", raws[0]),
        ("One. ", raws[1]),
        ("Two", raws[2]),
    ]
    harness.open().feed(
        ev.Delta(1, "reasoning", " On. ", {"late": 1}),
        ev.Extra(1, {"late": 2}),
        ev.ToolDelta(1, 0, "c", "f", "{}", {"late": 3}),
        ev.Finished(1, "tool_calls", {"late": 4}),
    )
    assert not any(p.raw for p in harness.pieces[-3:])
    assert harness.finish
    assert harness.finish.raw is None


def test_the_form_a_channel_came_in_is_the_form_of_guards_text() -> None:
    harness = Harness(policy()).feed(ev.Delta(0, "reasoning", "BAD. x", None, "reasoning_content"))
    assert {p.form for p in harness.pieces} == {"reasoning_content"}
    assert all(p.logprobs is None for p in harness.pieces)


def test_tokens_and_log_probabilities_are_split_with_their_text() -> None:
    entries = [{"token": t} for t in ("Fine.", " BAD", ".", " More")]
    harness = Harness(policy()).feed(
        ev.Delta(0, "reasoning", "Fine. BAD. More", {"raw": 1}, logprobs={"content": entries})
    )
    told = [(p.text, p.logprobs and [e["token"] for e in p.logprobs["content"]]) for p in harness.pieces]
    assert told == [("Fine.", ["Fine."]), (" BAD.", [" BAD", "."]), (NO, None)]


def test_observe_holds_nothing_back_and_interrupts_nothing() -> None:
    made = policy(mode="observe", **(watching(reasoning="immediate", content="immediate") | BOTH))
    harness = Harness(made, slow=["slow"]).say("A BAD. Text").say("A BAD. Answer", "content").end()
    assert (harness.text(), harness.text("content"), harness.told) == ("A BAD. Text", "A BAD. Answer", [])
    assert harness.finish is None
    for _ in range(4):
        harness.answer(FLAG)
    assert harness.finish
    assert harness.finish.summary
    assert harness.finish.summary.flagged
    assert {v.disposition for v in harness.finish.summary.verdicts if v.status == "flagged"} == {"observed"}


def test_observe_lets_unscanned_text_pass_whatever_the_policy_says() -> None:
    made = policy(mode="observe", on_unscanned="stop", **watching(reasoning="immediate"))
    harness = Harness(made, inline={"quick": lambda s: ev.Unchecked(s.id, "quick", "unscanned", "error")})
    assert harness.say("One. Two").end().text() == "One. Two"


def test_off_checks_nothing() -> None:
    harness = Harness(policy(mode="off")).say("A BAD. Text").say("A BAD. Answer", "content")
    harness.feed(ev.ToolDelta(0, 0, "c", "f", "BAD"), ev.Finished(0, "tool_calls", {"raw": 1}))
    assert harness.segments == []
    assert harness.text() + harness.text("content") == "A BAD. TextA BAD. Answer"
    assert harness.finish
    assert harness.finish.raw == {"raw": 1}


def test_a_channel_that_is_not_watched_passes() -> None:
    harness = Harness(policy(**watching(content="checked"))).say("A BAD. Text").say("Fine. ", "content")
    assert harness.text() == "A BAD. Text"
    assert [s.channel for s in harness.segments] == ["content"]
    assert harness.end().finish


def test_a_check_of_the_policy_that_is_not_there_is_not_asked() -> None:
    harness = Harness(policy(checks=[{"check": "quick"}, {"check": "judge"}])).say("One. Two").end()
    assert harness.finish
    assert {c.check for c in harness.commands if isinstance(c, ev.RunCheck)} == {"quick"}


def test_a_check_runs_only_on_its_channels() -> None:
    made = policy(checks=[{"check": "quick", "channels": ["content"]}])
    harness = Harness(made).say("A BAD. x").say("Fine. x", "content")
    assert [s.channel for s in harness.segments] == ["content"]


def test_inline_checks_run_before_slow_ones() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say("One. BAD. x")
    ran = [(c.segment.id, c.check) for c in harness.commands if isinstance(c, ev.RunCheck)]
    assert ran == [(0, "quick"), (0, "slow"), (1, "quick")]


def test_a_check_with_nothing_to_check_against_is_neither_clean_nor_unscanned() -> None:
    made = policy(on_unscanned="stop")
    harness = Harness(made, inline={"quick": lambda s: ev.Unchecked(s.id, "quick", "not_applicable", "no facts")})
    harness.say("One.").end()
    assert harness.finish
    assert harness.finish.summary
    assert [(v.status, v.why) for v in harness.finish.summary.verdicts] == [("not_applicable", "no facts")]
    assert (harness.finish.reason, harness.finish.summary.unscanned) == ("stop", 0)


def test_segments_that_wait_behind_a_claim_are_never_asked_about() -> None:
    assert [s.text for s in Harness(policy()).say("One BAD. Two. Three. x").segments] == ["One BAD."]


# Escalation


def odd(segment: Segment) -> tuple[Finding, ...]:
    """Flags every segment with the word ODD, too weakly to interrupt."""
    return (Finding(score=0.6, reason="odd."),) if "ODD" in segment.text else ()


def test_a_check_that_waits_for_another_runs_only_on_what_that_one_flagged() -> None:
    made = policy(checks=[{"check": "quick"}, {"check": "judge", "only_if": ["quick"]}])
    harness = Harness(made, inline={"quick": odd}, slow=["judge"]).say("One. ODD two. Three. x", "content")
    assert [(s.text, c) for s, c in harness.asked] == [(" ODD two.", "judge")]
    assert harness.text("content") == "One."
    assert harness.answer(FLAG).text("content") == "One. It is GOOD."


def test_a_slow_check_calls_for_another_once_and_the_finish_waits_for_it() -> None:
    checks = [{"check": "a"}, {"check": "b"}, {"check": "judge", "only_if": ["a", "b"]}]
    harness = Harness(policy(checks=checks), inline={}, slow=["a", "b", "judge"]).say("ODD.").end()
    weak = Finding(score=0.6)
    harness.answer(weak).answer(weak)
    assert ([c for _, c in harness.asked], harness.finish) == (["judge"], None)
    assert harness.answer().finish


def test_a_check_called_for_after_the_hold_expired_holds_nothing() -> None:
    checks = [{"check": "a"}, {"check": "judge", "only_if": ["a"]}]
    harness = Harness(policy(checks=checks), inline={}, slow=["a", "judge"]).say("ODD. x", "content")
    harness.feed(ev.HoldExpired(0)).answer(Finding(score=0.6))
    assert [check for _, check in harness.asked] == ["judge"]
    harness.feed(ev.HoldExpired(0)).answer(FLAG)
    assert harness.text("content") == "ODD." + NO


def test_an_inline_check_can_be_called_for() -> None:
    made = policy(checks=[{"check": "quick"}, {"check": "second", "only_if": ["quick"]}])
    harness = Harness(made, inline={"quick": odd, "second": lambda s: (FLAG,)}).say("One. ODD two. x")
    assert harness.text() == "One. ODD two." + NO


def test_a_check_is_not_called_for_in_a_channel_that_is_not_its_own() -> None:
    made = policy(checks=[{"check": "quick"}, {"check": "judge", "only_if": ["quick"], "channels": ["content"]}])
    harness = Harness(made, inline={"quick": odd}, slow=["judge"]).say("ODD. x").say("ODD. x", "content")
    assert [s.channel for s, _ in harness.asked] == ["content"]


# on_unscanned


def broken(segment: Segment) -> ev.Unchecked:
    return ev.Unchecked(segment.id, "quick", "unscanned", "error: ValueError")


@pytest.mark.parametrize("released", ["immediate", "checked"])
def test_unscanned_text_passes_or_ends_the_choice(released: str) -> None:
    watch = watching(content=released)
    passing = Harness(policy(**watch), inline={"quick": broken}).say("One. Two", "content").end()
    assert passing.finish
    assert passing.finish.summary
    assert (passing.text("content"), passing.finish.reason, passing.finish.summary.unscanned) == ("One. Two", "stop", 2)
    closed = Harness(policy(on_unscanned="stop", **watch), inline={"quick": broken}).say("One. Two", "content")
    assert closed.finish
    assert (closed.text("content"), closed.finish.reason, closed.told) == ("", "content_filter", ["unscanned"])
    (event,) = [p.guard for p in closed.pieces if p.guard]
    assert (event.span, event.why, event.check) == ((0, 0), "error: ValueError", "quick")


def test_unscanned_text_that_was_sent_ends_the_choice_behind_it() -> None:
    harness = slow(on_unscanned="stop").say("One. Two and more")
    harness.feed(ev.Unchecked(0, "slow", "unscanned", "deadline"))
    assert harness.finish
    assert harness.finish.summary
    assert (harness.text(), harness.finish.reason) == ("One. Two and more", "content_filter")
    assert harness.finish.summary.text["reasoning"] == "One."


def test_a_settled_claim_that_is_then_unscanned_changes_nothing() -> None:
    harness = Harness(policy(on_unscanned="stop", checks=[{"check": "a"}, {"check": "b"}]), inline={}, slow=["a", "b"])
    harness.say("BAD. x").answer(FLAG)
    assert harness.feed(ev.Unchecked(0, "b", "unscanned", "deadline")).finish is None
    assert harness.told == ["interruption"]


# Choices


def test_two_choices_share_the_first_attempt_and_only_the_flagged_one_is_cut() -> None:
    one, other = Harness(policy()), Harness(policy())
    for harness, word in ((one, "BAD"), (other, "fine")):
        harness.say(f"It is {word}. Next")
    one.feed(ev.Delta(0, "reasoning", " thing."), ev.Finished(0, "stop"))
    other.feed(ev.Delta(0, "reasoning", " thing."), ev.Finished(0, "stop"))
    assert (one.text(), one.finish, one.session.attempt) == ("It is BAD." + NO, None, 1)
    assert (other.text(), other.session.attempt) == ("It is fine. Next thing.", 0)
    assert other.finish
    one.open().say(" Right.").end()
    assert one.finish
