"""`guard serve --supervisor URL --supervisor-model NAME`, as far as the settings it leads to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guard.cli.serving import Overrides, settings_for
from guard.errors import ConfigError

AT: dict[str, Any] = {"supervisor": "http://localhost:8001/v1", "supervisor_model": "Q/Q"}


@pytest.mark.parametrize("upstream", [None, "http://localhost:8000/v1"])
def test_a_supervisor_is_named_on_the_command_line(upstream: str | None) -> None:
    settings = settings_for(None, Overrides(upstream=upstream, **AT))
    assert settings.supervisor is not None
    assert settings.supervisor.backend == "openai"
    assert settings.supervisor.options == {"base_url": AT["supervisor"], "model": "Q/Q"}


def test_it_replaces_the_files(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text(
        "models: [{name: m, backend: scripted, script: s.yaml}]\n"
        "supervisor: {backend: scripted, script: s.yaml, at_once: 3}\n"
    )
    kept = settings_for(path, Overrides()).supervisor
    assert kept is not None
    assert (kept.backend, kept.at_once) == ("scripted", 3)
    changed = settings_for(path, Overrides(**AT)).supervisor
    assert changed is not None
    assert changed.options == {"base_url": AT["supervisor"], "model": "Q/Q"}


@pytest.mark.parametrize("only", ["supervisor", "supervisor_model"])
def test_its_address_and_its_name_go_together(only: str) -> None:
    with pytest.raises(ConfigError, match="go together"):
        settings_for(None, Overrides(**{only: AT[only]}))
