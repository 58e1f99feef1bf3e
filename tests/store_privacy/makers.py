"""Factories of redactors: guard's own patterns alone, and with the library on top."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from guard.settings import StoreSettings
from guard.store.people import redactors
from guard.store.redactor import Redactor

BOTH = pytest.mark.parametrize("maker", ["own", "library"])


def settings(**changes: Any) -> StoreSettings:
    return StoreSettings.model_validate(changes)


@cache
def made(maker: str) -> Callable[[], Redactor]:
    """The factory of this name; the library is loaded once a process."""
    if maker == "own":
        return Redactor
    pytest.importorskip("presidio_analyzer", reason="redaction by library is not tested: presidio-analyzer is missing")
    pattern = {"name": "TICKET", "regex": r"[A-Z]{3}-\d{3}"}
    return redactors(settings(redaction={"library": "presidio"}, patterns=[pattern]))
