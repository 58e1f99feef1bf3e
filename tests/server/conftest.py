"""One server for the tests of a module; they change what its model says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.live import Live, serving, settings


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The server itself; its log and counts grow from test to test."""
    with serving(settings(tmp_path_factory.mktemp("shared"))) as server:
        yield server


@pytest.fixture
def live(shared: Live) -> Live:
    """The module's server, back to its defaults."""
    shared.gateway.mode = "supervise"
    shared.client.cookies.clear()
    return shared
