"""Health, readiness, metrics, models, the mode and per-request policies, over real HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from guard.errors import ConfigError
from guard.server.app import create_app
from tests.server.live import Live, answer, eventually, policy_file, serving, settings

WRONG = answer([{"reasoning": "One. BAD two. Three."}, {"content": "Yes."}, {"finish": "stop"}], cut=2)


def test_alive_and_ready(live: Live) -> None:
    assert live.client.get("/healthz").json() == {"ok": True}
    ready = live.client.get("/readyz")
    assert ready.status_code == 200
    body = ready.json()
    assert (body["ok"], body["mode"], body["store"]) == (True, "supervise", {"ok": True})
    assert body["models"] == {"m": {"ok": True, "continuation": "text_exact"}}
    assert set(body["policies"]) == {"test", "off", "observe", "strict"}


def test_a_broken_store_is_not_ready_but_alive_and_serves(tmp_path: Path) -> None:
    with serving(settings(tmp_path, [WRONG])) as live:
        database = live.gateway.store.database
        with pytest.MonkeyPatch.context() as patch:
            for name in ("ping", "add_interruption", "add_session", "want_clean", "close_interruptions"):
                patch.setattr(database, name, _broken)
            ready = live.client.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["store"] == {"ok": False, "error": "no disk"}
            assert live.client.get("/healthz").status_code == 200
            assert live.stream().text() == "Yes."
            eventually(lambda: live.metric("guard_store_errors_total", record="session") == 1)
            assert live.metric("guard_store_errors_total", record="interruption") == 1
            assert live.client.get("/guard/").status_code == 200
            patch.setattr(database, "count", _broken)
            response = live.client.get("/guard/api/interruptions")
            assert response.status_code == 500
            assert response.json()["error"]["code"] == "StoreError"


def _broken(*_: object) -> None:
    from guard.errors import StoreError

    raise StoreError("no disk")


def test_models_are_listed_as_openai_lists_them(live: Live) -> None:
    listed = live.client.get("/v1/models").json()
    assert listed == {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "guard"}]}


# Metrics

LABELS = {
    "guard_requests": {"model", "policy", "status"},
    "guard_running": set(),
    "guard_interruptions": {"model", "policy", "check", "correct", "late"},
    "guard_outcomes": {"model", "policy", "check", "outcome", "continuation"},
    "guard_verdicts": {"check", "status", "disposition"},
    "guard_unscanned": {"check", "why"},
    "guard_forwarded": {"model", "route", "status"},
    "guard_discarded_tokens": {"model", "policy"},
    "guard_supervisor_tokens": {"model", "policy", "check"},
    "guard_counterfactuals": {"model", "policy", "result"},
    "guard_client_left": {"model", "policy"},
    "guard_store_errors": {"record"},
    "guard_store_waiting": set(),
    "guard_store_seconds": {"le"},
    "guard_checks_running": {"check"},
    "guard_held_seconds": {"model", "policy", "le"},
    "guard_check_seconds": {"check", "le"},
    "guard_first_delta_seconds": {"model", "policy", "le"},
    "guard_first_emit_seconds": {"model", "policy", "le"},
    "guard_response_seconds": {"model", "policy", "le"},
}
VALUES = {
    "model": {"m"},
    "policy": {"test", "off", "observe", "strict"},
    "status": {"200", "clean", "flagged", "unscanned", "not_applicable", "error", "client_left", "502"},
    "check": {
        *("phrase", "arithmetic", "knowledge", "contradiction", "fields", "citation", "tool_arguments", "grounding"),
    },
    "correct": {"interrupt", "retract", "restart"},
    "late": {"true", "false"},
    "outcome": {"corrected", "relapsed", "abandoned"},
    "continuation": {"text_exact", "tool_answers", ""},
    "disposition": {"none", "interrupted", "observed", "late", "limited"},
    "record": {"interruption", "session"},
}


def test_metrics_are_named_and_labelled_from_closed_sets(live: Live) -> None:
    live.say(WRONG)
    live.stream()
    live.post({"x-guard-policy": "observe"}, user="someone", messages=[{"role": "user", "content": "private"}])
    live.post(model="invented")
    live.post(guard={"policy": "invented"})
    eventually(lambda: live.metric("guard_requests_total", model="m", policy="observe", status="200"))
    response = live.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    families = {f.name: f for f in text_string_to_metric_families(response.text) if not f.name.endswith("_created")}
    assert set(families) == set(LABELS)
    for name, family in families.items():
        for sample in family.samples:
            assert set(sample.labels) <= LABELS[name]
            for label, value in sample.labels.items():
                assert value in VALUES.get(label, {value})
    for private in ("invented", "private", "someone", "BAD"):
        assert private not in response.text


def test_interruptions_and_outcomes_are_counted(live: Live) -> None:
    live.say(WRONG)
    labels = {"model": "m", "policy": "test", "check": "phrase", "correct": "interrupt", "late": "false"}
    before = live.metric("guard_interruptions_total", **labels)
    ending = {"model": "m", "policy": "test", "check": "phrase", "outcome": "corrected", "continuation": "text_exact"}
    ended = live.metric("guard_outcomes_total", **ending)
    live.stream()
    assert live.metric("guard_interruptions_total", **labels) == before + 1
    assert live.metric("guard_outcomes_total", **ending) == ended + 1


# Policies


def test_a_policy_is_chosen_by_model_name_header_or_body(live: Live) -> None:
    live.say(WRONG)
    off = "One. BAD two. Three."
    assert live.stream(model="m@off").text("reasoning") == off
    assert live.stream({"x-guard-policy": "off"}).text("reasoning") == off
    assert live.stream(guard={"policy": "off"}).text("reasoning") == off
    assert live.stream({"x-guard-policy": "off"}, model="m@strict", guard={"policy": "test"}).events
    assert not live.stream({"x-guard-policy": "off"}, model="m@test").events


def test_a_models_own_policy_wins_over_the_default(tmp_path: Path) -> None:
    said = [{"name": "m", "backend": "scripted", "answers": [WRONG], "policy": "off"}]
    with serving(settings(tmp_path, models=said)) as live:
        assert live.stream().events == []
        assert live.stream(model="m@test").events


def test_the_mode_overrides_every_policy_at_once(live: Live) -> None:
    live.say(WRONG)
    for mode, events, flagged in (("observe", 0, True), ("off", 0, False), ("supervise", 1, True)):
        assert live.client.post("/guard/api/mode", json={"mode": mode}).json() == {"mode": mode}
        assert live.client.get("/readyz").json()["mode"] == mode
        before = live.metric("guard_verdicts_total", check="phrase", status="flagged", disposition="observed")
        heard = live.stream(guard={"policy": "test"})
        assert len(heard.events) == events
        if not events:
            assert heard.text("reasoning") == "One. BAD two. Three."
            after = live.metric("guard_verdicts_total", check="phrase", status="flagged", disposition="observed")
            assert after == before + flagged
    wrongs: list[Any] = [{"mode": "on"}, {}, {"mode": "off", "x": 1}, []]
    for wrong in wrongs:
        response = live.client.post("/guard/api/mode", json=wrong)
        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"
    assert live.gateway.mode == "supervise"


def test_two_policies_of_one_name_are_refused(tmp_path: Path) -> None:
    mine = policy_file(tmp_path, "default")
    with pytest.raises(ConfigError, match="named 'default' too"):
        create_app(settings(tmp_path, policies={"default": mine, "allowed": ["default"]}))
    create_app(settings(tmp_path, policies={"default": mine, "allowed": [mine, "off"]}))


# The log


def test_the_log_is_paged_and_its_parameters_checked(live: Live) -> None:
    live.say(WRONG)
    for _ in range(3):
        live.stream()
    first = live.client.get("/guard/api/interruptions", params={"limit": 2}).json()["data"]
    rest = live.client.get("/guard/api/interruptions", params={"limit": 2, "before": first[-1]["id"]}).json()["data"]
    assert len(first) == 2
    assert rest
    assert not {r["id"] for r in first} & {r["id"] for r in rest}
    for wrong in ({"limit": 0}, {"limit": 1001}, {"limit": "many"}):
        assert live.client.get("/guard/api/interruptions", params=wrong).status_code == 400
    response = live.client.get("/guard/api/interruptions/nope")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
