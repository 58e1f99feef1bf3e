"""Checks of another distribution, for the tests that ask for them."""

from __future__ import annotations

import pytest

from guard import registry
from tests.evaluation.labelled import CHECKS, Shouting


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of `labelled`, as another distribution would bring them."""

    class Point:
        def __init__(self, name: str) -> None:
            self.name = name

        def load(self) -> type[Shouting]:
            return CHECKS[self.name]

    def points(group: str, name: str | None = None) -> list[Point]:
        return [Point(own) for own in CHECKS if group == "guard.checks" and name in (None, own)]

    monkeypatch.setattr(registry, "entry_points", points)
