"""What is counted: events and commands, each once, under configured names and closed sets; over one process or two."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from guard import counting
from guard import metrics as module
from guard.core import events as ev
from guard.core.types import Claim, Closing, Interruption, Segment, Summary, Verdict
from guard.errors import ConfigError
from guard.metrics import Metrics
from tests.server.live import BAD, QUESTION, Live, answer, eventually, policy_file, serving, settings

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


def segment(id_: int) -> Segment:
    return Segment(id=id_, channel="content", start=0, end=1, text="x", attempt=0)


def test_unscanned_and_held_too_long_and_left(metrics: Metrics) -> None:
    observer = metrics.observer("m", "p")
    for id_, check in ((0, "phrase"), (0, "slow"), (1, "slow"), (2, "slow"), (3, "slow")):
        observer.command(0, ev.RunCheck(segment(id_), check))
    observer.event(0, ev.Unchecked(0, "phrase", "unscanned", "deadline"))
    observer.event(0, ev.Checked(0, "slow"))
    observer.command(0, ev.DropChecks((2,)))
    observer.event(0, ev.HoldExpired(2))
    observer.event(0, ev.HoldExpired(2))
    observer.event(0, ev.Unchecked(1, "slow", "unscanned", "deadline"))  # held too long before: counted once
    observer.event(0, ev.Unchecked(3, "slow", "not_applicable", "no facts"))
    observer.event(0, ev.ClientLeft())
    observer.event(1, ev.ClientLeft())  # one client, however many choices it asked for
    assert value(metrics, "unscanned_total", check="phrase", why="deadline") == 1
    assert value(metrics, "unscanned_total", check="slow", why="hold") == 1
    assert value(metrics, "unscanned_total", check="slow", why="deadline") is None
    assert value(metrics, "unscanned_total", check="slow", why="no facts") is None
    assert value(metrics, "client_left_total", **SERVED) == 1


def test_the_sum_of_a_finished_choice(metrics: Metrics) -> None:
    verdicts = (
        Verdict(segment=0, check="phrase", version="1", status="clean"),
        Verdict(segment=1, check="phrase", version="1", status="flagged", disposition="interrupted"),
        Verdict(segment=2, check="slow", version="1", status="unscanned", why="after_tool_calls"),
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
    observer = metrics.observer("m", "p")
    observer.command(0, ev.Record(MADE))
    observer.command(0, ev.Finish("stop", closings=closings, summary=summary))
    ended = {"outcome": "corrected", "continuation": "reask"}
    assert value(metrics, "outcomes_total", **SERVED, check="phrase", **ended) == 1
    ended = {"outcome": "abandoned", "continuation": ""}
    assert value(metrics, "outcomes_total", **SERVED, check="", **ended) == 1
    assert value(metrics, "unscanned_total", check="slow", why="after_tool_calls") == 1
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


def test_bounds_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("metrics.buckets_s [1, 1] does not rise")):
        Metrics([1, 1])


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("deadline", "deadline"),
        ("hold", "hold"),
        ("error: ValueError", "error: ValueError"),
        ("error: UpstreamTimeout", "error: UpstreamTimeout"),
        ("error: Made", "error: other"),
        ("no facts about Ada", "error: other"),
    ],
)
def test_why_is_from_a_closed_set(why: str, told: str) -> None:
    assert counting.reason(why) == told


@given(st.text())
def test_no_text_widens_the_closed_set(why: str) -> None:
    known = {"deadline", "hold", "after_tool_calls", "route", "error: other"}
    told = counting.reason(why)
    assert told in known or told.removeprefix("error: ") in counting._errors()


STRETCHES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple))


@given(STRETCHES)
def test_what_stands_still_twice_at_a_time_counts_once(stretches: list[Any]) -> None:
    covered = {second for start, end in stretches for second in range(start, end)}
    assert counting._together(stretches) == len(covered)


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["run", "checked", "unscanned", "hold", "drop", "finish"]),
        st.integers(0, 1),
        st.integers(0, 3),
        st.sampled_from(["a", "b"]),
    ),
    max_size=30,
)


@given(COMMANDS)
def test_no_check_runs_once_all_choices_are_over(steps: list[tuple[str, int, int, str]]) -> None:
    metrics, asked = Metrics(), set()
    observer = metrics.observer("m", "p")
    for what, choice, id_, check in steps:
        if what == "run" and (choice, id_, check) not in asked:  # a check is asked about a segment once
            asked.add((choice, id_, check))
            observer.command(choice, ev.RunCheck(segment(id_), check))
        elif what == "checked":
            observer.event(choice, ev.Checked(id_, check))
        elif what == "unscanned":
            observer.event(choice, ev.Unchecked(id_, check, "unscanned", "deadline"))
        elif what == "hold":
            observer.event(choice, ev.HoldExpired(id_))
        elif what == "drop":
            observer.command(choice, ev.DropChecks((id_,)))
        elif what == "finish":
            observer.command(choice, ev.Finish("stop"))
        running = [value(metrics, "checks_running", check=name) or 0 for name in ("a", "b")]
        assert min(running) >= 0
    for choice in (0, 1):
        observer.command(choice, ev.Finish("stop"))
    assert [value(metrics, "checks_running", check=name) or 0 for name in ("a", "b")] == [0, 0]
    unscanned = [value(metrics, "unscanned_total", check=c, why=w) or 0 for c in "ab" for w in ("deadline", "hold")]
    assert sum(unscanned) <= len(asked)


# What is documented, and a live server

KINDS = {"counter", "gauge", "histogram"}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Kind and labels by name, from the table in the module's docstring."""
    rows = [line.split(None, 2) for line in (module.__doc__ or "").splitlines() if line.startswith("guard_")]
    return {row[0]: (row[1], set(filter(None, "".join(row[2:]).replace(" ", "").split(",")))) for row in rows}


