"""What a turn can be besides plain text: tool calls, structured output, tags, a client's beginning, a splice."""

from __future__ import annotations

from typing import Any

import pytest

from guard.core import events as ev
from guard.core.types import GuardEvent, Token
from tests.core.harness import Harness, bad, policy
from tests.core.test_session import BOTH, FLAG, NO, cuts, slow, watching


def call(index: int, arguments: str, attempt: int = 0, id: str = "") -> ev.ToolDelta:
    return ev.ToolDelta(attempt, index, id or f"c{index}", "look", arguments)


def calls(harness: Harness) -> list[ev.ToolDelta]:
    """The fragments of tool calls the client has."""
    return [piece.call for piece in harness.pieces if piece.call]


def told(harness: Harness) -> list[GuardEvent]:
    return [piece.guard for piece in harness.pieces if piece.guard]


# Tool calls


def test_tool_calls_are_held_until_the_last_is_whole_and_judged() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).feed(call(0, '{"a": '), ev.ToolDelta(0, 0, arguments="1}"))
    harness.feed(call(1, "{}"))
    assert (calls(harness), harness.asked) == ([], [])
    harness.end("tool_calls")
    assert [(s.text, s.tool, s.start, s.end) for s, _ in harness.asked] == [
        ('{"a": 1}', "look", 0, 8),
        ("{}", "look", 8, 10),
    ]
    harness.answer()
    assert calls(harness) == []
    harness.answer()
    assert len(calls(harness)) == 3
    assert harness.finish
    assert harness.finish.reason == "tool_calls"


def test_of_two_tool_calls_with_one_flagged_none_is_sent_and_both_are_answered() -> None:
    harness = Harness(policy()).say("Let me see.", "content").feed(call(0, "{}"), call(1, "BAD")).end("tool_calls")
    (record,) = harness.records
    assert (calls(harness), harness.finish) == ([], None)
    assert (record.claim.channel, record.claim.text, record.claim.tool) == ("tool_calls", "BAD", "look")
    assert (record.correct, record.put_in, record.kept) == ("retract", "", {"content": "Let me see."})
    resume = harness.opened[0].resume
    answers = [(made.id, made.name, made.arguments, answer) for made, answer in resume.calls]
    assert answers == [("c0", "look", "{}", "Not run."), ("c1", "look", "BAD", "Not run." + NO)]
    assert (resume.open_channel, resume.kept) == ("content", {"content": "Let me see."})
    harness.open("tool_answers").say(" Then so.", "content").end()
    assert harness.text("content") == "Let me see. Then so."
    assert harness.told == ["retraction"]


def test_only_the_flagged_call_is_told_why_even_if_another_has_no_arguments() -> None:
    harness = Harness(policy()).feed(call(0, ""), call(1, "BAD"), call(2, "")).end("tool_calls")
    answers = [answer for _, answer in harness.opened[0].resume.calls]
    assert answers == ["Not run.", "Not run." + NO, "Not run."]


def test_answers_of_an_earlier_attempt_stand() -> None:
    harness = Harness(policy()).feed(call(0, "BAD")).end("tool_calls").open("tool_answers")
    harness.feed(call(0, "BAD too", 1, "d")).end("tool_calls")
    assert [made.id for made, _ in harness.opened[1].resume.calls] == ["c0", "d"]


def test_calls_of_two_attempts_under_one_id_are_told_apart() -> None:
    harness = Harness(policy()).feed(call(0, "BAD")).end("tool_calls").open("tool_answers")
    harness.feed(call(0, "BAD too", 1)).end("tool_calls")
    ids = [made.id for made, _ in harness.opened[1].resume.calls]
    assert (ids[0], len(set(ids))) == ("c0", 2)


def test_text_written_after_the_answers_stands_behind_the_calls() -> None:
    harness = Harness(policy()).say("Look: ", "content").feed(call(0, "BAD")).end("tool_calls")
    assert harness.opened[0].resume.calls_at == len("Look: ")
    harness.open("tool_answers").say("So. A BAD end. x", "content")
    resume = harness.opened[1].resume
    assert (resume.calls_at, len(resume.calls)) == (len("Look: "), 1)


