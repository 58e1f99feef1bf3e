"""The hub of the live feed: what is joined, what is dropped, and that nobody waits for a watcher."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.policy import Policy
from guard.core.records import Provenance
from guard.server import live
from guard.server.console_live import Live
from guard.server.gateway import Gateway
from guard.server.live import Hub, Watcher
from tests.server.live import frames, settings


def provenance(session: str = "s") -> Provenance:
    return Provenance(
        session=session,
        started=1.0,
        conversation="c",
        user="u",
        model="m",
        policy_model="m",
        backend="scripted",
        policy="p",
        policy_hash="h",
        messages=[],
    )


def heard(raw: bytes | None) -> list[dict[str, Any]]:
    return [json.loads(data) for data in frames(raw)] if raw else []


async def all_of(watcher: Watcher) -> list[dict[str, Any]]:
    """What has been said until now; what is joined goes out first."""
    await asyncio.sleep(0)
    return heard(await watcher.take(live.JOIN_S * 3))


async def test_text_is_joined_and_told_apart_by_choice_channel_and_origin() -> None:
    hub = Hub()
    watcher = hub.watch()
    for letter in "One. ":
        hub.text("s", 0, "reasoning", "model", letter)
    hub.text("s", 1, "reasoning", "model", "Other.")
    hub.text("s", 0, "reasoning", "model", "Two.")
    hub.text("s", 0, "reasoning", "guard", " No.")
    hub.text("s", 0, "content", "guard", " Yes.")
    got = await all_of(watcher)
    assert [(m["choice"], m["channel"], m["origin"], m["text"]) for m in got] == [
        (0, "reasoning", "model", "One. Two."),
        (1, "reasoning", "model", "Other."),
        (0, "reasoning", "guard", " No."),
        (0, "content", "guard", " Yes."),
    ]
    assert all(m["type"] == "text" and m["session"] == "s" for m in got)


async def test_nothing_waits_for_joining_longer_than_it_must() -> None:
    hub = Hub()
    watcher = hub.watch()
    hub.text("s", 0, "content", "model", "a")
    assert await watcher.take(live.JOIN_S / 4) == b""  # it is being joined
    assert [m["text"] for m in heard(await watcher.take(5))] == ["a"]
    assert await watcher.take(0.01) == b""


async def test_one_who_does_not_read_is_told_how_much_is_missing() -> None:
    hub = Hub()
    slow, quick = hub.watch(), hub.watch()
    size, sent, read = live.BACKLOG // 8, 20, 0
    for number in range(sent):
        hub.say({"type": "begin", "session": str(number), "question": "x" * size})
        hub._flush()
        read += len(heard(await quick.take(1)))
    assert read == sent
    got = heard(await slow.take(1))
    assert got[-1] == {"type": "gap", "missed": sent - (len(got) - 1)}
    assert [m["session"] for m in got[:-1]] == [str(number) for number in range(len(got) - 1)]
    assert 0 < len(got) - 1 < sent
    hub.say({"type": "end", "session": "after"})
    assert [m["session"] for m in await all_of(slow)] == ["after"]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 5))
def test_what_is_missed_and_what_comes_is_everything_in_order(sizes: list[int], every: int) -> None:
    watcher, got, missed = Watcher(), b"", 0

    async def read() -> None:
        nonlocal got, missed
        raw = await watcher.take(0.001) or b""
        for data in raw.split(b"\n\n"):
            if b"gap" in data:
                missed += json.loads(data.removeprefix(b"data: "))["missed"]
                got += b"|"
            elif data:
                got += data + b"\n\n"

    async def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(live, "BACKLOG", 60)
            for number, size in enumerate(sizes):
                watcher.put(b"%d:" % number + b"x" * size + b"\n\n")
                if number % every == 0:
                    await read()
            await read()

    asyncio.run(run())
    numbers = [int(part.split(b":")[0].strip(b"|")) for part in got.split(b"\n\n") if part.strip(b"|")]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + missed == len(sizes)


async def test_while_nobody_watches_nothing_is_made() -> None:
    hub = Hub()
    tap = hub.tap(provenance(), Policy(name="p"))
    tap.begin()
    hub.say({"type": "begin", "session": "s"})
    tap.end("finished")
    assert hub._pending == []
    assert hub._timer is None


async def test_one_who_leaves_costs_nothing_afterwards() -> None:
    hub = Hub()
    watchers = [hub.watch() for _ in range(50)]
    hub.text("s", 0, "content", "model", "Hello.")
    for watcher in watchers:
        hub.left(watcher)
        hub.left(watcher)
    assert not hub.watched
    assert (hub._pending, hub._open, hub._timer, hub._size) == ([], {}, None, 0)


async def test_text_that_comes_faster_than_the_clock_is_not_heaped_up() -> None:
    hub = Hub()
    watcher = hub.watch()
    for _ in range(20):
        hub.text("s", 0, "content", "model", "x" * (live.JOIN // 4))
        assert hub._size <= live.JOIN
    got = await all_of(watcher)
    assert sum(len(m["text"]) for m in got) == 5 * live.JOIN


async def test_one_who_comes_later_is_told_what_runs() -> None:
    hub = Hub()
    first = hub.watch()
    tap, other = (hub.tap(provenance(name), Policy(name="p")) for name in ("one", "two"))
    tap.begin()
    other.begin()
    other.end("finished")
    late = hub.watch()
    assert [(m["type"], m["session"]) for m in await all_of(late)] == [("begin", "one")]
    assert [m["type"] for m in await all_of(first)] == ["begin", "begin", "end"]
    tap.end("finished")
    assert [m["type"] for m in await all_of(late)] == ["end"]


async def test_closing_lets_every_watcher_go() -> None:
    hub = Hub()
    waiting = [asyncio.create_task(hub.watch().take(60)) for _ in range(3)]
    await asyncio.sleep(0)
    hub.close()
    assert await asyncio.gather(*waiting) == [None] * 3
    assert await hub.watch().take(60) is None


async def test_text_that_is_no_unicode_goes_out_all_the_same() -> None:
    hub = Hub()
    watcher = hub.watch()
    hub.text("s", 0, "content", "model", "a\ud800b")
    assert [m["text"] for m in await all_of(watcher)] == ["a?b"]


async def test_what_is_off_is_not_watched() -> None:
    hub = Hub()
    watcher = hub.watch()
    tap = hub.tap(provenance(), Policy(name="p", mode="off"))
    tap.begin()
    tap.end("finished")
    assert await watcher.take(live.JOIN_S * 2) == b""


# The route


async def test_the_route_ends_its_stream_when_the_server_goes_down(tmp_path: Path) -> None:
    gateway = Gateway(settings(tmp_path, server={"keep_alive_s": 0.01}))
    sent: list[Any] = []
    quiet = asyncio.Event()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) > 3:
            quiet.set()

    for stop in (lambda task: task.cancel(), lambda task: gateway.live.close()):
        sent.clear()
        quiet.clear()
        task = asyncio.create_task(Live(gateway)({"type": "http"}, receive, send))
        await quiet.wait()
        assert gateway.live.watched
        stop(task)
        await asyncio.wait_for(task, 5)
        start, *comments, last = sent
        assert start["status"] == 200
        assert all(message["body"].startswith(b":") for message in comments)  # nothing happened, and it says so
        assert last == {"type": "http.response.body", "body": b""}
        assert not gateway.live.watched
