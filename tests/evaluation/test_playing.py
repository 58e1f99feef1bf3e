"""Labelled text through the live path: the same verdicts however it is cut, nothing cut short, checks of both kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.core.config import Config
from guard.core.policy import Case
from guard.core.session import Session
from guard.errors import ConfigError, SessionError
from guard.evaluation.asking import Models
from guard.evaluation.cases import play as play_live
from guard.evaluation.driving import Drive, _Meter, _Metered
from guard.evaluation.judged import Played
from guard.evaluation.playing import DELTA, Player, by_characters, messages, supplied
from guard.evaluation.predictions import prediction
from guard.evaluation.rows import Row
from guard.server.request import evidence
from tests.evaluation.labelled import loaded, read, row, write

pytestmark = pytest.mark.usefixtures("installed")
PHRASES: dict[str, Any] = {
    "check": "phrase",
    "phrases": [{"text": "BAD"}, {"text": "DIM", "score": 0.6}, {"text": "FAINT", "score": 0.3}],
}
TEXT = "One. BAD two, said so. DIM three.\n\n- BAD four FAINT. Five"


def play(policy: Any, one: Row, shape: Any = "grounded", cut: Any = None) -> Played:
    with Player(policy, shape, cut) as player:
        return player.play(one)


def content(played: Played) -> Any:
    """All of it but what it cost."""
    line = prediction(played)
    return line | {"ms": len(line["ms"])}, [(s.start, s.end, s.score, s.flagged) for s in played.segments]


def test_a_text_plays_to_its_end_and_every_would_be_interruption_is_noted() -> None:
    found = prediction(play(loaded(PHRASES), row(TEXT)))
    ms = found.pop("ms")
    assert len(ms) == 5
    assert all(each >= 0 for each in ms)
    assert found == {
        "id": "r",
        "score": 1.0,
        "flagged": True,
        "spans": [
            {"start": 5, "end": 8, "score": 1.0, "check": "phrase"},
            {"start": 23, "end": 26, "score": 0.6, "check": "phrase"},
            {"start": 37, "end": 40, "score": 1.0, "check": "phrase"},
        ],
        "interrupted_at": 22,
        "interruptions": [22, 52],
    }


def test_segments_lose_the_white_space_before_them_and_keep_their_scores() -> None:
    segments = play(loaded(PHRASES), row(TEXT)).segments
    assert [TEXT[s.start : s.end] for s in segments] == [
        "One.", "BAD two, said so.", "DIM three.", "- BAD four FAINT.", "Five",
    ]  # fmt: skip
    assert [s.score for s in segments] == [0.0, 1.0, 0.6, 1.0, 0.0]
    assert [s.interrupts for s in segments] == [False, True, False, True, False]


@given(st.randoms(use_true_random=False))
def test_cutting_never_matters(random: Random) -> None:
    def cut(text: str) -> Iterable[str]:
        while text:
            size = random.randint(1, 9)
            yield text[:size]
            text = text[size:]

    policy = loaded(PHRASES, "shouting", "whispering")
    whole = content(play(policy, row(TEXT), cut=lambda text: [text]))
    assert content(play(policy, row(TEXT), cut=by_characters(1))) == whole
    assert content(play(policy, row(TEXT), cut=by_characters(DELTA))) == whole
    assert content(play(policy, row(TEXT), cut=cut)) == whole


@pytest.mark.parametrize("channel", ["reasoning", "content"])
def test_what_is_noted_is_what_live_traffic_is_interrupted_at(channel: Any) -> None:
    text = "One. BAD two. Three. DIM four. BAD five, said so."
    policy = loaded(PHRASES, interrupt={"cooldown_segments": 0})
    live = asyncio.run(play_live(policy, Case(name="c", channel=channel, text=text)))
    noted = play(policy, row(text), "steps" if channel == "reasoning" else "grounded")
    assert [made.claim.text.strip() for made in live] == [text[s.start : s.end] for s in noted.interruptions]
    assert len(live) == 2


def test_no_mode_and_no_budget_of_the_policy_stops_the_text() -> None:
    text = "BAD one. BAD two. BAD one. BAD three. BAD four. BAD five."
    many = play(loaded(PHRASES, interrupt={"max_per_response": 1, "at_limit": "stop"}, on_unscanned="stop"), row(text))
    shadow = play(loaded(PHRASES, mode="observe", watch={"content": {"release": "immediate"}}), row(text))
    assert len(many.interruptions) == len(shadow.interruptions) == 6
    assert content(many) == content(shadow)


def test_a_slow_check_answers_before_the_text_goes_on_and_says_the_same() -> None:
    slow, quick = (play(loaded(name), row(TEXT)) for name in ("whispering", "shouting"))
    assert [s.flagged for s in slow.segments] == [False, True, True, True, False]
    assert [(s.start, s.end, s.score) for s in slow.segments] == [(s.start, s.end, s.score) for s in quick.segments]
    assert not slow.past_deadline


def test_a_slow_check_may_miss_its_deadline_and_that_is_counted() -> None:
    late = play(loaded({"check": "dawdling", "deadline_ms": 1}), row("One. Two."))
    assert late.past_deadline == {"dawdling": 2}
    assert [h.status for s in late.segments for h in s.heard] == ["clean", "clean"]
    assert not play(loaded({"check": "dawdling", "deadline_ms": 2500}), row("One. Two.")).past_deadline


def test_a_slow_check_sees_the_turn_before_its_segment_and_says_what_it_spends() -> None:
    found = play(loaded("recalling"), row("One. Two. Three."))
    assert [s.score for s in found.segments] == [0.0, 0.04, 0.09]
    assert found.spent == {"recalling": 21}


def test_an_escalation_runs_only_on_what_was_flagged() -> None:
    policy = loaded("shouting", {"check": "whispering", "only_if": ["shouting"]})
    heard = [[h.check for h in s.heard] for s in play(policy, row("Fine. BAD one. Fine too.")).segments]
    assert heard == [["shouting"], ["shouting", "whispering"], ["shouting"]]


def test_a_check_that_raises_is_unscanned_and_the_rest_goes_on() -> None:
    segments = play(loaded("breaking", PHRASES), row("BAD.\nBAD two.")).segments
    assert [(h.check, h.status, h.why) for h in segments[0].heard] == [
        ("breaking", "unscanned", "error: RuntimeError"),
        ("phrase", "flagged", ""),
    ]
    assert [h.status for h in segments[1].heard] == ["clean", "flagged"]


def test_an_answer_that_is_no_findings_is_unscanned() -> None:
    (only,) = play(loaded("mumbling"), row("One.")).segments
    assert [(h.status, h.why) for h in only.heard] == [("unscanned", "error: TypeError")]


def test_a_check_sees_the_segments_that_stand_before_its_own() -> None:
    assert [s.score for s in play(loaded("building"), row("One. Two. Three.")).segments] == [0.0, 0.1, 0.2]


def test_a_score_at_the_policys_thresholds_reaches_them() -> None:
    policy = loaded({"check": "phrase", "flag_at": 0.3, "interrupt_at": 0.6, "phrases": PHRASES["phrases"]})
    segments = play(policy, row("FAINT one. DIM two. Three.")).segments
    assert [(s.flagged, s.interrupts, len(s.heard[0].flags)) for s in segments] == [
        (True, False, 1),
        (True, True, 1),
        (False, False, 0),
    ]


def test_the_context_is_evidence_and_the_question_is_the_users() -> None:
    one = row("It is so. It is not.", context="It is so.", question="Is it?")
    assert messages(one) == [{"role": "system", "content": "It is so."}, {"role": "user", "content": "Is it?"}]
    assert [(p.source, p.text) for p in supplied(one).passages] == [("evidence", "It is so."), ("user", "Is it?")]
    assert supplied(one).question == "Is it?"
    assert [s.flagged for s in play(loaded("reading"), one).segments] == [False, True]
    (alone,) = play(loaded("reading"), row("It is so.")).segments
    assert [(h.status, h.why) for h in alone.heard] == [("not_applicable", "no evidence")]


def test_steps_play_as_reasoning_and_the_first_flag_names_its_step(tmp_path: Path) -> None:
    steps = ["Fine.", "Also fine. BAD.", "BAD again."]
    rows = [{"id": n, "question": "q", "steps": steps[:n], "first_error": -1} for n in (1, 2, 3)]
    file = read("steps", write(tmp_path / "f.jsonl", rows))
    policy = loaded(PHRASES, watch={"reasoning": {"release": "immediate"}})
    with Player(policy, "steps") as player:
        lines = [prediction(player.play(one)) for one in file.rows]
    assert [line["first_error"] for line in lines] == [-1, 1, 1]
    assert lines[2]["spans"][1] == {"start": 22, "end": 25, "score": 1.0, "check": "phrase"}
    assert "first_error" not in prediction(play(loaded(PHRASES), row("BAD.")))


def test_an_empty_text_is_played_too() -> None:
    assert content(play(loaded(PHRASES), row(""))) == (
        {"id": "r", "score": 0.0, "flagged": False, "spans": [], "interrupted_at": None, "interruptions": [], "ms": 0},
        [],
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mode": "off"}, "'p' checks nothing"),
        ({"checks": []}, "'p' checks nothing"),
        ({"watch": {"reasoning": {}}}, "'p' does not watch content"),
    ],
)
def test_a_policy_that_looks_at_nothing_here_is_an_error(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Player(loaded(PHRASES, **fields), "grounded")


def test_a_session_that_never_ends_is_an_error() -> None:
    policy = loaded(PHRASES)
    config = Config(session="s", choice=0, policy=policy.policy, checks=policy.specs, count=len)
    with pytest.raises(SessionError):
        asyncio.run(Drive(Session(config), policy, evidence([])).run([]))


# Beside each other


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 9))
def test_rows_beside_each_other_come_out_as_one_after_the_other(random: Random, at_once: int) -> None:
    words = ("One.", "BAD two, said so.", "DIM three.", "Four five six.")
    made = [row(" ".join(random.choices(words, k=random.randint(0, 6))), id=str(number)) for number in range(12)]
    policy = loaded("whispering", "recalling", PHRASES)
    with Player(policy, "grounded") as player:
        alone = [player.play(one) for one in made]
    most = 0

    def watched() -> Iterable[Row]:
        nonlocal most
        for number, one in enumerate(made):
            most = max(most, number + 1 - len(beside))
            yield one

    beside: list[Played] = []
    with Player(policy, "grounded", models=Models(at_once=at_once)) as player:
        for played in player.play_all(watched()):
            beside += [played]  # one by one: what is pulled ahead is counted
    assert [content(one) for one in beside] == [content(one) for one in alone]
    assert [one.spent for one in beside] == [one.spent for one in alone]
    assert most <= at_once


def test_what_waits_costs_no_cpu_and_what_computes_does() -> None:
    made = [row("One. Two."), row("Three.")]
    with Player(loaded("dawdling"), "grounded", models=Models(at_once=2)) as player:
        first, second = player.play_all(made)
    assert all(segment.ms > 0 for segment in (*first.segments, *second.segments))


def test_leaving_in_the_middle_lets_go_of_what_plays() -> None:
    made = [row("One. Two.", id=str(number)) for number in range(6)]
    with Player(loaded("whispering"), "grounded", models=Models(at_once=3)) as player:
        assert next(player.play_all(made)).row == made[0]
        tasks = list(player._playing)
    assert len(tasks) == 2
    assert all(task.done() for task in tasks)


def test_a_check_that_waits_is_told_when_it_is_not_wanted_any_more() -> None:
    told: list[str] = []

    async def waits() -> tuple[()]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise
        return ()

    async def cancels() -> None:
        meter = _Meter(whole=False)

        async def metered() -> Any:
            return await _Metered(waits(), meter)

        task = asyncio.create_task(metered())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert meter.seconds >= 0

    asyncio.run(cancels())
    assert told == ["cancelled"]
