"""The supervised route over real HTTP: what a client reads, whole and streamed, and what is written down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from tests.server.live import QUESTION, Heard, Live, answer, eventually, frames

FINISH = {"finish": "stop"}
WRONG_REASONING = answer([{"reasoning": "One. BAD two. Three."}, {"content": "Yes."}, FINISH], cut=3)
WRONG_ANSWER = answer([{"reasoning": "Fine."}, {"content": "One. BAD two. Three."}, FINISH], cut=3)


def test_a_clean_answer_passes_as_it_is(live: Live) -> None:
    live.say(answer([{"reasoning": "I think."}, {"content": "Hello you."}, FINISH], cut=2))
    heard = live.stream()
    assert (heard.text("reasoning"), heard.text()) == ("I think.", "Hello you.")
    assert (heard.reason, heard.roles, heard.events, heard.errors, heard.usage) == ("stop", {0: 1}, [], [], None)
    assert len(heard.ids) == 1
    assert {chunk["object"] for chunk in heard.chunks} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in heard.chunks} == {"m"}
    assert all(chunk["choices"] for chunk in heard.chunks)


def test_the_head_of_a_stream(live: Live) -> None:
    live.say(WRONG_ANSWER)
    response = live.post(stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-request-id"] == "scripted"
    assert frames(response.content)[-1] == "[DONE]"


def test_an_interruption_in_the_reasoning(live: Live) -> None:
    live.say(WRONG_REASONING)
    heard = live.stream()
    assert heard.text("reasoning") == "One. BAD two. No, that is wrong. It is GOOD. Three."
    assert heard.text() == "Yes."
    (event,) = heard.events
    start, end = event["span"]
    assert heard.text("reasoning")[start:end] == " BAD two."
    assert (event["v"], event["event"], event["channel"], event["check"]) == (1, "interruption", "reasoning", "phrase")
    assert (event["reason"], event["correction"], event["discarded"]) == ("that is wrong.", "It is GOOD.", None)
    assert "retracted" not in event
    assert len(heard.ids) == 1
    assert heard.roles == {0: 1}


def test_a_retraction_in_the_content_is_never_seen(live: Live) -> None:
    live.say(WRONG_ANSWER)
    response = live.post(stream=True)
    assert b"BAD" not in response.content
    heard = Heard(response.content)
    assert heard.text() == "One. It is GOOD. Three."
    (event,) = heard.events
    assert (event["event"], event["span"]) == ("retraction", [4, 4])


def test_usage_comes_only_when_asked_and_sums_the_attempts(live: Live) -> None:
    live.say(WRONG_REASONING)
    assert live.stream(stream_options={"include_usage": False}).usage is None
    heard = live.stream(stream_options={"include_usage": True})
    assert heard.chunks[-1]["choices"] == []
    usage = heard.usage
    assert usage is not None
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["guard"]["interruptions"] == 1
    assert usage["guard"]["estimated"] is True


def test_the_upstreams_own_counts_are_passed_on(live: Live) -> None:
    counts = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "x": {"y": 1}}
    live.say(answer([{"content": "Yes."}, FINISH, {"usage": counts}]))
    usage = live.post().json()["usage"]
    assert {name: usage[name] for name in counts} == counts
    assert "estimated" not in usage["guard"]


def test_tool_calls_are_held_until_judged_and_pass_whole(live: Live) -> None:
    tool = {"tool": {"id": "call_1", "name": "find", "arguments": '{"q": "GOOD"}'}}
    live.say(answer([{"content": "Let me see."}, tool, {"finish": "tool_calls"}], cut=2))
    heard = live.stream()
    assert heard.calls() == [{"id": "call_1", "name": "find", "arguments": '{"q": "GOOD"}'}]
    assert heard.reason == "tool_calls"


def test_a_flagged_tool_call_is_answered_and_never_sent(live: Live) -> None:
    tools = [
        {"tool": {"index": i, "id": f"call_{i}", "name": "find", "arguments": a}}
        for i, a in enumerate(["{}", '{"q": "BAD"}'])
    ]
    live.say(answer([*tools, {"finish": "tool_calls"}], [{"content": "I will not look."}, FINISH]))
    heard = live.stream()
    assert heard.calls() == []
    assert heard.text() == "I will not look."
    assert heard.reason == "stop"
    (event,) = heard.events
    assert (event["event"], event["channel"]) == ("retraction", "tool_calls")
    body = live.post().json()
    assert "tool_calls" not in body["choices"][0]["message"]
    assert live.interruptions()[-1].interruption.claim.tool == "find"


def test_structured_output_is_never_injected_into(live: Live) -> None:
    live.say(answer([{"content": '{"a": "BAD. One."}'}, FINISH], [{"content": '{"a": "GOOD"}'}, FINISH], cut=1))
    kinds = {"type": "json_object"}
    assert json.loads(live.stream(response_format=kinds).text()) == {"a": "GOOD"}
    assert json.loads(live.post(response_format=kinds).json()["choices"][0]["message"]["content"]) == {"a": "GOOD"}


def test_two_choices_are_corrected_each_on_its_own(live: Live) -> None:
    other = [[{"reasoning": "All fine."}, {"content": "No."}, FINISH]]
    live.say(answer([{"reasoning": "One. BAD two. Three."}, {"content": "Yes."}, FINISH], cut=3, choices=[other]))
    heard = live.stream(n=2)
    assert heard.text("reasoning", 0) == "One. BAD two. No, that is wrong. It is GOOD. Three."
    assert (heard.text("reasoning", 1), heard.text("content", 1)) == ("All fine.", "No.")
    assert heard.reasons == {0: ["stop"], 1: ["stop"]}
    assert heard.roles == {0: 1, 1: 1}
    body = live.post(n=2).json()
    assert [c["message"]["content"] for c in body["choices"]] == ["Yes.", "No."]
    assert [event["choice"] for event in body["guard"]["events"]] == [0]


def test_no_text_at_all_is_an_empty_answer(live: Live) -> None:
    live.say(answer([FINISH]))
    heard = live.stream()
    assert (heard.text(), heard.reason) == ("", "stop")
    assert live.post().json()["choices"][0]["message"] == {"role": "assistant", "content": ""}


def test_what_happened_is_on_record(live: Live) -> None:
    live.say(WRONG_REASONING)
    body = live.post(user="ada", temperature=0.5, metadata={"k": "v"}).json()
    session = eventually(lambda: live.gateway.store.database.session(body["id"]))
    assert session.provenance.messages == QUESTION
    assert session.provenance.user == "ada"
    assert session.provenance.parameters == {"temperature": 0.5, "metadata": {"k": "v"}}
    assert session.usage == body["usage"]
    assert set(session.timings) >= {"first_delta", "finish"}
    record = next(r for r in live.interruptions() if r.provenance.session == body["id"])
    assert record.interruption.id == body["guard"]["events"][0]["id"]
    assert record.closing is not None
    assert (record.closing.outcome, record.closing.followed, record.closing.answer) == ("corrected", " Three.", "Yes.")


# One path for streaming and not; cutting never matters

TEXTS = st.lists(
    st.sampled_from(["One. ", "BAD two. ", "Three, and four. ", "- BAD item\n", "12 + 3 = 15. ", "no end "]),
    max_size=5,
).map("".join)
TOOLS = st.lists(st.sampled_from(["{}", '{"q": "BAD"}', '{"q": "fine"}']), max_size=2)


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What a model says in one attempt."""
    steps: list[dict[str, Any]] = []
    if reasoning := draw(TEXTS):
        steps.append({"reasoning": reasoning})
    if content := draw(TEXTS):
        steps.append({"content": content})
    tools = draw(TOOLS)
    steps += [{"tool": {"index": i, "id": f"c{i}", "name": "f", "arguments": a}} for i, a in enumerate(tools)]
    return [*steps, {"finish": "tool_calls" if tools else "stop"}]


