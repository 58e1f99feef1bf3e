"""How the answers to unfinished messages are read, and how the messages are written."""

from __future__ import annotations

from typing import Any

import pytest

from guard.chat.prefill import TO_CONTENT, TO_REASONING, in_content, in_reasoning, opens_reasoning
from guard.chat.trial import COUNTS, Codes, Reply, Trial, judge, overhead, rendered, weighed, weight

CODES = Codes(["kasatiko", "mufopela", "zadorine", "bivunado", "gesipoma"])


def test_the_message_ends_inside_the_third_word() -> None:
    assert (CODES.given, CODES.rest) == ("kasatiko mufopela zado", "rine")
    assert CODES.question.endswith(": kasatiko mufopela zadorine bivunado gesipoma")
    assert weight(3) == "one one one"


@pytest.mark.parametrize(
    ("channel", "reply", "verdict"),
    [
        ("content", Reply(content="rine bivunado"), "continues"),
        ("content", Reply(content=" rine"), "continues"),
        ("content", Reply(content="kasatiko mufo"), "restarts"),
        ("content", Reply(content="**kasatiko"), "restarts"),
        ("content", Reply(content="Sure: kasatiko"), "undecided"),
        ("content", Reply(reasoning="The user", content=""), "restarts"),
        ("content", Reply(reasoning="rine", content="x"), "misfiled"),
        ("content", Reply(reasoning="I see", content="rine"), "restarts"),
        ("content", Reply(content="la la"), "undecided"),
        ("content", Reply(), "undecided"),
        ("reasoning", Reply(reasoning="rine bivunado", content="kasatiko"), "continues"),
        ("reasoning", Reply(content="rine bivunado"), "continues"),
        ("reasoning", Reply(reasoning="kasatiko"), "restarts"),
        ("reasoning", Reply(content="kasatiko"), "restarts"),
        ("reasoning", Reply(reasoning="Hm", content="rine"), "undecided"),
        ("reasoning", Reply(reasoning="The user"), "undecided"),
    ],
)
def test_replies(channel: Any, reply: Reply, verdict: str) -> None:
    trial = judge(CODES, channel, "prefix", reply)
    assert trial.verdict == verdict
    assert trial.inline is (channel == "reasoning" and verdict == "continues" and not reply.reasoning)


def test_what_a_message_costs_besides_its_text() -> None:
    light, heavy = COUNTS
    assert overhead(10, 10 + light, 10 + heavy) == 0
    assert overhead(10, 12 + 2 * light, 12 + 2 * heavy) == 2
    assert overhead(10, 8 + light, 8 + heavy) == -2
    for told in [(None, 1, 2), (1, None, 2), (1, 2, None), (10, 10, 10), (10, 30, 29), (10, 18, 35)]:
        assert overhead(*told) is None


@pytest.mark.parametrize(
    ("channel", "reply", "over", "verdict"),
    [
        ("content", Reply(content="la"), 0, "continues"),
        ("content", Reply(content="la"), -3, "continues"),
        ("content", Reply(content="la"), 1, "restarts"),
        ("content", Reply(content="la", reasoning="hm"), 0, "misfiled"),
        ("content", Reply(content="la"), None, "undecided"),
        ("reasoning", Reply(reasoning="hm"), 2, "continues"),
        ("reasoning", Reply(reasoning="hm", content="la"), 0, "continues"),
        ("reasoning", Reply(reasoning="hm"), 3, "restarts"),
        ("reasoning", Reply(content="la"), 0, "misfiled"),
        ("reasoning", Reply(reasoning="hm"), None, "undecided"),
    ],
)
def test_what_words_left_open_is_weighed(channel: Any, reply: Reply, over: int | None, verdict: str) -> None:
    trial = Trial(dialect="prefix", verdict="undecided", why="says nothing")
    assert weighed(trial, channel, reply, over).verdict == verdict


@pytest.mark.parametrize(
    ("channel", "reply", "prompt", "verdict", "inline"),
    [
        ("content", Reply(content="la"), "<|assistant|>" + CODES.given, "continues", False),
        ("content", Reply(content="la"), CODES.given + "<|end|>", "restarts", False),
        ("content", Reply(reasoning="hm"), CODES.given, "misfiled", False),
        ("reasoning", Reply(reasoning="hm"), "<think>" + CODES.given + "\n", "continues", False),
        ("reasoning", Reply(content="la"), "<think>" + CODES.given, "continues", True),
    ],
)
def test_a_prompt_that_is_shown_decides(channel: Any, reply: Reply, prompt: str, verdict: str, inline: bool) -> None:
    trial = rendered(Trial(dialect="prefix", verdict="undecided", why=""), CODES, reply, channel, prompt)
    assert (trial.verdict, trial.inline) == (verdict, inline)


CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}


@pytest.mark.parametrize(
    ("dialect", "mark", "flags"),
    [
        ("continue_final_message", {}, CONTINUE),
        ("think_tag", {}, CONTINUE),
        ("prefix", {"prefix": True}, {}),
        ("prefix_typed", {"prefix": True}, {}),
        ("partial", {"partial": True}, {}),
        ("trailing", {}, {}),
    ],
)
def test_content_that_goes_on(dialect: Any, mark: Any, flags: Any) -> None:
    plain = in_content(dialect, "So \n")
    assert (plain.message, plain.flags) == ({"role": "assistant", "content": "So"} | mark, flags)
    assert in_content(dialect, "So", " Hm ", "inline").message["reasoning_content"] == " Hm "
    assert in_content(dialect, "So", "Hm", "reasoning_content+reasoning").message["reasoning_content"] == "Hm"
    assert in_content(dialect, "So", "Hm", "reasoning").message["reasoning"] == "Hm"
    typed = in_content(dialect, "So", "Hm", "typed").message
    assert typed["content"] == [THINKING | {"closed": True}, {"type": "text", "text": "So"}]


@pytest.mark.parametrize(
    ("dialect", "message", "flags"),
    [
        (
            "continue_final_message",
            {"content": "", "reasoning_content": "Hm"},
            CONTINUE | {"continue_final_message": "reasoning_content"},
        ),
        ("think_tag", {"content": "<think>\nHm"}, CONTINUE),
        ("prefix", {"content": "", "reasoning_content": "Hm", "prefix": True}, {}),
        ("prefix_typed", {"content": [THINKING | {"closed": False}], "prefix": True}, {}),
        ("trailing", {"content": "", "reasoning": "Hm"}, {}),
    ],
)
def test_reasoning_that_goes_on(dialect: Any, message: Any, flags: Any) -> None:
    prefill = in_reasoning(dialect, "Hm ", "<think>")
    assert prefill is not None
    assert (prefill.message, prefill.flags) == ({"role": "assistant"} | message, flags)
    assert opens_reasoning(dialect)
    assert dialect in TO_REASONING


def test_partial_mode_has_no_word_for_open_reasoning() -> None:
    assert in_reasoning("partial", "Hm", "<think>") is None
    assert not opens_reasoning("partial")
    assert "partial" in TO_CONTENT
    assert "partial" not in TO_REASONING