def test_the_table_is_what_there_is(metrics: Metrics) -> None:
    families = {family.name: family for family in metrics.registry.collect()}
    table = documented()
    assert set(table) == set(families)
    instruments = [x for x in vars(metrics).values() if hasattr(x, "_labelnames")]
    assert {x._name: (x._type, set(x._labelnames)) for x in instruments} == table
    assert {kind for kind, _ in table.values()} == KINDS


JUDGE = {"check": "judge", "deadline_ms": 800}
WRONG = answer(
    [{"reasoning": "One. BAD two. Gone. "}, {"content": "So it is."}, {"finish": "stop"}],
    [{"reasoning": " Right."}, {"content": "It is GOOD."}, {"finish": "stop"}],
    when="wrong",
)
SLOW = answer([{"content": "Ada was born in Kargate. Then"}, {"wait_ms": 30_000}, {"content": "Never."}], when="slow")
UNSURE = '{"verdict": "supported", "score": 0, "quote": "", "reason": "", "correction": ""}'


@contextmanager
def everything(folder: Path) -> Iterator[Live]:
    """A server that has all parts: two checks, of which one asks a slow supervisor, and a model that is far away."""
    (folder / "policy").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    checks = [{"check": "phrase", "phrases": [BAD]}, JUDGE]
    policy = policy_file(folder / "policy", checks=checks, record={"counterfactual": 1.0})
    config = settings(
        folder,
        models=[
            {"name": "m", "backend": "scripted", "answers": [WRONG, SLOW]},
            {"name": "far", "base_url": closed},
        ],
        supervisor={"backend": "scripted", "answers": [answer([{"wait_ms": 1500}, {"content": UNSURE}])]},
        policies={"default": policy, "allowed": ["off"]},
        metrics={"buckets_s": [0.001, 0.25, 8]},
    )
    with serving(config) as live:
        yield live


def told(live: Live) -> set[str]:
    """The metrics that `/metrics` has more than nothing of."""
    families = text_string_to_metric_families(live.client.get("/metrics").text)
    return {family.name for family in families if any(s.value > 0 for s in family.samples if "_created" not in s.name)}


