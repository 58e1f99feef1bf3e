"""The benchmark works: a few answers through the mock and guard, checked byte for byte. Nothing is timed."""

from dataclasses import replace

import pytest

from tests.bench import run
from tests.bench.load import Answer, Checker, Plan, Stats, load
from tests.bench.mock_upstream import events

PLAN = Plan(streams=2, concurrency=2, chunks=45)


async def test_answers_through_guard_are_the_upstreams() -> None:
    with run.running(["direct", "guard"]) as targets:
        for target in targets:
            for plan in (PLAN, replace(PLAN, stamp=True, delay=1)):
                for reasoning in (True, False):
                    report = await load(replace(plan, url=target.url, reasoning=reasoning, pid=target.pid))
                    assert (report["ok"], report["failed"], report["errors"]) == (2, 0, {}), target.name
                    assert report["identical"] == 2 or (target.name == "guard" and not reasoning)


def checked(body: bytes) -> Stats:
    stats = Stats()
    Checker(PLAN, stats)(Answer(0.0, bytearray(body), [len(body)], [1.0], status=200))
    return stats


def test_the_upstreams_own_body_passes() -> None:
    stats = checked(b"".join(events(45)))
    assert (stats.ok, stats.failed, stats.identical) == (1, 0, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b" model", b" Model"),
        (b'"content":" model"', b'"reasoning_content":" model"'),
        (b'"choices"', b'"guard":{},"choices"'),
        (b"data: [DONE]\n\n", b""),
    ],
)
def test_a_changed_answer_fails(before: bytes, after: bytes) -> None:
    body = b"".join(events(45))
    assert before in body
    stats = checked(body.replace(before, after, 1))
    assert (stats.ok, stats.failed, stats.identical) == (0, 1, 0)


@pytest.mark.parametrize("name", list(run.SCENARIOS))
def test_a_summary_becomes_a_table(name: str) -> None:
    report = {
        "ok": 2,
        "failed": 0,
        "identical": 2,
        "errors": {},
        "cpu_us_per_chunk": 30.0,
        "cpu_us_per_stream": 60.0,
        "latency_p50_ms": None,
        "latency_p99_ms": None,
        "ttft_p50_ms": 1.0,
        "ttft_p99_ms": 2.0,
        "chunks_per_s": 10,
        "streams_per_s": 1.0,
        "cpu_util": 0.5,
        "rss_mib": 50.0,
    }
    dear = report | {"cpu_us_per_chunk": 300.0}
    rows = run.summary(name, {"nginx": [report], "guard": [dear]}, "nginx")
    assert "| guard |" in run.table(name, rows, "nginx")
    lines, good = run.judgement({name: rows}, "nginx")
    assert good
    assert lines == (["paced64 guard: 10.00 x nginx (goal missed: <= 4)"] if name == "paced64" else [])


def test_a_wrong_answer_is_a_failure() -> None:
    rows = {"paced64": {"guard": {"failed": 1, "ok": 1, "errors": {"text": 1}, "ratio": None}}}
    assert run.judgement(rows, "nginx") == (["FAIL paced64 guard: wrong answers: {'text': 1}"], False)
