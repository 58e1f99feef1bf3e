"""deploy/compose, as Compose reads it, and the guard.yaml files that it mounts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.server.gateway import Gateway
from guard.settings import read_settings
from tests.deploy.running import DEPLOY, program, read

COMPOSE = DEPLOY / "compose"
PROFILES = ("ollama", "vllm")
SECRETS = {"POSTGRES_PASSWORD": "p$w", "GUARD_ADMIN_KEY": "a"}


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    return dict(read(COMPOSE / "compose.yaml"))


def compose(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command of Docker Compose; `config` needs no Docker."""
    command = [*_tool(), "--project-directory", str(COMPOSE), "-f", str(COMPOSE / "compose.yaml"), *words]
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    return subprocess.run(command, cwd=COMPOSE, env=env, capture_output=True, text=True, timeout=120)


def _tool() -> list[str]:
    """Docker's plug-in where there is one, else the program of its own that distributions have."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose"]
    return [program("docker-compose", "apt-get install docker-compose")]


@pytest.mark.parametrize("upstream", PROFILES)
def test_compose_takes_it(upstream: str) -> None:
    done = compose("--profile", upstream, "config", UPSTREAM=upstream, **SECRETS)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) >= {"guard", "postgres", "prometheus", "grafana", upstream}
    mounted = str(services["guard"]["volumes"])
    assert f"{upstream}.guard.yaml" in mounted


def test_it_does_not_begin_without_secrets() -> None:
    done = compose("config", GUARD_ADMIN_KEY="a")
    assert done.returncode != 0
    assert "copy .env.example to .env" in done.stderr


@pytest.mark.parametrize("upstream", PROFILES)
def test_guard_takes_the_configuration(upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(COMPOSE / f"{upstream}.guard.yaml")
    assert settings.store.url == "postgresql://guard@postgres/guard"
    assert settings.models[0].options["base_url"].startswith(f"http://{upstream}:")
    keys = tmp_path / "client_keys"
    keys.write_text("key\n", encoding="utf-8")
    server = settings.server.model_copy(update={"client_keys_file": keys})
    store = settings.store.model_copy(update={"url": "sqlite://"})
    Gateway(settings.model_copy(update={"server": server, "store": store}))


def test_every_service_has_a_pinned_image_and_says_how_it_is(raw: dict[str, Any]) -> None:
    for name, service in raw["services"].items():
        image, _, tag = service["image"].rpartition(":")
        assert image, name
        assert tag not in ("", "latest"), name
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name


def test_nothing_is_published_beyond_loopback_and_no_secret_is_written(raw: dict[str, Any]) -> None:
    for service in raw["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|TOKEN", variable):
                assert str(value).startswith(("${", "/run/secrets/")), variable
    ignored = (COMPOSE / ".gitignore").read_text(encoding="utf-8").split()
    assert ignored == [".env", "secrets/"]
    assert all(secret["file"].startswith("./secrets/") for secret in raw["secrets"].values())


def test_guard_writes_nowhere_but_where_it_may(raw: dict[str, Any]) -> None:
    guard = raw["services"]["guard"]
    assert guard["read_only"] is True
    assert guard["cap_drop"] == ["ALL"]
    assert [mount.partition(":")[0] for mount in guard["tmpfs"]] == ["/tmp", "/data"]
    assert all(volume.endswith(":ro") for volume in guard["volumes"])


def test_what_is_mounted_exists_and_every_variable_is_in_the_example(raw: dict[str, Any]) -> None:
    text = (COMPOSE / "compose.yaml").read_text(encoding="utf-8")
    example = (COMPOSE / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)", text)) <= set(re.findall(r"^(\w+)=", example, re.M))
    assert not re.search(r"^(POSTGRES_PASSWORD|GUARD_ADMIN_KEY|HF_TOKEN)=\S", example, re.M)
    for service in raw["services"].values():
        for volume in service.get("volumes", ()):
            source = re.sub(r"\$\{UPSTREAM:-(\w+)\}", r"\1", volume).partition(":")[0]
            assert not source.startswith(".") or (COMPOSE / source).exists(), volume
            assert source.startswith(".") or source in raw["volumes"], volume


def test_prometheus_scrapes_guard_where_it_listens(raw: dict[str, Any]) -> None:
    (scrape,) = read(DEPLOY / "prometheus/prometheus.yml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["guard:8900"]}]
    assert raw["services"]["guard"]["ports"] == ["127.0.0.1:8900:8900"]