def test_answers_behind_text_that_is_then_discarded_are_gone_with_it() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say("First.", "content").feed(call(0, "BAD")).end("tool_calls")
    harness.open("tool_answers").answer(FLAG)
    assert [len(opened.resume.calls) for opened in harness.opened] == [1, 0]


def test_text_before_tool_calls_is_closed_and_judged_first() -> None:
    harness = Harness(policy()).say("It is BAD", "content").feed(call(0, "{}"))
    assert [r.claim.text for r in harness.records] == ["It is BAD"]
    assert harness.opened[0].resume.calls == ()
    assert harness.feed(ev.Finished(0, "tool_calls")).finish is None


def test_text_before_tool_calls_may_go_out_while_they_are_held() -> None:
    harness = Harness(policy()).say("Fine", "content").feed(call(0, "{}"))
    assert (harness.text("content"), calls(harness)) == ("Fine", [])


def test_text_behind_tool_calls_is_unscanned_and_not_part_of_what_goes_on() -> None:
    harness = Harness(policy()).say("Fine.", "content").feed(call(0, "BAD")).say(" After BAD.", "content")
    assert [s.text for s in harness.segments] == ["Fine."]
    harness.end("tool_calls")
    assert harness.opened[0].resume.kept == {"content": "Fine."}
    assert harness.records[0].discarded == {"content": " After BAD."}
    plain = Harness(policy()).feed(call(0, "{}")).say("After BAD.", "content").end("tool_calls")
    assert plain.finish
    assert plain.finish.summary
    assert [v.why for v in plain.finish.summary.verdicts if v.status == "unscanned"] == ["after_tool_calls"]
    assert plain.text("content") == "After BAD."


def test_text_behind_tool_calls_ends_a_choice_that_lets_nothing_unscanned_pass() -> None:
    made = policy(on_unscanned="stop", checks=[{"check": "quick"}, {"check": "second"}])
    harness = Harness(made, inline={"quick": bad, "second": bad}).feed(call(0, "{}")).say("After. x", "content")
    assert harness.finish
    assert (harness.finish.reason, harness.text("content"), harness.told) == ("content_filter", "", ["unscanned"])


def test_tool_calls_that_are_not_watched_or_immediate_pass() -> None:
    for watch in (watching(content="immediate"), watching(content="immediate", tool_calls="immediate")):
        harness = Harness(policy(**watch)).say("Fine.", "content").feed(call(0, "{}"))
        assert len(calls(harness)) == 1
        assert harness.end("tool_calls").finish


def test_raw_chunks_of_tool_calls_pass_untouched_in_the_first_attempt() -> None:
    harness = Harness(policy()).feed(ev.ToolDelta(0, 0, "c", "f", "{}", {"raw": 1})).end("tool_calls")
    assert [p.raw for p in harness.pieces] == [{"raw": 1}]


@pytest.mark.parametrize(
    ("at_limit", "reason"), [("caveat", "stop"), ("release", "tool_calls"), ("stop", "content_filter")]
)
def test_a_tool_call_at_the_limit(at_limit: str, reason: str) -> None:
    made = policy(interrupt={"max_per_response": 0, "at_limit": at_limit})
    harness = Harness(made).say("Look:", "content").feed(call(0, "BAD"), call(1, "{}")).end("tool_calls")
    assert harness.finish
    assert (harness.finish.reason, harness.told) == (reason, ["limit"])
    assert len(calls(harness)) == (2 if at_limit == "release" else 0)
    assert harness.text("content") == ("Look:" + NO if at_limit == "caveat" else "Look:")


def test_a_caveat_in_the_place_of_tool_calls_is_content_whatever_stood_before() -> None:
    limits = {"max_per_response": 0}
    for made in (policy(interrupt=limits), policy(interrupt=limits, **watching(tool_calls="checked"))):
        harness = Harness(made).say("Hm.").feed(call(0, "BAD")).end("tool_calls")
        assert (harness.text(), harness.text("content")) == ("Hm.", NO.strip())


