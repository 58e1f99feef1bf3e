"""deploy/helm/guard: what it renders to is what Kubernetes takes, and guard takes its configuration.

`tests/deploy/chart/NAME.yaml` are values, `NAME.rendered.yaml` what Helm makes of them, with a digest of the chart that
it belongs to: without helm a change of the chart is noticed, with helm (>= 3.11) it is rendered anew and compared.
`CHART_RENDERED=write` writes the renderings anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from guard import __version__
from guard.evaluation.cases import check_file
from guard.settings import read_settings
from tests.deploy.charts import CHART, NAMES, VALUES, container, pod, recorded, rendered
from tests.deploy.running import DEPLOY, read

HELM = shutil.which("helm")
KUBERNETES = ("1.25", "1.31", kubernetes_validate.latest_version())
WRITE = os.environ.get("CHART_RENDERED") == "write"


def digest(name: str) -> str:
    """Of the chart and these values."""
    files = [*sorted(path for path in CHART.rglob("*") if path.is_file()), VALUES / f"{name}.yaml"]
    parts = [f"{path.relative_to(DEPLOY.parent)}\n".encode() + path.read_bytes() for path in files]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    assert HELM is not None
    return subprocess.run([HELM, *words], capture_output=True, text=True, timeout=120)


def templated(values: Path) -> list[dict[str, Any]]:
    """What Helm renders now, in a stable order."""
    done = helm("template", str(CHART), "-f", str(values))
    assert done.returncode == 0, done.stderr
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    return sorted(documents, key=lambda document: str(document["kind"]))


@pytest.mark.parametrize("name", NAMES)
def test_the_rendering_on_record_is_this_charts(name: str) -> None:
    path = VALUES / f"{name}.rendered.yaml"
    if WRITE:
        documents = yaml.safe_dump_all(templated(VALUES / f"{name}.yaml"), sort_keys=False)
        path.write_text(f"# chart: {digest(name)}\n{documents}", encoding="utf-8")
    belongs, documents_on_record = recorded(name)
    assert belongs == digest(name), (
        "the chart changed: with helm, CHART_RENDERED=write pytest tests/deploy/test_chart.py"
    )
    if HELM:
        assert documents_on_record == templated(VALUES / f"{name}.yaml")


if HELM:  # left out rather than skipped: distributions do not have it

    @pytest.mark.parametrize("name", NAMES)
    def test_helm_finds_nothing_wrong(name: str) -> None:
        done = helm("lint", "--strict", str(CHART), "-f", str(VALUES / f"{name}.yaml"))
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("values", "why"),
        [
            (
                {"replicas": 2, "config": {"store": {"url": "sqlite:///guard.db"}}},
                "name PostgreSQL, or set replicas: 1",
            ),
            ({"autoscaling": {"enabled": True, "cpu": None}}, "autoscaling needs a metric"),
        ],
    )
    def test_values_that_lose_the_log_are_refused(values: dict[str, Any], why: str, tmp_path: Path) -> None:
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        done = helm("template", str(CHART), "-f", str(path))
        assert done.returncode != 0
        assert why in done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_takes_every_document(name: str, version: str) -> None:
    documents = [document for document in recorded(name)[1] if document["kind"] != "ServiceMonitor"]
    assert len(documents) >= 3
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_document_that_is_wrong_would_be_noticed() -> None:
    document = rendered("default")["Deployment"]
    document["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)


def test_which_documents_there_are() -> None:
    least = {"ConfigMap", "Deployment", "Service"}
    assert set(rendered("sqlite")) == least
    assert set(rendered("default")) == {*least, "PodDisruptionBudget", "ServiceAccount"}
    options = {"HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "ServiceMonitor"}
    assert set(rendered("everything")) == {*rendered("default"), *options}


@pytest.mark.parametrize("name", NAMES)
def test_guard_takes_the_configuration(name: str, tmp_path: Path) -> None:
    for file, text in rendered(name)["ConfigMap"]["data"].items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    settings = read_settings(tmp_path / "guard.yaml")
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8900)
    keys = settings.server.client_keys_file
    mounts = [mount["mountPath"] for mount in container(name)["volumeMounts"]]
    assert keys is None or str(keys.parent) in mounts
    assert all(fact.is_file() for fact in settings.facts)
    if name == "everything":
        assert list(check_file(str(tmp_path / "mine.yaml"), print)) == []
        assert settings.policies.default == str(tmp_path / "mine.yaml")
        assert settings.server.keep_alive_s == 5


@pytest.mark.parametrize("name", NAMES)
def test_the_pod_has_no_rights_and_writes_to_data_and_tmp_only(name: str) -> None:
    spec, only = pod(name), container(name)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {mount["mountPath"] for mount in only["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/data", "/tmp"}
    assert {mount["name"] for mount in only["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("name", NAMES)
def test_probes_and_labels_and_ports_agree(name: str) -> None:
    documents, only = rendered(name), container(name)
    probed = {probe: only[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert probed == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    chosen = [documents["Deployment"]["spec"]["selector"]["matchLabels"], documents["Service"]["spec"]["selector"]]
    chosen += [documents[k]["spec"]["selector"]["matchLabels"] for k in ("PodDisruptionBudget",) if k in documents]
    if "ServiceMonitor" in documents:
        monitor = documents["ServiceMonitor"]["spec"]
        assert monitor["selector"]["matchLabels"].items() <= documents["Service"]["metadata"]["labels"].items()
        assert monitor["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "5s"}]
        # The job that the alert rules and the dashboard look at.
        assert documents["Service"]["metadata"]["labels"][monitor["jobLabel"]] == "guard"
    for selector in chosen:
        assert selector.items() <= labels.items()
    assert [port["name"] for port in only["ports"]] == ["http"]
    assert documents["Service"]["spec"]["ports"][0]["targetPort"] == "http"


def test_a_change_of_the_configuration_rolls_the_pods() -> None:
    seen = {rendered(n)["Deployment"]["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for n in NAMES}
    assert len(seen) == len(NAMES)


def test_what_scales_and_by_what() -> None:
    scaler = rendered("everything")["HorizontalPodAutoscaler"]["spec"]
    assert "replicas" not in rendered("everything")["Deployment"]["spec"]
    assert [metric["type"] for metric in scaler["metrics"]] == ["Resource", "Pods"]
    assert scaler["metrics"][1]["pods"]["metric"]["name"] == "guard_running"
    assert "cpu" in container("everything")["resources"]["requests"]  # what the percentage is of


def test_a_stream_through_the_ingress_is_neither_collected_nor_cut() -> None:
    annotations = rendered("everything")["Ingress"]["metadata"]["annotations"]
    told = {name.rpartition("/")[2]: value for name, value in annotations.items()}
    assert told["proxy-buffering"] == "off"
    assert int(told["proxy-read-timeout"]) >= 900


def test_the_charts_version_is_guards() -> None:
    assert read(CHART / "Chart.yaml")["appVersion"] == __version__
