"""What a choice leaves behind: how each interruption ended, and the summary."""

from __future__ import annotations

from typing import Any

from guard.core import events as ev
from guard.core.types import Closing, Finding, Summary
from tests.core.harness import Harness, bad, policy
from tests.core.test_session import BOTH, FLAG, NO, slow

OFTEN: dict[str, Any] = {"interrupt": {"cooldown_segments": 0, "max_per_response": 9, "max_per_check": 9}}


def closing(harness: Harness, which: int = 0) -> Closing:
    assert harness.finish
    return harness.finish.closings[which]


def summary(harness: Harness) -> Summary:
    assert harness.finish
    assert harness.finish.summary
    return harness.finish.summary


def about(subject: str) -> Any:
    """Findings of a check that knows what a claim is about."""

    def check(segment: Any) -> tuple[Finding, ...]:
        score = 1.0 if "BAD" in segment.text else 0.6 if "ODD" in segment.text else 0.0
        return (Finding(score=score, reason="wrong.", subject=subject),) if score else ()

    return check


def test_an_interruption_is_corrected_if_the_turn_comes_to_its_end_without_the_claim() -> None:
    harness = Harness(policy()).say("A BAD one. x").open().say(" Right. ").say("So it is.", "content").end()
    assert closing(harness) == Closing(
        id="s.0.1",
        outcome="corrected",
        continuation="text_exact",
        followed=" Right. ",
        answer="So it is.",
        complete=True,
    )


def test_a_claim_of_the_content_is_followed_by_content_alone() -> None:
    harness = Harness(policy()).say("Thought.").say("A BAD one. x", "content").open().say(" Right.", "content").end()
    assert (closing(harness).followed, closing(harness).answer, closing(harness).complete) == (" Right.", "", True)


def test_it_relapsed_if_the_same_claim_is_flagged_again() -> None:
    harness = Harness(policy()).say("A BAD one. x").open().say(" Yes. A thing. a BAD ONE! x").open().end()
    assert [closing(harness, n).outcome for n in (0, 1)] == ["relapsed", "corrected"]
    assert closing(harness).followed == " Yes. A thing."


def test_another_claim_flagged_is_no_relapse() -> None:
    harness = Harness(policy()).say("A BAD one. x").open().say(" Another BAD two. x").open().end()
    assert closing(harness).outcome == "corrected"


def test_it_relapsed_if_its_subject_is_flagged_again_in_other_words() -> None:
    harness = Harness(policy(), inline={"quick": about("x")}).say("A BAD one. x").open().say(" An ODD one. ").end()
    assert closing(harness).outcome == "relapsed"
    assert (closing(harness).followed, closing(harness).complete) == ("", False)


def test_an_unknown_subject_is_nobodys() -> None:
    harness = Harness(policy(), inline={"quick": about("")}).say("A BAD one. x").open().say(" An ODD one. ").end()
    assert closing(harness).outcome == "corrected"


def test_it_is_abandoned_if_the_turn_breaks_off() -> None:
    for event in (ev.Failed(1, "broken"), ev.ClientLeft(), ev.Finished(1, "length")):
        harness = Harness(policy()).say("A BAD one. x").open().say(" Right. And then").feed(event)
        assert (closing(harness).outcome, closing(harness).complete) == ("abandoned", False)


def test_what_followed_a_turn_that_broke_off_is_what_was_judged() -> None:
    harness = Harness(policy()).say("A BAD one. x").open().say(" Right. And th").feed(ev.ClientLeft())
    assert closing(harness).followed == " Right."
    waiting = Harness(policy(**BOTH), slow=["slow"]).say("A BAD one. x").open().say(" Right. Also. x")
    waiting.answer().feed(ev.ClientLeft())
    assert closing(waiting).followed == " Right."


