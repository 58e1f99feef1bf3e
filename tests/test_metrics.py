"""What is counted: events and commands, each once, under configured names and closed sets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guard.core import events as ev
from guard.core.types import Claim, Closing, Interruption, Segment, Summary, Verdict
from guard.metrics import Metrics

SERVED = {"model": "m", "policy": "p"}
MADE = Interruption(
    id="s.0.1",
    choice=0,
    number=1,
    attempt=0,
    correct="interrupt",
    late=False,
    claim=Claim(channel="reasoning", start=0, end=3, text="One"),
    kept={},
    discarded={},
    put_in="No.",
    reason="",
    correction="",
    check="phrase",
    verdicts=(),
    delay=0,
    tokens_wasted=0,
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"guard_{name}", labels)


def test_interruptions_by_check_and_manner(metrics: Metrics) -> None:
    observer = metrics.observer("m", "p")
    observer.command(0, ev.Record(MADE))
    observer.command(1, ev.Record(replace(MADE, correct="retract", late=True)))
    for correct, late in (("interrupt", "false"), ("retract", "true")):
        assert value(metrics, "interruptions_total", **SERVED, check="phrase", correct=correct, late=late) == 1


def test_unscanned_and_held_too_long_and_left(metrics: Metrics) -> None:
    observer = metrics.observer("m", "p")
    for id_, check in ((0, "phrase"), (0, "slow"), (1, "slow"), (2, "slow"), (3, "slow")):
        segment = Segment(id=id_, channel="content", start=0, end=1, text="x", attempt=0)
        observer.command(0, ev.RunCheck(segment, check))
    observer.event(0, ev.Unchecked(0, "phrase", "unscanned", "deadline"))
    observer.event(0, ev.Checked(0, "slow"))
    observer.command(0, ev.DropChecks((2,)))
    observer.event(0, ev.HoldExpired(2))
    observer.event(0, ev.HoldExpired(2))
    observer.event(0, ev.Unchecked(1, "slow", "unscanned", "deadline"))  # held too long before: counted once
    observer.event(0, ev.Unchecked(3, "slow", "not_applicable", "no facts"))
    observer.event(0, ev.ClientLeft())
    assert value(metrics, "unscanned_total", check="phrase", why="deadline") == 1
    assert value(metrics, "unscanned_total", check="slow", why="hold") == 1
    assert value(metrics, "unscanned_total", check="slow", why="deadline") is None
    assert value(metrics, "unscanned_total", check="slow", why="no facts") is None
    assert value(metrics, "client_left_total", **SERVED) == 1


def test_the_sum_of_a_finished_choice(metrics: Metrics) -> None:
    verdicts = (
        Verdict(segment=0, check="phrase", version="1", status="clean"),
        Verdict(segment=1, check="phrase", version="1", status="flagged", disposition="interrupted"),
    )
    summary = Summary(
        choice=0,
        finish_reason="stop",
        segments=(),
        verdicts=verdicts,
        text={},
        interruptions=1,
        discarded_tokens=7,
        unscanned=0,
    )
    closings = (
        Closing(id="s.0.1", outcome="corrected", continuation="reask", followed=""),
        Closing(id="s.0.2", outcome="abandoned", continuation=None, followed=""),
    )
    metrics.observer("m", "p").command(0, ev.Finish("stop", closings=closings, summary=summary))
    assert value(metrics, "outcomes_total", **SERVED, outcome="corrected", continuation="reask") == 1
    assert value(metrics, "outcomes_total", **SERVED, outcome="abandoned", continuation="") == 1
    assert value(metrics, "discarded_tokens_total", **SERVED) == 7
    assert value(metrics, "verdicts_total", check="phrase", status="clean", disposition="none") == 1
    assert value(metrics, "verdicts_total", check="phrase", status="flagged", disposition="interrupted") == 1


def test_check_times(metrics: Metrics) -> None:
    metrics.observer("m", "p").examined("phrase", 0.002)
    assert value(metrics, "check_seconds_count", check="phrase") == 1
    assert value(metrics, "check_seconds_sum", check="phrase") == pytest.approx(0.002)


def test_two_servers_in_one_process_do_not_mix(metrics: Metrics) -> None:
    metrics.observer("m", "p").event(0, ev.ClientLeft())
    assert value(Metrics(), "client_left_total", **SERVED) is None
