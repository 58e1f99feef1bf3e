"""The chart of deploy/helm/guard as it was rendered for the values under tests/deploy/chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.deploy.running import DEPLOY

CHART = DEPLOY / "helm/guard"
VALUES = Path(__file__).with_name("chart")
NAMES = ("default", "everything", "sqlite")


def recorded(name: str) -> tuple[str, list[dict[str, Any]]]:
    """The digest of a rendering on record, and its documents."""
    text = (VALUES / f"{name}.rendered.yaml").read_text(encoding="utf-8")
    return text.partition("\n")[0].removeprefix("# chart: "), list(yaml.safe_load_all(text))


def rendered(name: str) -> dict[str, dict[str, Any]]:
    """A rendering's documents by kind."""
    return {document["kind"]: document for document in recorded(name)[1]}


def pod(name: str) -> dict[str, Any]:
    return dict(rendered(name)["Deployment"]["spec"]["template"]["spec"])


def container(name: str) -> dict[str, Any]:
    (only,) = pod(name)["containers"]
    return dict(only)
