"""One live server for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.running import answered, get


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has answered an interrupted chat."""
    with answered(tmp_path_factory.mktemp("deploy")) as url:
        yield url


@pytest.fixture(scope="session")
def exposition(live: str) -> str:
    """What its /metrics says."""
    return get(f"{live}/metrics")
