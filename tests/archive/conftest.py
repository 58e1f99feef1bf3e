"""Quick files, and small ones where a test asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.archive import making


@pytest.fixture(autouse=True)
def _no_loss_of_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power, and what a killed process has written the kernel keeps."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def small() -> Iterator[None]:
    """Files of four rows, rounds of five, row groups of three."""
    with pytest.MonkeyPatch.context() as patch:
        making.make_small(patch.setattr)
        yield
