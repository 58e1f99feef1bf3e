"""What deploy/README.md tells to write: its nginx in front of a live guard, its YAML, its table of alerts."""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from guard.settings import validated
from tests.bench.run import free_port, nginx_binary
from tests.deploy.running import DEPLOY, chat, events, get, read
from tests.live.conftest import process, wait_for

pytestmark = pytest.mark.xdist_group("deploy")
README = (DEPLOY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def test_every_alert_is_in_the_table_and_every_file_is_there() -> None:
    told = re.findall(r"^\| `(Guard\w+)` \|", README, re.M)
    (group,) = read(DEPLOY / "prometheus/rules.yml")["groups"]
    assert told == [rule["alert"] for rule in group["rules"]]
    for path in ("docker/install.sh", "compose/README.md", "helm/guard/values.yaml", "grafana/guard.json"):
        assert (DEPLOY / path).is_file()


def test_the_values_are_values_of_the_chart() -> None:
    values = yaml.safe_load(blocks("yaml")[0])
    known = read(DEPLOY / "helm/guard/values.yaml")
    assert set(values) <= set(known)
    validated(known["config"] | values["config"], "the README")
    assert all(json.loads(line) for line in values["files"]["facts.jsonl"].splitlines())


def test_the_adapter_serves_what_the_chart_scales_by() -> None:
    (rule,) = yaml.safe_load(blocks("yaml")[1])["rules"]["custom"]
    assert rule["name"] == {"as": "guard_running"}
    assert rule["seriesQuery"].startswith("guard_running{")


@pytest.fixture(scope="module")
def behind_nginx(live: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The README's nginx in front of the live server; its address."""
    nginx = nginx_binary()
    if nginx is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    (folder / "logs").mkdir()
    server = (
        blocks("nginx")[0].replace("listen 8080", f"listen 127.0.0.1:{port}").replace("http://127.0.0.1:8900", live)
    )
    assert live in server
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/logs/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{server}}}\n",
        encoding="utf-8",
    )
    log = folder / "log"
    with process([str(shutil.which(nginx) or nginx), "-p", str(folder), "-c", str(config)], log) as running:
        yield wait_for(lambda: _alive(f"http://127.0.0.1:{port}"), running, log)


def _alive(url: str) -> str | None:
    try:
        get(f"{url}/healthz")
    except OSError:
        return None
    return url


def test_a_stream_comes_through_nginx(behind_nginx: str) -> None:
    assert "interruption" in events(chat(behind_nginx))


def mode(url: str, origin: str) -> int:
    """The status of a browser's request for a mode, from a page of this origin."""
    headers = {"content-type": "application/json", "origin": origin}
    asked = urllib.request.Request(f"{url}/guard/api/mode", data=b'{"mode": "supervise"}', headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_dashboards_own_page_may_ask_through_nginx_and_another_may_not(behind_nginx: str, tmp_path: Path) -> None:
    assert mode(behind_nginx, behind_nginx) == 200
    assert mode(behind_nginx, "http://elsewhere.example.org") == 403
