"""The scrape and the alert rules of deploy/prometheus, held against a live server and the real Prometheus."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.run import free_port
from tests.deploy.running import DEPLOY, get, named, program, read, samples, written
from tests.live.conftest import process, wait_for

pytestmark = pytest.mark.xdist_group("deploy")
RULES = DEPLOY / "prometheus/rules.yml"
UNIT_TESTS = Path(__file__).with_name("rules_test.yml")


def rules() -> list[dict[str, Any]]:
    return [rule for group in read(RULES)["groups"] for rule in group["rules"]]


def promtool(*words: str, stdin: str | None = None) -> None:
    tool = program("promtool", "apt-get install prometheus")
    done = subprocess.run([tool, *words], input=stdin, capture_output=True, text=True, cwd=RULES.parent, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_a_rule_is_one_that_guard_has(exposition: str) -> None:
    used = {name for rule in rules() for name in named(rule["expr"])}
    assert len(used) >= 6
    assert used <= samples(exposition)


def test_every_rule_says_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_promtool_takes_rules_and_configuration() -> None:
    promtool("check", "rules", "rules.yml")
    promtool("check", "config", "prometheus.yml")


def test_promtool_takes_what_the_server_exposes(exposition: str) -> None:
    promtool("check", "metrics", stdin=exposition)


def test_each_alert_fires_when_it_should_and_else_not() -> None:
    tried = {test["alertname"] for case in read(UNIT_TESTS)["tests"] for test in case["alert_rule_test"]}
    assert tried == {rule["alert"] for rule in rules()}
    promtool("test", "rules", str(UNIT_TESTS))


@pytest.fixture(scope="module")
def prometheus(live: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus that scrapes the live server, and a port nobody listens on, by our scrape and rules."""
    server = program("prometheus", "apt-get install prometheus")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = read(DEPLOY / "prometheus/prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    targets = [live.removeprefix("http://"), f"127.0.0.1:{free_port()}"]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = targets
    path = written(folder / "prometheus.yml", config)
    words = [
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with process([server, *words], folder / "log") as running:
        yield wait_for(lambda: _ready(f"http://127.0.0.1:{port}"), running, folder / "log")


def _ready(url: str) -> str | None:
    try:
        get(f"{url}/-/ready")
    except OSError:
        return None
    return url


def query(prometheus: str, expression: str) -> list[Any]:
    """An instant query's result."""
    said = json.loads(get(f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
    assert said["status"] == "success", said
    return list(said["data"]["result"])


def eventually(prometheus: str, expression: str) -> list[Any]:
    """An instant query's result, once there is one."""
    end = time.monotonic() + 60
    while not (found := query(prometheus, expression)):
        assert time.monotonic() < end, expression
        time.sleep(0.2)
    return found


def test_prometheus_scrapes_a_live_server(prometheus: str, live: str) -> None:
    (found,) = eventually(prometheus, 'guard_interruptions_total{check="phrase"}')
    assert found["metric"]["job"] == "guard"
    assert found["metric"]["instance"] == live.removeprefix("http://")
    assert int(found["value"][1]) >= 1


def test_an_alert_is_raised_for_a_process_that_is_gone_and_only_for_it(prometheus: str, live: str) -> None:
    # The one without an instance was pending until the first scrape.
    (found,) = eventually(prometheus, 'ALERTS{alertname="GuardDown", instance!=""}')
    assert found["metric"]["alertstate"] == "pending"
    assert found["metric"]["instance"] != live.removeprefix("http://")


def test_every_rule_is_loaded_and_evaluates(prometheus: str) -> None:
    eventually(prometheus, "prometheus_rule_group_last_evaluation_samples or vector(1)")
    for rule in rules():
        query(prometheus, rule["expr"])
    loaded = json.loads(get(f"{prometheus}/api/v1/rules"))["data"]["groups"][0]["rules"]
    assert {rule["name"] for rule in loaded} == {rule["alert"] for rule in rules()}
    assert {rule.get("lastError", "") for rule in loaded} == {""}
