"""What a server writes when a response is over: the session, and its counts whether that is stored or not."""

from __future__ import annotations

import time

import pytest

from guard.core.events import Finish
from guard.core.policy import Policy
from guard.metrics import Metrics
from guard.server.journal import Journal
from guard.store import Bucket, Store
from tests.store.records import provenance, spoken


async def finish(store: Store, mode: str, *statuses: str) -> Metrics:
    name = "+".join(statuses)
    record, metrics = spoken(name, *statuses), Metrics()
    policy = Policy.model_validate({"name": "default", "mode": mode, "checks": []})
    journal = Journal(store, metrics, provenance(name), policy, 1)
    journal.command(0, Finish("stop", summary=record.choices[0]))
    await journal.close({})
    return metrics


async def counted(store: Store) -> Bucket:
    start = time.time() // 3600 * 3600 - 3600
    (bucket,) = await store.trends(start, start + 3 * 3600, 3 * 3600)
    return bucket


async def test_every_response_is_counted_and_few_clean_ones_are_stored(store: Store) -> None:
    await finish(store, "supervise", "clean", "unscanned")
    assert await store.session("clean+unscanned") is None
    await finish(store, "observe", "flagged")
    assert await store.session("flagged") is not None
    bucket = await counted(store)
    assert (bucket.responses, bucket.unscanned) == (2, 1)


async def test_what_is_not_supervised_is_not_counted(store: Store) -> None:
    await finish(store, "off", "clean")
    assert (await counted(store)).responses == 0


async def test_a_store_that_fails_is_counted_and_fails_no_response(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await finish(store, "observe", "flagged")
    metrics = await finish(store, "observe", "flagged")
    assert "already stored" in caplog.text
    assert metrics.store_errors.labels("session")._value.get() == 1
    assert (await counted(store)).responses == 2