def _message(body: dict[str, Any], choice: int) -> tuple[Any, ...]:
    message = body["choices"][choice]["message"]
    calls = [{"id": c["id"], **c["function"]} for c in message.get("tool_calls", ())]
    reason = body["choices"][choice]["finish_reason"]
    return message.get("reasoning_content", ""), message["content"] or "", calls, reason


def _heard(heard: Heard, choice: int) -> tuple[Any, ...]:
    (reason,) = heard.reasons[choice]
    return heard.text("reasoning", choice), heard.text("content", choice), heard.calls(choice), reason


def _told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events without what names the session."""
    return [{k: v.partition(".")[2] if k == "id" else v for k, v in e.items() if k != "choice"} for e in events]


def _spans_hold(heard: Heard) -> None:
    for event in heard.events:
        start, end = event["span"]
        if event["event"] == "interruption":
            assert "BAD" in heard.text(event["channel"])[start:end]
        elif event["event"] == "retraction":
            assert start == end


@limits(max_examples=40, deadline=None)
@given(turn=turns(), other=turns(), n=st.integers(1, 2), cut=st.sampled_from([0, 1, 3, 8]), schema=st.booleans())
def test_the_whole_answer_is_the_collected_stream(
    shared: Live, turn: list[Any], other: list[Any], n: int, cut: int, schema: bool
) -> None:
    shared.gateway.mode = "supervise"
    shared.say(answer(turn, cut=cut, choices=[[other]]))
    asked: dict[str, Any] = {"n": n} | ({"response_format": {"type": "json_object"}} if schema else {})
    heard = shared.stream(stream_options={"include_usage": True}, **asked)
    body = shared.post(**asked).json()
    for choice in range(n):
        assert _heard(heard, choice) == _message(body, choice)
        assert heard.roles[choice] == 1
    assert _told(heard.events) == _told(body.get("guard", {}).get("events", []))
    assert heard.usage == body["usage"]
    assert len(heard.ids) == 1
    if n == 1:
        _spans_hold(heard)


@limits(max_examples=25, deadline=None)
@given(turn=turns())
def test_cutting_never_matters(shared: Live, turn: list[Any]) -> None:
    shared.gateway.mode = "supervise"
    results = []
    for cut in (0, 1, 2, 5, 13):
        shared.say(answer(turn, cut=cut))
        heard = shared.stream()
        results.append((_heard(heard, 0), _told(heard.events)))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("said", [WRONG_REASONING, WRONG_ANSWER])
def test_the_same_interruption_is_recorded_however_the_text_was_cut(live: Live, said: dict[str, Any]) -> None:
    seen = []
    for cut in (0, 1, 4):
        live.say(said | {"cut": cut})
        live.stream()
        made = live.interruptions()[-1].interruption
        seen.append((made.claim, made.kept, made.put_in, made.correct, made.late))
    assert seen[0] == seen[1] == seen[2]
