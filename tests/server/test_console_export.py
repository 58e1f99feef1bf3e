"""The log as a download: the rows that the command line writes, made while they are read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from guard import registry
from guard.core.records import InterruptionRecord
from guard.harvest.sources import FromStore
from tests.server.live import Live, answer, eventually, serving, settings


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Three interruptions, the oldest confirmed, the newest rejected."""
    with serving(settings(tmp_path_factory.mktemp("log"))) as live:
        for number in range(3):
            second = [{"reasoning": " Then."}, {"content": "Well."}, {"finish": "stop"}]
            live.say(answer([{"reasoning": f"First. BAD <b>{number}</b>."}], second))
            live.stream(user=f"user {number}")
        eventually(lambda: len(live.sessions()) == 3)
        first, _, last = (record.interruption.id for record in live.interruptions())
        for key, ruling in ((first, "confirmed"), (last, "rejected")):
            body = {"subject": key, "ruling": ruling, "reviewer": "ann"}
            assert live.client.post("/guard/api/judgements", json=body).status_code == 200
        yield live


def export(live: Live, **parameters: Any) -> httpx.Response:
    return live.client.get("/guard/api/export", params=parameters)


def rows(live: Live, **parameters: Any) -> list[dict[str, Any]]:
    response = export(live, **parameters)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.content.splitlines()]


def wanted(live: Live, format_: str = "prompt_completion", unreviewed: bool = False) -> list[dict[str, Any]]:
    exporter = registry.exporter(format_)
    made = exporter.rows(exporter.select(live.gateway.store.iter_interruptions(), unreviewed=unreviewed))
    return [json.loads(json.dumps(row)) for row in made]


@pytest.mark.parametrize(
    ("format_", "unreviewed", "count"),
    [("prompt_completion", False, 1), ("prompt_completion", True, 2), ("clean", False, 1), ("clean", True, 1)],
)
def test_the_rows_are_those_of_the_exporter(log: Live, format_: str, unreviewed: bool, count: int) -> None:
    got = rows(log, format=format_, unreviewed=str(unreviewed).lower())
    assert got == wanted(log, format_, unreviewed)
    assert len(got) == count


def test_what_can_be_had_is_told(log: Live) -> None:
    told = log.client.get("/guard/api/state").json()["formats"]
    assert {"prompt_completion", "clean"} <= set(told)
    for name in registry.names("exporters"):
        assert (export(log, format=name).status_code == 200) == (name in told), name


def test_it_is_a_download(log: Live) -> None:
    response = export(log)
    assert response.headers["content-disposition"] == 'attachment; filename="prompt_completion.jsonl"'
    assert response.headers["content-type"].startswith("application/jsonl")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "content-length" not in response.headers  # nobody counts what is not made yet


def test_filters_are_those_of_the_list(log: Live) -> None:
    assert len(rows(log, unreviewed="true", user="user 1")) == 1
    assert rows(log, unreviewed="true", user="user 2") == []  # a reviewer rejected it
    assert rows(log, policy="nope") == []
    assert len(rows(log, unreviewed="true", limit=1)) == 2  # a page's, not a download's


@pytest.mark.parametrize(
    ("parameters", "named", "told"),
    [
        ({"format": "nope"}, "format", "prompt_completion"),
        ({"format": "../../x"}, "format", "prompt_completion"),
        ({"format": "distillation"}, "format", "tokenizer"),
        ({"format": ""}, None, ""),
        ({"unreviewed": "perhaps"}, "unreviewed", "boolean"),
        ({"since": "x"}, "since", "number"),
    ],
)
def test_what_cannot_be_written_is_said(log: Live, parameters: dict[str, str], named: str | None, told: str) -> None:
    response = export(log, **parameters)
    if named is None:  # a parameter that is empty is not given
        assert response.status_code == 200
        return
    assert response.status_code == 400
    assert response.json()["error"]["param"] == named
    assert told in response.json()["error"]["message"]


def test_rows_are_made_as_they_are_read_and_off_the_loop(log: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless log: what was made is bounded, and the server answers others meanwhile."""
    (row,) = wanted(log)
    record = next(each for each in log.gateway.store.iter_interruptions() if each.review == "confirmed")
    made, threads = 0, set()

    def endless(_: FromStore) -> Iterator[InterruptionRecord]:
        nonlocal made
        while made < 100_000:
            made += 1
            threads.add(threading.current_thread().name)
            messages = [{"role": "user", "content": f"question {made}"}]
            yield replace(record, provenance=replace(record.provenance, messages=messages))

    monkeypatch.setattr(FromStore, "interruptions", endless)
    with log.client.stream("GET", "/guard/api/export") as response:
        line = next(response.iter_lines())
        assert json.loads(line)["id"] == row["id"]
        assert log.client.get("/healthz").status_code == 200
        assert log.client.get("/guard/api/interruptions").status_code == 200
    assert made < 100_000
    eventually(lambda: log.client.get("/healthz").status_code == 200)
    assert not any("MainThread" in name or "(run)" in name for name in threads)


def test_what_reviewers_say_guard_missed_is_not_learnt(log: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `guard export`: a target ends before it."""
    (before,) = rows(log)
    turn = before["id"].rpartition(".")[0]
    monkeypatch.setattr(FromStore, "missed", lambda _: {turn: [" Then."]})
    (after,) = rows(log)
    assert before["assistant"]["reasoning"].endswith(" Then.")
    assert after["assistant"]["reasoning"] == before["assistant"]["reasoning"].removesuffix(" Then.")
