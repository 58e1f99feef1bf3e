"""Resampling over real servers: the policy model is asked again beside its own stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.backends.scripted import Answer, ScriptedTurn
from tests.server.live import Live, answer, eventually, policy_file, serving, settings

CLAIM, OTHER = "Ada Velm was born in Kargate in 1815.", "Ada Velm was born in Brengate in 1822."
FIRST = "Let me see."
STOP = {"finish": "stop"}
CHECK = {"check": "resampling", "deadline_ms": 2500, "interrupt_at": 0.7}
NEVER: dict[str, Any] = {"wait_ms": 60_000}


@contextmanager
def resampling(folder: Path, *attempts: list[dict[str, Any]], **fields: Any) -> Iterator[Live]:
    """A guard whose policy resamples; what is asked again gets the second attempt."""
    (folder / "policy").mkdir()
    policy = policy_file(folder / "policy", **({"checks": [CHECK]} | fields))
    policies = {"default": policy, "allowed": ["off"]}
    with serving(settings(folder, [answer(*attempts, cut=4)], policies=policies)) as live:
        yield live


def test_what_comes_out_differently_is_taken_back(tmp_path: Path) -> None:
    main = [{"content": f"{FIRST} {CLAIM} She painted."}, STOP]
    with resampling(tmp_path, main, [{"content": f" {OTHER} She"}, STOP], main) as live:
        heard = live.stream(stream_options={"include_usage": True})
        assert CLAIM not in heard.text()
        (event,) = heard.events
        assert (event["check"], event["event"]) == ("resampling", "retraction")
        (record,) = live.interruptions()
        assert heard.usage is not None
        used = live.metric("guard_supervisor_tokens_total", model="m", policy="test", check="resampling")
        assert 0 < record.supervisor_tokens < heard.usage["guard"]["supervisor_tokens"] == used
    assert live.backend.open_turns == 0


def test_what_comes_out_the_same_is_clean(tmp_path: Path) -> None:
    with resampling(
        tmp_path, [{"content": f"{FIRST} {CLAIM} She painted."}, STOP], [{"content": f" {CLAIM}"}, STOP]
    ) as live:
        assert live.stream().text() == f"{FIRST} {CLAIM} She painted."
        clean = live.metric("guard_verdicts_total", check="resampling", status="clean", disposition="none")
        skipped = live.metric("guard_verdicts_total", check="resampling", status="not_applicable", disposition="none")
        assert (clean, skipped) == (1, 2)


def test_a_request_for_structured_output_is_not_resampled(tmp_path: Path) -> None:
    with resampling(tmp_path, [{"content": f'{{"a": "{CLAIM}"}}'}, STOP], [{"content": OTHER}, STOP]) as live:
        live.stream(response_format={"type": "json_object"})
        skipped = live.metric("guard_verdicts_total", check="resampling", status="not_applicable", disposition="none")
        assert skipped == 1


def test_samples_that_take_too_long_are_given_up_and_let_go(tmp_path: Path) -> None:
    check = CHECK | {"deadline_ms": 150}
    main = [{"content": f"{FIRST} {CLAIM}"}, STOP]
    with resampling(tmp_path, main, [NEVER], checks=[check]) as live:
        assert live.stream().text() == f"{FIRST} {CLAIM}"
        assert live.metric("guard_unscanned_total", check="resampling", why="deadline") == 1
        eventually(lambda: live.backend.open_turns == 0)


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_claims_are_resampled_at_once_than_allowed(tmp_path: Path, at_once: int) -> None:
    claims = " ".join(CLAIM.replace("1815", str(year)) for year in range(1815, 1819))
    check = CHECK | {"at_once": at_once, "samples": 1, "interrupt_at": None}
    with resampling(
        tmp_path, [{"content": f"{FIRST} {claims}"}, STOP], [{"wait_ms": 200}, {"content": OTHER}, STOP], checks=[check]
    ) as live:
        begin, most = live.backend.begin, 0

        def spying(request: ChatRequest) -> ScriptedTurn:
            nonlocal most
            turn = begin(request)
            most = max(most, live.backend.open_turns)
            return turn

        live.backend.begin = spying  # type: ignore[method-assign]
        live.stream()
        assert most == at_once + 1  # and the stream itself


def test_an_upstream_is_asked_with_the_clients_key_and_the_clients_words(tmp_path: Path) -> None:
    said = Answer.model_validate(answer([{"content": f"{CLAIM} She painted."}, STOP], cut=5))
    other = Answer.model_validate(answer([{"content": f"{OTHER} She painted."}, STOP], cut=5))
    (tmp_path / "up").mkdir()
    (tmp_path / "policy").mkdir()
    policy = policy_file(tmp_path / "policy", checks=[CHECK])
    with serving(settings(tmp_path / "up")) as upstream:
        begin, heard = upstream.backend.begin, list[ChatRequest]()

        def spying(request: ChatRequest) -> ScriptedTurn:
            heard.append(request)
            upstream.backend._answers = (other if request.body.get("max_tokens") == 60 else said,)
            return begin(request)

        upstream.backend.begin = spying  # type: ignore[method-assign]
        model = {"name": "m", "backend": "openai", "base_url": f"{upstream.url}/v1", "model": "m@off"}
        config = settings(tmp_path, models=[model], policies={"default": policy, "allowed": ["off"]})
        with serving(config) as live:
            response = live.stream({"authorization": "Bearer sk-client"}, user="someone")
            assert response.text().startswith("I could not confirm this.")
            assert response.events[0]["check"] == "resampling"
            samples = [request for request in heard if request.body.get("max_tokens") == 60]
            assert len(samples) >= 3
            for request in samples:
                assert request.headers["authorization"] == "Bearer sk-client"
                assert (request.body["temperature"], request.body["user"]) == (1, "someone")
