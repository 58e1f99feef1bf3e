"""Who finds out how a server goes on, when, for whom, and how long that is believed."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from guard.backends.openai import prober
from guard.backends.openai.learned import FORGET_S
from guard.backends.openai.prober import RETRY_S, STARTS
from guard.core.events import Opened
from tests.backends.test_openai_learned import timed
from tests.backends.test_openai_probe import ask, cut
from tests.backends.test_openai_server import backend, collect
from tests.backends.upstreams import Json, Open, Refused, Upstream, liar, llama, running

GOOD, BAD = {"authorization": "Bearer good-key-1"}, {"authorization": "Bearer bad-key-22"}


@dataclass
class Keyed(Upstream):
    """Refuses one key; `gate` holds its answers back."""

    refusal: int = 401
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asking: asyncio.Event = field(default_factory=asyncio.Event)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.asking.set()
        await self.gate.wait()
        if request.headers.get("authorization") == BAD["authorization"]:
            return web.json_response({"error": "no"}, status=self.refusal)
        return await super().chat(request)


def opened(upstream: Keyed) -> Keyed:
    upstream.gate.set()
    return upstream


async def finished(made: Any) -> None:
    """Until no examination runs."""
    await asyncio.gather(*made._prober._running.values())


async def test_a_verdict_that_nothing_goes_on_is_looked_at_again_after_a_while() -> None:
    async with running(Upstream(liar)) as upstream:
        made, clock = await timed(upstream.url)
        assert (await made._prober.ability("content", "m", {})).dialect is None
        upstream.reading = llama
        clock.time += FORGET_S - 1
        assert (await made._prober.ability("content", "m", {})).dialect is None
        clock.time += 1
        assert (await made._prober.ability("content", "m", {})).dialect == "continue_final_message"
        clock.time += FORGET_S
        asked = len(upstream.trials)
        assert (await made._prober.ability("content", "m", {})).dialect == "continue_final_message"
        assert len(upstream.trials) == asked
        await made.close()


async def test_a_server_that_was_not_believed_is_examined_again_after_a_while() -> None:
    async with running(Upstream(llama)) as upstream:
        made, clock = await timed(upstream.url)
        for _ in range(2):
            await made._prober.ability("content", "m", {})
            made._prober.distrust("content", "m", "began anew")
        assert (await made._prober.ability("content", "m", {})).why == "began anew"
        clock.time += FORGET_S
        assert (await made._prober.ability("content", "m", {})).dialect == "continue_final_message"
        await made.close()


async def test_going_on_once_makes_up_for_beginning_anew_once() -> None:
    async with running(Upstream(llama, believes=0)) as upstream:
        made = await backend(upstream.url)
        for _ in range(2):
            upstream.believes = 0
            assert len(await reopened(made)) == 1
            upstream.believes = 1
            assert await reopened(made) == [Opened(1, "field_prefill")]
        await made.close()


async def reopened(made: Any) -> list[Opened]:
    events = await collect(made.begin(ask()).attempt(1, 0, cut("content")))
    return [event for event in events if isinstance(event, Opened)]


async def test_three_refusals_in_a_row_have_a_server_examined_again() -> None:
    def refusing(body: Json) -> Open | None:
        if not str(body["messages"][0]["content"]).startswith("Repeat") and body["messages"][-1]["role"] == "assistant":
            raise Refused(400, "too long")
        return llama(body)

    async with running(Upstream(refusing)) as upstream:
        made = await backend(upstream.url)
        trials = []
        for _ in range(4):
            assert await reopened(made) == [Opened(1, "reask")]
            trials.append(len(upstream.trials))
        await made.close()
    assert trials[0] == trials[1] == trials[2] < trials[3]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_500_is_a_verdict_only_if_the_repeat_says_the_same(times: int) -> None:
    left = [times]

    def breaking(body: Json) -> Open | None:
        if body["messages"][-1]["role"] == "assistant" and left[0]:
            left[0] -= 1
            raise Refused(500, "oops")
        return llama(body)

    async with running(Upstream(breaking)) as upstream:
        made = await backend(upstream.url)
        found = await made._prober.ability("content", "m", {})
        await made.close()
    verdicts = [trial.verdict for trial in found.trials]
    assert verdicts[0] == ("continues" if times == 1 else "refused")


@pytest.mark.parametrize("refusal", [401, 402, 403, 429])
async def test_one_clients_bad_key_is_not_anothers(refusal: int) -> None:
    async with running(opened(Keyed(llama, refusal=refusal))) as upstream:
        made, _ = await timed(upstream.url)
        for _ in range(2):
            assert (await made._prober.ability("content", "m", BAD)).why.startswith("unknown: ")
        assert (await made._prober.ability("content", "m", GOOD)).dialect == "continue_final_message"
        assert (await made._prober.ability("content", "m", BAD)).dialect == "continue_final_message"
        await made.close()


async def test_who_waits_for_an_examination_that_fails_with_anothers_key_has_its_own() -> None:
    upstream = Keyed(llama)
    async with running(upstream):
        made = await backend(upstream.url)
        bad = asyncio.create_task(made._prober.ability("content", "m", BAD))
        await upstream.asking.wait()
        good = [asyncio.create_task(made._prober.ability("content", "m", GOOD)) for _ in range(2)]
        upstream.gate.set()
        assert (await bad).dialect is None
        assert {(await task).dialect for task in good} == {"continue_final_message"}
        bare = [body for body in upstream.trials if len(body["messages"]) == 1]
        assert len(bare) == 1
        await made.close()


async def test_a_failure_of_the_server_is_everybodys_until_it_is_tried_again() -> None:
    async with running(Upstream(llama, status=503)) as upstream:
        made, clock = await timed(upstream.url)
        for headers in (GOOD, BAD, GOOD):
            assert (await made._prober.ability("content", "m", headers)).dialect is None
        assert len(upstream.trials) == 1
        upstream.status = 200
        clock.time += RETRY_S
        assert (await made._prober.ability("content", "m", BAD)).dialect == "continue_final_message"
        await made.close()


async def test_a_turn_does_not_wait_for_ever_and_the_next_one_profits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "WAIT_S", 0.0)
    upstream = Keyed(llama)
    async with running(upstream):
        made = await backend(upstream.url)
        first = [await made._prober.ability("content", "m", {}) for _ in range(3)]
        assert all(ability.why.startswith("unknown: not found out within") for ability in first)
        upstream.gate.set()
        await finished(made)
        assert await reopened(made) == [Opened(1, "field_prefill")]
        assert len([body for body in upstream.trials if len(body["messages"]) == 1]) == 1
        await made.close()


async def test_closing_ends_an_examination_and_who_waits_for_it_is_told() -> None:
    upstream = Keyed(llama)
    async with running(upstream):
        made = await backend(upstream.url)
        waiting = asyncio.create_task(made._prober.ability("content", "m", {}))
        await upstream.asking.wait()
        running_ = list(made._prober._running.values())
        await made.close()
        assert [task.cancelled() for task in running_] == [True]
        assert (await waiting).why.startswith("unknown: ")
        upstream.gate.set()


async def test_names_that_clients_choose_are_examined_six_a_minute() -> None:
    async with running(Upstream(llama)) as upstream:
        made, clock = await timed(upstream.url)
        names = [f"m{number}" for number in range(STARTS + 1)]
        found = [(await made._prober.ability("content", name, {})).dialect for name in names]
        assert found == ["continue_final_message"] * STARTS + [None]
        clock.time += 60
        assert (await made._prober.ability("content", names[-1], {})).dialect == "continue_final_message"
        assert (await made._prober.ability("content", names[0], {})).dialect == "continue_final_message"
        await made.close()
        named, _ = await timed(upstream.url, model="m")
        found = [(await named._prober.ability("content", name, {})).dialect for name in names]
        assert set(found) == {"continue_final_message"}
        await named.close()


async def test_one_model_does_not_wait_for_another() -> None:
    upstream = Keyed(llama)
    async with running(upstream):
        made = await backend(upstream.url)
        slow = asyncio.create_task(made._prober.ability("content", "slow", {}))
        await upstream.asking.wait()
        upstream.asking.clear()
        other = asyncio.create_task(made._prober.ability("content", "other", {}))
        await upstream.asking.wait()
        upstream.gate.set()
        assert {(await slow).dialect, (await other).dialect} == {"continue_final_message"}
        await made.close()


async def test_an_error_of_an_examination_is_scrubbed() -> None:
    async def told(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"error": "bad %s"}\n\n' % request.headers["authorization"].encode())
        return response

    upstream = Upstream(llama)
    upstream.chat = told  # type: ignore[method-assign]
    async with running(upstream):
        made = await backend(upstream.url)
        found = await made._prober.ability("content", "m", BAD)
        assert "bad Bearer ***" in found.why
        await made.close()