def test_a_tool_call_flagged_while_another_is_pending_drops_both() -> None:
    harness = slow().feed(call(0, "{}"), call(1, "BAD")).end("tool_calls")
    harness.answer(FLAG, which=1)
    assert [c.segments for c in harness.commands if isinstance(c, ev.DropChecks)] == [(1, 0)]
    assert harness.answer(FLAG).told == ["retraction"]


def test_reasoning_before_tool_calls_that_are_answered_is_kept() -> None:
    harness = Harness(policy()).say("Hm. ").feed(call(0, "BAD")).end("tool_calls")
    assert harness.opened[0].resume.kept == {"reasoning": "Hm. "}


# Structured output


def structured(**fields: Any) -> Harness:
    return Harness(policy(**fields), structured=True)


def test_structured_output_is_one_segment_held_whole() -> None:
    for points in cuts('{"a": "One. Two. "}'):
        harness = structured().say('{"a": "One. Two. "}', "content", cuts=points)
        assert harness.text("content") == ""
        assert harness.end().text("content") == '{"a": "One. Two. "}'
        assert len(harness.segments) == 1


def test_structured_output_is_asked_for_again_from_its_start_and_never_injected_into() -> None:
    harness = structured().say("Thought.").say('{"a": "BAD"}', "content").end()
    (record,) = harness.records
    assert (record.correct, record.put_in, record.claim.text) == ("restart", "", '{"a": "BAD"}')
    resume = harness.opened[0].resume
    assert (resume.restart, resume.open_channel, resume.kept) == (True, "content", {"reasoning": "Thought."})
    harness.open("reask").say('{"a": "good"}', "content").end()
    assert (harness.text("content"), harness.told) == ('{"a": "good"}', ["retraction"])


def test_structured_output_that_is_flagged_again_for_the_same_is_limited_without_a_caveat() -> None:
    harness = structured().say('{"a": "BAD"}', "content").end().open("reask").say('{"a": "BAD"}', "content").end()
    assert (len(harness.records), harness.told, told(harness)[-1].why) == (1, ["retraction", "limit"], "repeated")
    assert harness.text("content") == '{"a": "BAD"}'


def test_structured_output_may_be_asked_for_again_for_another_claim() -> None:
    harness = structured().say('{"a": "BAD"}', "content").end().open("reask").say('{"b": "BAD"}', "content").end()
    assert [r.correct for r in harness.records] == ["restart", "restart"]


def test_structured_output_that_was_sent_cannot_be_corrected() -> None:
    harness = Harness(policy(**BOTH), inline={}, slow=["slow"], structured=True).say("{BAD}", "content").end()
    harness.feed(ev.HoldExpired(0))
    assert harness.text("content") == "{BAD}"
    assert harness.finish
    held = Harness(policy(checks=[{"check": "a"}, {"check": "b"}]), inline={}, slow=["a", "b"], structured=True)
    held.say("{BAD}", "content").feed(call(0, "{}")).feed(ev.HoldExpired(0)).answer(FLAG)
    assert (held.told, held.text("content")) == (["late"], "{BAD}")


def test_reasoning_before_structured_output_is_corrected_as_ever() -> None:
    assert structured().say("BAD. x").text() == "BAD." + NO


# The client's own beginning


@pytest.mark.parametrize("channel", ["reasoning", "content"])
def test_a_clients_prefix_is_context_and_is_never_checked(channel: Any) -> None:
    prefix = "A BAD start. It goes"
    for points in cuts(" on. Fine. BAD. More"):
        harness = Harness(policy(), prefix={channel: prefix}).say(" on. Fine. BAD. More", channel, cuts=points)
        assert [s.text for s in harness.segments] == [" It goes on.", " Fine.", " BAD."]
        (record,) = harness.records
        assert record.kept == {channel: prefix + " on. Fine."}
        put = NO if channel == "reasoning" else " It is GOOD."
        assert harness.text(channel) == (" on. Fine. BAD." if channel == "reasoning" else " on. Fine.") + put
        start, end = told(harness)[0].span
        assert harness.text(channel)[start:end] == (" BAD." if channel == "reasoning" else "")


