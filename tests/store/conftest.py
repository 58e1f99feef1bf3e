"""Every test that asks for a `url` runs on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from guard.store import Database, Store
from tests.store.postgres import Missing, Server

_NUMBERS = count()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    try:
        server = Server("fsync=off", "synchronous_commit=off", "full_page_writes=off")
        server.start()
    except Missing as missing:
        pytest.skip(f"PostgreSQL: NOT TESTED: {missing}")
    try:
        server.execute("CREATE DATABASE empty")
        database = Database(server.url("empty"))
        database.open()
        database.close()
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/guard.db"
        return
    server: Server = request.getfixturevalue("postgresql")
    name = f"test_{next(_NUMBERS)}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE empty")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url, clock=lambda: 1e6)
    database.open()
    yield database
    database.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = Store(url, clock=lambda: 1e6)
    await store.open()
    yield store
    await store.close()
