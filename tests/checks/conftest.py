"""What several tests of the checks share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks import encoder_models


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder's folder as `guard.train` writes it, made once."""
    return encoder_models.ours(tmp_path_factory.mktemp("encoder"))