def test_a_sentence_that_the_client_began_is_cut_only_where_the_model_wrote() -> None:
    harness = Harness(policy(), prefix={"content": "One. So it"}).say(" is BAD. x", "content")
    (record,) = harness.records
    assert (record.claim.text, record.claim.start, record.kept) == (" is BAD.", 10, {"content": "One. So it"})
    assert harness.text("content") == " It is GOOD."
    assert harness.opened[0].resume.kept == {"content": "One. So it It is GOOD."}
    assert told(harness)[0].span == (0, 0)


def test_a_sentence_that_the_client_finished_is_not_checked_when_the_model_goes_on() -> None:
    harness = Harness(policy(), prefix={"reasoning": "A BAD start."}).say(" Fine. x")
    assert [s.text for s in harness.segments] == [" Fine."]


def test_an_event_about_a_sentence_the_client_began_points_at_what_the_client_received() -> None:
    harness = Harness(policy(interrupt={"max_per_response": 0}), prefix={"reasoning": "So it"}).say(" is BAD. x")
    assert told(harness)[0].span == (0, 8)


@pytest.mark.parametrize("cuts_", [(), (3, 9), (1, 2, 3, 4, 5)])
def test_an_upstream_that_repeats_the_clients_prefix_is_read_from_the_start(cuts_: Any) -> None:
    """Else prefix and repetition would be one sentence, in which nothing is found."""
    harness = Harness(policy(), prefix={"reasoning": "One. It is"})
    harness.feed(ev.Opened(0, echoes=True)).say("One. It is BAD. More", "reasoning", cuts=cuts_)
    (record,) = harness.records
    assert (record.claim.text, record.kept) == (" It is BAD.", {"reasoning": "One."})
    harness.open().say(" So. Then.").end()
    assert harness.text("reasoning") == "One. It is BAD." + NO + " So. Then."


@pytest.mark.parametrize(("said", "joined"), [("So", " So"), (" So", " So"), (", so", ", so")])
def test_reasoning_that_was_asked_for_again_is_set_off_from_what_was_put_in(said: str, joined: str) -> None:
    for points in cuts(said + ". Then."):
        harness = Harness(policy()).say("It is BAD. More").open("reask").say(said + ". Then.", cuts=points).end()
        assert harness.text("reasoning") == "It is BAD." + NO + joined + ". Then."


def test_only_a_turn_that_has_not_begun_can_be_a_repetition() -> None:
    harness = Harness(policy(), prefix={"reasoning": "One. It"}).say(" is")
    harness.feed(ev.Opened(0, echoes=True)).say(" BAD. More")
    assert harness.records[0].kept == {"reasoning": "One. It"}


def test_a_prefix_that_is_left_as_it_is_leaves_nothing_to_check() -> None:
    harness = Harness(policy(), prefix={"content": "BAD it"}).say(" \n", "content").end()
    assert (harness.segments, harness.text("content")) == ([], " \n")


