"""Every expression of deploy/grafana/guard.json, held against a live server's metrics and the parser of Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.running import DEPLOY, named, program, read, samples, written

pytestmark = pytest.mark.xdist_group("deploy")
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/guard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
CHOSEN = {"$__rate_interval": "5m", "$model": ".*", "$policy": ".*"}


def chosen(expression: str) -> str:
    """The expression as Grafana sends it, with everything chosen."""
    for name, value in CHOSEN.items():
        expression = expression.replace(name, value)
    return expression


def test_every_metric_of_a_panel_is_one_that_guard_has(exposition: str) -> None:
    used = {name for _, expression in TARGETS for name in named(expression)}
    assert len(used) >= 12
    assert used <= samples(exposition)


def test_every_metric_that_guard_has_is_on_a_panel(exposition: str) -> None:
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for _, expression in TARGETS for name in named(expression)}
    had = set(re.findall(r"^# TYPE (guard_\w+) (?:counter|gauge|histogram)$", exposition, re.M))
    assert {name for name in had if not name.endswith("_created")} <= used


def test_every_variable_is_declared_and_names_a_label_that_is_there(exposition: str) -> None:
    for _, expression in TARGETS:
        assert "$" not in chosen(expression)
    assert {name.removeprefix("$") for name in CHOSEN} - {"__rate_interval"} == set(VARIABLES) - {"datasource"}
    for name in ("model", "policy"):
        assert VARIABLES[name]["definition"] == f"label_values(guard_requests_total, {name})"
    assert 'guard_requests_total{model="m",policy="test",status="200"} 1.0' in exposition


def test_prometheus_parses_every_expression(tmp_path: Path) -> None:
    tool = program("promtool", "apt-get install prometheus")
    rules = [{"record": f"panel:{number}", "expr": chosen(e)} for number, (_, e) in enumerate(TARGETS)]
    path = written(tmp_path / "rules.yml", {"groups": [{"name": "panels", "rules": rules}]})
    done = subprocess.run([tool, "check", "rules", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(TARGETS)} rules found" in done.stdout


def test_it_can_be_imported_anywhere() -> None:
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"
    sources = [panel["datasource"] for panel in PANELS] + [t["datasource"] for p in PANELS for t in p["targets"]]
    assert {(source["type"], source["uid"]) for source in sources} == {("prometheus", "${datasource}")}
    assert "id" not in DASHBOARD  # a number that another Grafana gave it


def test_panels_have_places_of_their_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(x < 24 for x, _ in cells)


def test_compose_gives_grafana_this_dashboard_and_a_source_for_it() -> None:
    compose = DEPLOY / "compose"
    provider = read(compose / "grafana/provisioning/dashboards/guard.yaml")["providers"][0]
    mounts = read(compose / "compose.yaml")["services"]["grafana"]["volumes"]
    assert f"../grafana:{provider['options']['path']}:ro" in mounts
    (source,) = read(compose / "grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
