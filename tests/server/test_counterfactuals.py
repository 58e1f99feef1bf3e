"""Asking, once a response has ended, how the turn would have gone on: whom, when, and what becomes of failures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from guard.backends import ChatRequest
from guard.backends.scripted import Answer, ScriptedTurn
from guard.core.records import InterruptionRecord
from guard.errors import StoreError
from tests.server.live import Live, answer, eventually, policy_file, serving, settings

STOP = {"finish": "stop"}
BEFORE = {"reasoning": "One. BAD two. Gone. "}
MAIN = [[BEFORE, {"content": "So."}, STOP], [{"reasoning": " Right."}, {"content": "Yes."}, STOP]]
UNCUT = [{"reasoning": " BAD as ever. "}, {"content": "Not wanted."}, STOP]
ASKED: Mapping[str, Any] = {"counterfactual": 1.0}


class Uncut:
    """What the model is asked off the stream, and what it then says."""

    def __init__(self, live: Live, steps: list[dict[str, Any]]) -> None:
        self.asked: list[ChatRequest] = []
        self.requests: list[ChatRequest] = []
        self._begin = live.backend.begin
        self._live = live
        self._answers = live.backend._answers
        self._other = (Answer.model_validate(answer(steps, steps)),)
        live.backend.begin = self  # type: ignore[method-assign]

    def __call__(self, request: ChatRequest) -> ScriptedTurn:
        off = request.id.endswith("-onward")
        (self.asked if off else self.requests).append(request)
        self._live.backend._answers = self._other if off else self._answers
        return self._begin(request)


@contextmanager
def recording(
    folder: Path, steps: list[dict[str, Any]], main: Any = MAIN, record: Mapping[str, Any] = ASKED, **fields: Any
) -> Iterator[tuple[Live, Uncut]]:
    (folder / "policy").mkdir()
    policies = {"default": policy_file(folder / "policy", record=dict(record), **fields), "allowed": ["off"]}
    with serving(settings(folder, [answer(*main, cut=4)], policies=policies)) as live:
        yield live, Uncut(live, steps)


def result(live: Live, name: str) -> float:
    return live.metric("guard_counterfactuals_total", model="m", policy="test", result=name)


def only(live: Live) -> InterruptionRecord:
    (record,) = live.interruptions()
    return record


def quiet(live: Live) -> None:
    """Nothing is sampled and nothing will be."""
    time.sleep(0.1)
    assert not live.gateway.counterfactuals._tasks


def test_it_is_sampled_when_the_response_has_ended_and_stored(tmp_path: Path) -> None:
    with recording(tmp_path, UNCUT) as (live, uncut):
        heard = live.stream(max_tokens=40, temperature=0.3, top_p=0.9, seed=5, logprobs=True, top_logprobs=3)
        assert heard.text("reasoning") == "One. BAD two. No, that is wrong. It is GOOD. Right."
        eventually(lambda: result(live, "stored") == 1)
        assert only(live).counterfactual == " BAD as ever. "  # the reasoning's rest: content is another channel
        (request,) = uncut.asked
        asked = {name: request.body.get(name) for name in ("max_tokens", "temperature", "top_p", "seed", "logprobs")}
        assert asked == {"max_tokens": 40, "temperature": 0.3, "top_p": 0.9, "seed": 5, "logprobs": None}
        assert live.metric("guard_supervisor_tokens_total", model="m", policy="test", check="counterfactual") > 0
        assert live.backend.open_turns == 0
        assert live.sessions()[0].usage["guard"]["supervisor_tokens"] == 0  # told before it was asked


def test_it_goes_on_behind_the_claim_as_it_stood(tmp_path: Path) -> None:
    with recording(tmp_path, UNCUT) as (live, uncut):
        kept: list[Any] = []
        begin = uncut.__call__

        def spying(request: ChatRequest) -> ScriptedTurn:
            turn = begin(request)
            attempt = turn.attempt

            def attempting(number: int, choice: int = 0, resume: Any = None) -> Any:
                kept.append(resume)
                return attempt(number, choice, resume)

            turn.attempt = attempting  # type: ignore[method-assign]
            return turn

        live.backend.begin = spying  # type: ignore[method-assign]
        live.stream()
        eventually(lambda: result(live, "stored") == 1)
        assert (kept[-1].kept, kept[-1].open_channel) == ({"reasoning": "One. BAD two."}, "reasoning")
        assert (kept[-1].put_in, kept[-1].max_tokens) == ("", 512)


def test_a_retracted_claim_of_the_content_stands_where_it_was(tmp_path: Path) -> None:
    main = [[{"reasoning": "Hm."}, {"content": "One. BAD two. Gone."}, STOP], [{"content": " Yes."}, STOP]]
    with recording(tmp_path, [{"content": " BAD as ever."}, STOP], main) as (live, _):
        assert live.stream().text() == "One. It is GOOD. Yes."
        eventually(lambda: result(live, "stored") == 1)
        assert only(live).counterfactual == " BAD as ever."


def test_it_does_not_delay_the_response_and_ends_with_the_server(tmp_path: Path) -> None:
    with recording(tmp_path, [{"reasoning": " Hm"}, {"wait_ms": 60_000}, STOP]) as (live, _):
        began = time.monotonic()
        live.stream()
        live.post()
        assert time.monotonic() - began < 10
        eventually(lambda: live.backend.open_turns == 1)  # one at a time; the other waits
        assert len(live.gateway.counterfactuals._tasks) == 2
    assert live.backend.open_turns == 0
    assert result(live, "cancelled") == 2
    spent = live.metric("guard_supervisor_tokens_total", model="m", policy="test", check="counterfactual")
    assert spent > 0  # what was read and written counts though nobody waited for the end


def test_too_many_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.server.counterfactuals.WAITING", 1)
    with recording(tmp_path, [{"wait_ms": 60_000}, STOP]) as (live, _):
        live.stream()
        live.stream()
        eventually(lambda: result(live, "dropped") == 1)


@pytest.mark.parametrize(
    "steps",
    [[{"error": {"status": 503}}], [{"reasoning": " Hm"}, {"disconnect": True}], [{"reasoning": " Hm"}]],
    ids=["refused", "broken off", "never finished"],
)
def test_a_failure_is_counted_and_nobody_hears_of_it(tmp_path: Path, steps: list[dict[str, Any]]) -> None:
    with recording(tmp_path, steps) as (live, _):
        assert live.stream().errors == []
        eventually(lambda: result(live, "failed") == 1)
        assert only(live).counterfactual is None
        assert live.post().status_code == 200


def test_a_store_that_fails_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any, **changes: Any) -> bool:
        raise StoreError("the disk is full")

    with recording(tmp_path, UNCUT) as (live, _):
        monkeypatch.setattr(live.gateway.store, "amend", broken)
        live.stream()
        eventually(lambda: result(live, "failed") == 1)
        assert live.metric("guard_store_errors_total", record="counterfactual") == 1


def test_a_bug_in_a_backend_is_counted_and_told_to_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with recording(tmp_path, UNCUT) as (live, uncut):

        def broken(request: ChatRequest) -> ScriptedTurn:
            if request.id.endswith("-onward"):
                raise ZeroDivisionError
            return uncut(request)

        live.backend.begin = broken  # type: ignore[method-assign]
        live.stream()
        eventually(lambda: result(live, "failed") == 1)
    assert "a counterfactual broke" in caplog.text


def test_an_interruption_that_was_deleted_meanwhile_is_no_failure(tmp_path: Path) -> None:
    with recording(tmp_path, [{"wait_ms": 300}, *UNCUT]) as (live, _):
        live.stream()
        live.gateway.store.database.purge(time.time() + 1)
        eventually(lambda: result(live, "gone") == 1)


def test_what_was_asked_anew_is_no_continuation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(tmp_path, UNCUT) as (live, uncut):
        monkeypatch.setattr("guard.backends.scripted._continuation", lambda resume: "reask")
        live.stream()
        eventually(lambda: result(live, "not_in_place") == 1)
        assert only(live).counterfactual is None
        assert len(uncut.asked) == 1


@pytest.mark.parametrize(
    ("record", "main"),
    [
        ({"counterfactual": 0.0}, MAIN),
        ({"counterfactual": 1.0, "prompts": "none"}, MAIN),
        (ASKED, [[{"content": "Hm."}, {"tool": {"name": "f", "arguments": '"BAD"'}}, {"finish": "tool_calls"}]] * 2),
        (ASKED, [[BEFORE, STOP], [{"reasoning": " Right."}, {"disconnect": True}]]),
    ],
    ids=["none wanted", "no text may be kept", "a tool call", "the response failed"],
)
def test_where_it_is_not_asked(tmp_path: Path, record: Any, main: Any) -> None:
    with recording(tmp_path, UNCUT, main, record) as (live, uncut):
        live.post(stream=True)
        assert live.interruptions()
        quiet(live)
        assert uncut.asked == []


def test_structured_output_has_no_place_to_go_on_from(tmp_path: Path) -> None:
    main = [[{"content": '{"a": "BAD"}'}, STOP], [{"content": '{"a": "GOOD"}'}, STOP]]
    with recording(tmp_path, UNCUT, main) as (live, uncut):
        live.stream(response_format={"type": "json_object"})
        assert only(live).interruption.correct == "restart"
        quiet(live)
        assert uncut.asked == []


def test_it_is_not_asked_once_the_client_has_left(tmp_path: Path) -> None:
    main = [[BEFORE, STOP], [{"reasoning": " Right."}, {"wait_ms": 30_000}, STOP]]
    with recording(tmp_path, UNCUT, main) as (live, uncut):
        body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": True}
        with live.client.stream("POST", "/v1/chat/completions", json=body) as response:
            for chunk in response.iter_text():
                if "Rig" in chunk:
                    break
        eventually(lambda: live.metric("guard_client_left_total", model="m", policy="test") == 1)
        eventually(live.interruptions)
        quiet(live)
        assert uncut.asked == []


def test_raw_completions_are_asked_too(tmp_path: Path) -> None:
    main = [[{"content": "One. BAD two. Gone."}, STOP], [{"content": " Yes."}, STOP]]
    with recording(tmp_path, [{"content": " BAD as ever."}, STOP], main) as (live, uncut):
        live.client.post("/v1/completions", json={"model": "m", "prompt": ["a", "b"], "max_tokens": 50})
        eventually(lambda: result(live, "stored") == 2)
        assert [record.counterfactual for record in live.interruptions()] == [" BAD as ever."] * 2
        assert {request.prompt for request in uncut.asked} == {"a", "b"}


def test_it_is_redacted_as_the_rest_of_the_row_is(tmp_path: Path) -> None:
    record = {"counterfactual": 1.0, "prompts": "redacted"}
    with recording(tmp_path, [{"reasoning": " Write to a@b.org."}, STOP], record=record) as (live, _):
        live.stream()
        eventually(lambda: result(live, "stored") == 1)
        assert only(live).counterfactual == " Write to <EMAIL_1>."


@pytest.mark.parametrize(("mode", "asked"), [("supervise", 4), ("observe", 0), ("off", 0)])
def test_alternatives_are_asked_for_where_a_policy_may_interrupt(tmp_path: Path, mode: Any, asked: int) -> None:
    with recording(tmp_path, UNCUT, record={"top_logprobs": 4}) as (live, uncut):
        live.gateway.mode = mode
        live.stream()
        assert [request.top_logprobs for request in uncut.requests] == [asked]
        assert "logprobs" not in uncut.requests[0].body  # how it is asked is the backend's affair