def ask(live: Live, text: str, evidence: bool = False) -> bytes:
    """A request as it goes over the wire."""
    body: dict[str, Any] = {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}
    if evidence:
        body["guard"] = {
            "evidence": ["Ada was born in Brengate. " + "The town lies on the river Oss, in the north of Ostria. " * 4]
        }
    raw = json.dumps(body).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(raw), raw)


def test_a_live_server_exercises_every_metric(tmp_path: Path) -> None:
    with everything(tmp_path) as live:
        host, _, port = live.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(ask(live, "slow", evidence=True))
            eventually(lambda: {"guard_running", "guard_checks_running"} <= told(live))
        seen = {"guard_running", "guard_checks_running"}
        live.client.post("/v1/embeddings", json={"model": "far", "input": "x"})
        with sqlite3.connect(tmp_path / "guard.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")  # the log must wait
            with socket.create_connection((host, int(port))) as client:
                client.sendall(ask(live, "wrong", evidence=True))
                eventually(lambda: "guard_store_waiting" in told(live))
                other.execute("ROLLBACK")
                heard = b""
                while b"[DONE]" not in heard:
                    heard += client.recv(65536)
            seen |= {"guard_store_waiting"}
            eventually(lambda: "guard_counterfactuals" in told(live))
            for (table,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                if table in ("interruption", "segment"):
                    other.execute(f"DROP TABLE {table}")
        live.client.post("/v1/chat/completions", json={"model": "m", "messages": QUESTION, "stream": True})
        live.client.post("/v1/chat/completions", content=ask(live, "wrong").partition(b"\r\n\r\n")[2])
        eventually(lambda: "guard_store_errors" in told(live))
        assert seen | told(live) == set(documented())
        bounds = re.findall(r'guard_held_seconds_bucket{le="([^"]+)"', live.client.get("/metrics").text)
        assert set(bounds) == {"0.001", "0.25", "8.0", "+Inf"}
        held = live.metric("guard_held_seconds_sum", model="m", policy="test")
        whole = live.metric("guard_response_seconds_sum", model="m", policy="test")
        assert 0 < held < whole


# Several processes

WORKER = """
import sys
from guard.core import events as ev
from guard.core.types import Segment
from guard.metrics import Metrics
metrics, times = Metrics(), int(sys.argv[1])
for _ in range(times):
    metrics.requests.labels("m", "p", "200").inc()
    metrics.check_timer("phrase").observe(0.002)
    metrics.running.inc()
    observer = metrics.observer("m", "p")
    observer.command(0, ev.RunCheck(Segment(id=0, channel="content", start=0, end=1, text="x", attempt=0), "phrase"))
print("counted", flush=True)
sys.stdin.readline()
"""
READER = """
import sys
from prometheus_client import generate_latest
from guard.metrics import Metrics, forget_process
for pid in sys.argv[1:]:
    forget_process(int(pid))
print(generate_latest(Metrics().collected()).decode())
"""


def test_the_counts_of_two_processes_add_up(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def read(*ended: int) -> dict[str, float]:
        command = [sys.executable, "-c", READER, *map(str, ended)]
        text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        named = {f"{s.name}{sorted(s.labels.items())}": s.value for s in samples}
        assert len(named) == len(samples), "a sample of each process, where one of both was asked for"
        return {s.name: s.value for s in samples if s.labels.get("le", "+Inf") == "+Inf"}

    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(n)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in (2, 3)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "counted\n"
        both = read()
        assert (both["guard_requests_total"], both["guard_check_seconds_count"]) == (5, 5)
        assert both["guard_check_seconds_sum"] == pytest.approx(0.01)
        assert (both["guard_running"], both["guard_checks_running"]) == (5, 5)
        workers[0].communicate("")
        one = read(workers[0].pid)
        assert (one["guard_requests_total"], one["guard_running"], one["guard_checks_running"]) == (5, 3, 3)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
