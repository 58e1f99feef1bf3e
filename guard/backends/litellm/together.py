"""Several calls of one attempt read side by side, as if they were one.

Knows batches and tasks, no provider. Rules: what comes first goes on first; one that fails ends all, and its error is
raised; counts are summed, so that the latest is always that of the whole attempt; when the reader goes, all have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from guard.backends import Batch, Item, Usage


async def together(calls: Sequence[AsyncGenerator[Batch, None]]) -> AsyncGenerator[Batch, None]:
    """The batches of all calls, as they come."""
    queue: asyncio.Queue[tuple[int, Batch | BaseException | None]] = asyncio.Queue(maxsize=len(calls))
    tasks = [asyncio.create_task(_pour(index, call, queue)) for index, call in enumerate(calls)]
    counts: dict[int, Mapping[str, Any]] = {}
    running = len(tasks)
    try:
        while running:
            index, came = await queue.get()
            if isinstance(came, BaseException):
                raise came
            if came is None:
                running -= 1
            else:
                yield [_summed(item, index, counts) for item in came]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pour(index: int, call: AsyncGenerator[Batch, None], queue: asyncio.Queue[Any]) -> None:
    try:
        async with aclosing(call) as batches:
            async for batch in batches:
                await queue.put((index, batch))
        await queue.put((index, None))
    except Exception as error:  # noqa: BLE001 -- carried over to the reader, whatever it is
        await queue.put((index, error))


def _summed(item: Item, index: int, counts: dict[int, Mapping[str, Any]]) -> Item:
    if not isinstance(item, Usage):
        return item
    counts[index] = item.counts
    total: dict[str, Any] = {}
    for each in counts.values():
        _add(total, each)
    return Usage(item.attempt, total)


def _add(total: dict[str, Any], counts: Mapping[str, Any]) -> None:
    for name, value in counts.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(name, {}), value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            total[name] = total.get(name, 0) + value