def test_what_followed_ends_at_the_next_unscanned_segment() -> None:
    def check(segment: Any) -> Any:
        return ev.Unchecked(segment.id, "quick", "unscanned", "error") if "ODD" in segment.text else bad(segment)

    harness = Harness(policy(), inline={"quick": check}).say("A BAD one. x").open()
    harness.say(" Right. ODD. More. ").say("Answer.", "content").end()
    assert (closing(harness).followed, closing(harness).answer, closing(harness).complete) == (" Right.", "", False)
    assert summary(harness).unscanned == 1


def once(segment: Any) -> Any:
    """Flags a claim the first time only, as a model that judges might."""
    return bad(segment) if segment.attempt < 1 or "TOO" in segment.text else ()


def test_what_followed_ends_where_a_claim_is_said_again_and_not_flagged() -> None:
    harness = Harness(policy(), inline={"quick": once}).say("A BAD one. x").open().say(" BAD TOO. x").open()
    harness.say(" Right. A BAD  one! More. ").say("Answer.", "content").end()
    assert [closing(harness, n).followed for n in (0, 1)] == ["", " Right."]
    assert [closing(harness, n).answer for n in (0, 1)] == ["", ""]
    assert [closing(harness, n).complete for n in (0, 1)] == [False, False]


def test_what_stands_before_the_claim_flagged_or_unscanned_is_counted() -> None:
    def check(segment: Any) -> Any:
        if "DARK" in segment.text:
            return ev.Unchecked(segment.id, "quick", "unscanned", "error")
        return bad(segment) or about("")(segment)

    harness = Harness(policy(), inline={"quick": check})
    harness.say("Well. A BAD one. x").open().say(" ODD so. DARK too. Fine. BAD two. x").open()
    harness.say(" Right. ODD end. ").end()
    assert [closing(harness, n).uncorrected for n in (0, 1)] == [0, 2]


def test_what_followed_ends_where_calls_were_answered_and_what_is_behind_them_says_so() -> None:
    harness = Harness(policy(**OFTEN)).say("A BAD one. x").open().say(" Right.").say("I look.", "content")
    harness.feed(ev.ToolDelta(1, 0, "c", "f", '{"a": "BAD"}')).end("tool_calls").open("tool_answers")
    harness.say(" Hm.").say(" So. BAD again. x", "content").open("field_prefill").say(" Good. ", "content").end()
    assert [i.claim.channel for i in harness.records] == ["reasoning", "tool_calls", "content"]
    first, call, last = (closing(harness, n) for n in range(3))
    assert (first.followed, first.answer, first.complete, first.behind_calls) == (" Right.", "", False, False)
    assert (call.followed, call.behind_calls) == (" So.", False)
    assert (last.followed, last.complete, last.behind_calls) == (" Good. ", True, True)


def test_calls_that_were_cut_away_are_not_in_the_way() -> None:
    harness = Harness(policy(**BOTH, **OFTEN), slow=["slow"]).say("One. x")
    harness.feed(ev.ToolDelta(0, 0, "c", "f", '{"a": "BAD"}')).end("tool_calls").open("tool_answers")
    harness.answer(FLAG).open().say(" On. A BAD one. x").open().say(" Right. ").end()
    while not harness.finish:
        harness.answer()
    assert [i.claim.channel for i in harness.records] == ["tool_calls", "reasoning", "reasoning"]
    assert [closing(harness, n).behind_calls for n in range(3)] == [False, False, False]
    assert [closing(harness, n).followed for n in range(3)] == ["", " On.", " Right. "]


def test_an_answer_ends_at_the_next_flagged_segment() -> None:
    harness = Harness(policy()).say("A BAD one. x").open().say(" Right. ").say("Yes. A BAD end. x", "content")
    harness.open().end()
    assert (closing(harness).answer, closing(harness).complete) == ("Yes.", False)


def test_the_end_may_be_learnt_only_if_the_text_ends_there() -> None:
    harness = Harness(policy()).say("A BAD one. x").open().say(" Right.")
    harness.feed(ev.ToolDelta(1, 0, "c", "f", "{}")).end("tool_calls")
    assert (closing(harness).outcome, closing(harness).complete) == ("corrected", False)