def test_max_tokens_do_not_count_the_clients_text() -> None:
    harness = Harness(policy(), prefix={"reasoning": "x" * 400}, max_tokens=100).say(" BAD. x")
    assert harness.opened[0].resume.max_tokens == 100 - -(-len(" BAD." + NO) // 4)


# Inline tags


def tagged(made: Any = None) -> Harness:
    return Harness(made or policy()).feed(ev.Extra(0, {"raw": 1}, "<think>", "open"))


def tags(harness: Harness) -> list[str]:
    return [piece.text for piece in harness.pieces if piece.tag]


def test_inline_tags_pass_in_their_place_and_belong_to_no_channel() -> None:
    harness = tagged().say("Thought.").feed(ev.Extra(0, None, "</think>", "close")).say("Answer.", "content").end()
    assert [piece.text for piece in harness.pieces] == ["<think>", "Thought.", "</think>", "Answer."]
    assert (harness.text(), harness.text("content")) == ("Thought.", "Answer.")
    assert harness.pieces[0].raw == {"raw": 1}


def test_an_opening_tag_of_a_later_attempt_is_one_too_many() -> None:
    harness = tagged().say("BAD. x").open("reask").feed(ev.Extra(1, None, "<think>", "open")).say(" So.")
    harness.feed(ev.Extra(1, None, "</think>", "close")).say("Answer.", "content").end()
    assert tags(harness) == ["<think>", "</think>"]


def test_a_closing_tag_closes_the_last_sentence_and_is_discarded_with_it() -> None:
    harness = tagged().say("It is BAD").feed(ev.Extra(0, None, "</think>", "close"))
    assert (tags(harness), harness.told) == (["<think>"], ["interruption"])
    harness.open().say(" So.").feed(ev.Extra(1, None, "</think>", "close")).end()
    assert tags(harness) == ["<think>", "</think>"]


def test_reasoning_flagged_after_its_closing_tag_was_sent_is_only_told() -> None:
    harness = slow().feed(ev.Extra(0, None, "<think>", "open")).say("It is BAD.")
    harness.feed(ev.Extra(0, None, "</think>", "close")).answer(FLAG)
    assert harness.told == ["late"]


def test_a_closing_tag_waits_for_the_held_opening_of_an_attempt() -> None:
    harness = Harness(policy(), stops=["a long stop string"]).say("BAD. x").open().say(" So.")
    assert harness.text() == "BAD." + NO
    harness.feed(ev.Extra(1, None, "</think>", "close"))
    assert [p.text for p in harness.pieces][-2:] == [" So.", "</think>"]


# The limit on tokens


def test_no_tokens_left_ends_the_choice_with_length_after_the_record() -> None:
    harness = Harness(policy(), record=False, max_tokens=5).say("BAD. x")
    assert harness.finish is None
    harness.feed(ev.Recorded("s.0.1"))
    assert harness.finish
    assert (harness.finish.reason, harness.opened, harness.text()) == ("length", [], "BAD." + NO)


def test_tokens_left_are_those_of_kept_and_put_in_text() -> None:
    harness = Harness(policy(), max_tokens=100).say("BAD. and " + "much more " * 20)
    assert harness.opened[0].resume.max_tokens == 100 - -(-len("BAD." + NO) // 4)


# The splice


@pytest.mark.parametrize("points", cuts("OP there"))
def test_a_stop_string_across_a_splice_ends_the_choice(points: list[int]) -> None:
    harness = Harness(policy(), stops=["BAD.OP"]).say("A BAD. x").open().say("OP there", cuts=points)
    assert harness.finish
    assert (harness.finish.reason, harness.text()) == ("stop", "A BAD." + NO)
    assert ev.CancelAttempt(1) in harness.commands


def test_a_stop_string_that_guard_wrote_ends_nothing() -> None:
    harness = Harness(policy(), stops=["GOOD."]).say("A BAD. x").open().say(" More. ").end()
    assert harness.text() == "A BAD." + NO + " More. "


@pytest.mark.parametrize("end", [ev.Finished(1, "length"), ev.Failed(1, "broken"), call(0, "{}", 1)])
def test_what_comes_after_a_stop_string_across_a_splice_does_not_count(end: ev.Event) -> None:
    harness = Harness(policy(), stops=["BAD. It", "much longer than that"]).say("A BAD. x").open().say(" It").feed(end)
    assert harness.finish
    assert (harness.finish.reason, harness.finish.error, calls(harness)) == ("stop", None, [])


def test_an_opening_that_is_held_goes_out_when_the_channel_changes() -> None:
    harness = Harness(policy(), stops=["a long stop string"]).say("A BAD. x").open().say(" So.")
    harness.say("Answer. x", "content")
    assert (harness.text(), harness.text("content")) == ("A BAD." + NO + " So.", "Answer.")


def test_a_channel_change_in_an_opening_that_ends_the_choice_does_not_count() -> None:
    harness = Harness(policy(), stops=["BAD. It", "much longer than that"]).say("A BAD. x").open().say(" It")
    assert harness.say("Answer.", "content", attempt=1).text("content") == ""
    assert harness.finish


DELIVERED = "The answer is a long one and it is a good one."
TWICE = DELIVERED + " A BAD claim. x"


def reasked(text: str, *, points: list[int] | None = None, **fields: Any) -> Harness:
    """The second sentence is retracted; the answer is asked for again and says this."""
    harness = Harness(policy(**fields)).say(TWICE, "content").open("reask")
    assert harness.text("content") == DELIVERED + " It is GOOD."
    return harness.say(text, "content", cuts=points or [])


def test_a_re_asked_answer_is_held_until_it_is_clear_how_it_joins() -> None:
    harness = reasked(" And so on.")
    assert harness.text("content") == DELIVERED + " It is GOOD."
    assert harness.end().text("content") == DELIVERED + " It is GOOD. And so on."


@pytest.mark.parametrize("points", cuts(" one. It is GOOD. And so on."))
def test_a_re_asked_answer_that_overlaps_is_joined(points: list[int]) -> None:
    harness = reasked(" one. It is GOOD. And so on.", points=points).end()
    assert harness.text("content") == DELIVERED + " It is GOOD. And so on."


def test_a_re_asked_answer_that_starts_over_is_skipped_to_where_it_passes_what_was_delivered() -> None:
    again = DELIVERED + " It is GOOD. And so on."
    for points in cuts(again):
        assert reasked(again, points=points).end().text("content") == again


@pytest.mark.parametrize(
    ("at_limit", "reason", "shown"),
    [("caveat", "stop", ""), ("stop", "content_filter", ""), ("release", "stop", DELIVERED[:30] + " no more.")],
)
def test_a_re_asked_answer_that_cannot_be_joined_does_what_the_policy_says(
    at_limit: str, reason: str, shown: str
) -> None:
    harness = reasked(DELIVERED[:30] + " no more.", interrupt={"at_limit": at_limit}).end()
    assert harness.finish
    assert (harness.finish.reason, harness.text("content")) == (reason, DELIVERED + " It is GOOD." + shown)
    assert (told(harness)[-1].event, told(harness)[-1].why) == ("limit", "restarted")


def test_tokens_and_log_probabilities_of_a_skipped_beginning_are_dropped() -> None:
    harness = reasked("")
    entries = [{"token": " It is GOOD."}, {"token": " And"}, {"token": " on."}]
    tokens = tuple(Token(id=i, text=str(e["token"])) for i, e in enumerate(entries))
    whole = ev.Delta(
        1, "content", " one. It is GOOD. And on.", None, "", tokens, {"content": [{"token": " one."}, *entries]}
    )
    harness.feed(whole, ev.Delta(1, "content", " End.", None, "", (Token(id=9, text=" End."),))).end()
    assert harness.pieces[-2].text + harness.pieces[-1].text == " And on. End."
    assert [p.logprobs and [e["token"] for e in p.logprobs["content"]] for p in harness.pieces[-2:]] == [
        [" And", " on."],
        None,
    ]


def test_re_asked_reasoning_goes_on_behind_the_correction_without_a_seam() -> None:
    harness = Harness(policy()).say("A BAD thought. x").open("reask").say(" So then. x")
    assert harness.text() == "A BAD thought." + NO + " So then. x"


def test_reasoning_behind_an_answer_that_was_asked_for_again_is_not_shown() -> None:
    harness = reasked("").feed(ev.Extra(1, text="<think>", tag="open")).say("Again. ", "reasoning")
    harness.feed(ev.Extra(1, text="</think>", tag="close")).say(" one. It is GOOD. And so on. ", "content").end()
    assert (harness.text(), harness.text("content")) == ("", DELIVERED + " It is GOOD. And so on. ")
    assert not [piece for piece in harness.pieces if piece.tag]


def test_reasoning_of_an_answer_that_goes_on_exactly_is_shown() -> None:
    harness = Harness(policy()).say("A BAD claim. x", "content").open().say("Again. ", "reasoning")
    assert harness.text() == "Again. "


def prefilled(text: str, *, points: list[int] | None = None, channel: Any = "content", **fields: Any) -> Harness:
    """As `reasked`, of an upstream that was to go on from the message so far."""
    harness = Harness(policy(**fields)).say(TWICE, channel).open("field_prefill")
    return harness.say(text, channel, cuts=points or [])


def test_an_answer_that_goes_on_from_a_prefilled_message_goes_on_exactly() -> None:
    for text in ("s and so on. ", " one. It is GOOD. And so on. ", " And so on. " * 5):
        for points in cuts(text):
            harness = prefilled(text, points=points).end()
            assert harness.text("content") == DELIVERED + " It is GOOD." + text
            assert harness.finish
            assert harness.finish.closings[0].continuation == "field_prefill"


@pytest.mark.parametrize("channel", ["content", "reasoning"])
def test_a_prefilled_message_that_is_begun_anew_is_skipped_and_counts_as_asked_again(channel: str) -> None:
    before = Harness(policy()).say(TWICE, channel).open("field_prefill").text(channel)
    again = before + " And so on."
    for points in cuts(again):
        harness = prefilled(again, points=points, channel=channel).end()
        assert harness.text(channel) == again
        assert harness.finish
        assert harness.finish.closings[0].continuation == "reask"


def test_a_prefilled_message_that_is_begun_anew_and_goes_astray_does_what_the_policy_says() -> None:
    harness = prefilled(DELIVERED[:30] + " no more.", interrupt={"at_limit": "stop"}).end()
    assert harness.finish
    assert harness.finish.reason == "content_filter"
    assert harness.finish.closings[0].continuation == "reask"
    assert (told(harness)[-1].event, told(harness)[-1].why) == ("limit", "restarted")


def test_reasoning_behind_a_prefilled_answer_is_not_shown() -> None:
    harness = prefilled("").say("Again. ", "reasoning").say(" And so on.", "content").end()
    assert (harness.text(), harness.text("content")) == ("", DELIVERED + " It is GOOD. And so on.")


def test_an_answer_that_was_asked_for_again_begins_behind_a_space() -> None:
    assert reasked("And so on.").end().text("content") == DELIVERED + " It is GOOD. And so on."


def test_an_answer_that_goes_on_exactly_goes_on_exactly() -> None:
    for stops in ((), ("a stop string",)):
        harness = Harness(policy(), stops=stops).say("Fine. A BAD claim. x", "content").open().say("s. ", "content")
        assert harness.end().text("content") == "Fine. It is GOOD.s. "


def test_a_held_opening_that_a_cut_discards_is_in_the_record() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say(DELIVERED + " A BAD claim. x", "content").open("reask")
    harness.say(" Held", "content").say(" back.", "content").answer(FLAG)
    assert harness.records[1].discarded == {"content": " Held back."}


def test_a_cut_forgets_the_opening_that_was_held() -> None:
    harness = Harness(policy(**BOTH), slow=["slow"]).say(DELIVERED + " A BAD claim. x", "content")
    harness.open("reask").say(" Held.", "content").answer(FLAG).open("reask").say(" Anew.", "content").end()
    harness.answer(which=-1)
    assert harness.text("content") == "It is GOOD. Anew."


def test_what_stands_before_a_segment_is_the_turn_up_to_its_start() -> None:
    harness = Harness(policy(), prefix={"reasoning": "Hm. "}).say("BAD one. ").open().say(" Two. ", "reasoning")
    harness.say("Three. Four. ", "content").feed(ev.ToolDelta(1, 0, "c", "f", "{}")).end()
    reasoning = "Hm. BAD one. No, that is wrong. It is GOOD. Two. "
    before = {segment.text.strip(): harness.session.before(segment) for segment in harness.segments}
    assert before["BAD one."] == {"reasoning": "Hm."}
    assert before["Four."] == {"reasoning": reasoning, "content": "Three."}
    assert before["{}"] == {"reasoning": reasoning, "content": "Three. Four. "}