def test_with_stop_strings_it_is_not_sure_that_the_model_was_done() -> None:
    harness = Harness(policy(), stops=["###"]).say("A BAD one. x").open().say(" Right. ").end()
    assert (closing(harness).outcome, closing(harness).complete) == ("corrected", False)


def test_content_before_the_claim_answers_nothing() -> None:
    watch = {"reasoning": {"release": "checked"}, "content": {"release": "checked"}}
    harness = Harness(policy(watch=watch)).say("Before.", "content").say("A BAD one. x")
    harness.open().say(" Right. ").say(" After.", "content").end()
    assert (closing(harness).followed, closing(harness).answer) == (" Right. ", " After.")


def test_a_choice_that_guard_ended_corrected_nothing() -> None:
    harness = Harness(policy(interrupt={"max_per_response": 1, "at_limit": "stop"})).say("A BAD one. x").open()
    harness.say(" Right. Another BAD. x")
    assert (closing(harness).outcome, closing(harness).followed) == ("abandoned", " Right.")


def test_an_unwatched_answer_of_a_turn_that_broke_off_counts_as_it_stands() -> None:
    harness = Harness(policy(watch={"reasoning": {"release": "immediate"}})).say("A BAD one. x").open()
    harness.say(" Right. ").say("Answer th", "content").feed(ev.ClientLeft())
    assert (closing(harness).followed, closing(harness).answer) == (" Right.", "Answer th")


def test_a_superseded_interruption_is_abandoned_and_nothing_followed_it() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say("First. Then BAD. x").open().say(" On.").answer(FLAG)
    harness.open().say(" Right.").end().answer(which=-1)
    assert (closing(harness).outcome, closing(harness).followed) == ("abandoned", "")
    assert closing(harness, 1).outcome == "corrected"


def test_the_way_each_attempt_continued_is_on_record() -> None:
    harness = Harness(policy()).say("BAD a. x").open("token_exact").say(" BAD b. x").open("reask").end()
    assert [closing(harness, n).continuation for n in (0, 1)] == ["token_exact", "reask"]


def test_an_attempt_that_never_opened_has_no_continuation() -> None:
    harness = Harness(policy()).say("BAD a. x").feed(ev.Failed(1, "broken"))
    assert closing(harness).continuation is None


def test_a_summary_has_what_stands_and_the_claims() -> None:
    harness = Harness(policy()).say("One. BAD two. Gone. x").open().say(" Three.").say("Answer.", "content").end()
    made = summary(harness)
    assert [s.text for s in made.segments] == ["One.", " BAD two.", " Three.", "Answer."]
    assert [v.status for v in made.verdicts] == ["clean", "flagged", "clean", "clean"]
    assert [v.disposition for v in made.verdicts] == ["none", "interrupted", "none", "none"]
    assert made.text == {"reasoning": "One. BAD two." + NO + " Three.", "content": "Answer."}
    assert (made.choice, made.interruptions, made.finish_reason, made.unscanned) == (0, 1, "stop", 0)
    assert (made.discarded_tokens, made.flagged, made.client_left, made.error) == (2, True, False, None)


def test_a_retracted_claim_stays_on_record_and_its_tokens_are_wasted() -> None:
    harness = Harness(policy()).say("A BAD one. x", "content").open().say(" Right.", "content").end()
    assert [s.text for s in summary(harness).segments] == ["A BAD one.", " Right."]
    assert summary(harness).discarded_tokens == 4


def test_verdicts_on_discarded_text_are_not_in_the_summary() -> None:
    harness = slow().say("BAD one. Two. x").answer(FLAG, which=1).open().say(" On.").answer(FLAG).open().end()
    assert [s.text for s in summary(harness).segments] == ["BAD one."]
    assert [(v.segment, v.status) for v in summary(harness).verdicts] == [(0, "flagged")]


def test_an_escalated_verdict_carries_its_own_version() -> None:
    harness = Harness(policy()).say("One.").end()
    assert [(v.check, v.version) for v in summary(harness).verdicts] == [("quick", "1")]
