"""`/v1/completions`: raw texts, one session a prompt, and what passes unsupervised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from openai import OpenAI
from openai.types import Completion

from guard.errors import RequestError
from guard.server.completions_request import parse_completion
from guard.server.completions_wire import summed
from tests.server.live import Live, answer, frames, serving, settings

TRUE, FALSE = "One. Two.", "One. BAD two. Three."
CLEAN = "One. It is GOOD. Three."


def post(live: Live, **body: Any) -> Any:
    return live.client.post("/v1/completions", json={"model": "m", "prompt": "Count:"} | body)


def streamed(live: Live, **body: Any) -> list[dict[str, Any]]:
    *data, done = frames(post(live, stream=True, **body).content)
    assert done == "[DONE]"
    return [json.loads(item) for item in data]


def text_of(chunks: list[dict[str, Any]], choice: int = 0) -> str:
    entries = [entry for chunk in chunks for entry in chunk["choices"] if entry["index"] == choice]
    return "".join(entry["text"] for entry in entries)


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_false_statement_is_replaced_in_the_stream_and_without(live: Live, cut: int) -> None:
    live.say(answer([{"content": FALSE}, {"finish": "stop"}], [{"content": " Three."}, {"finish": "stop"}], cut=cut))
    chunks = streamed(live)
    assert text_of(chunks) == CLEAN
    assert [chunk["guard"]["event"] for chunk in chunks if "guard" in chunk] == ["retraction"]
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    whole = post(live).json()
    assert (whole["choices"][0]["text"], whole["choices"][0]["finish_reason"]) == (CLEAN, "stop")
    assert whole["usage"]["guard"]["interruptions"] == 1
    assert [event["event"] for event in whole["guard"]["events"]] == ["retraction"]
    Completion.model_validate(whole, strict=True)
    for chunk in chunks:
        for choice in chunk["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "stop"  # the type knows no null, OpenAI sends it
        Completion.model_validate(chunk, strict=True)


def test_each_prompt_is_a_session_of_its_own(live: Live) -> None:
    live.say(
        answer([{"content": FALSE}, {"finish": "stop"}], [{"content": " Three."}, {"finish": "stop"}], when="first"),
        answer([{"content": TRUE}, {"finish": "length"}], when="second"),
    )
    before = len(live.interruptions())
    whole = post(live, prompt=["the first", "the second"], n=2).json()
    assert [c["index"] for c in whole["choices"]] == [0, 1, 2, 3]
    assert [c["text"] for c in whole["choices"]] == [CLEAN, CLEAN, TRUE, TRUE]
    assert [c["finish_reason"] for c in whole["choices"]] == ["stop", "stop", "length", "length"]
    assert len(live.interruptions()) == before + 2
    chunks = streamed(live, prompt=["the first", "the second"], n=2, stream_options={"include_usage": True})
    assert [text_of(chunks, choice) for choice in range(4)] == [CLEAN, CLEAN, TRUE, TRUE]
    assert len({chunk["id"] for chunk in chunks}) == 1
    usage = chunks[-1]["usage"]
    assert (chunks[-1]["choices"], usage["guard"]["interruptions"]) == ([], 2)
    record = live.interruptions()[-1]
    assert record.provenance.route == "completions"
    assert record.provenance.messages == [{"role": "user", "content": "the first"}]
    assert "prompt" not in record.provenance.parameters


def test_one_prompt_that_fails_ends_the_request(live: Live) -> None:
    live.say(answer([{"content": TRUE}, {"finish": "stop"}], when="first"))
    response = post(live, prompt=["the first", "the second"])
    assert response.status_code == 400
    assert "no answer to 'the second'" in response.json()["error"]["message"]
    assert live.backend.open_turns <= 1
    live.backend.open_turns = 0


def test_one_prompt_that_fails_late_is_an_error_frame_and_the_others_go_on(live: Live) -> None:
    slow: list[dict[str, Any]] = [
        {"content": "One. Two."},
        {"wait_ms": 300},
        {"content": " Three."},
        {"finish": "stop"},
    ]
    live.say(
        answer(slow, when="good"), answer([{"wait_ms": 100}, {"error": {"status": 429, "message": "slow"}}], when="bad")
    )
    *data, done = frames(post(live, prompt=["good", "bad"], stream=True).content)
    chunks = [json.loads(item) for item in data]
    assert done == "[DONE]"
    assert [chunk["error"]["code"] for chunk in chunks if "error" in chunk] == ["429"]
    assert text_of([chunk for chunk in chunks if "choices" in chunk]) == "One. Two. Three."


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": 5}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["x"] * 129}, "prompt"),
        ({"prompt": ["x"] * 65, "n": 2}, "prompt"),
        ({"n": 0}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"guard": {"polcy": "x"}}, "guard.polcy"),
        ({"prompt": ["a", 3]}, "prompt"),
    ],
)
def test_bad_input_is_named(live: Live, body: dict[str, Any], param: str) -> None:
    response = post(live, **body)
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith(param)


@pytest.mark.parametrize("body", [{"prompt": [1, 2]}, {"prompt": [[1], [2]]}, {"suffix": "x"}, {"echo": True}])
def test_what_no_session_can_follow_needs_a_server_that_it_can_go_to(live: Live, body: dict[str, Any]) -> None:
    response = post(live, **body)
    assert response.status_code == 404
    assert "chats and completions only" in response.json()["error"]["message"]


def test_the_official_client_reads_it(live: Live) -> None:
    live.say(answer([{"content": FALSE}, {"finish": "stop"}], [{"content": " Three."}, {"finish": "stop"}]))
    client = OpenAI(base_url=f"{live.url}/v1", api_key="x", max_retries=0)
    with client.completions.create(model="m", prompt="Count:", stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == CLEAN
    assert client.completions.create(model="m", prompt="Count:").choices[0].text == CLEAN


def test_the_built_in_model_goes_on_from_a_raw_prompt(tmp_path: Path) -> None:
    world = Path(__file__).parents[2] / "guard" / "world"
    model = {"name": "m", "backend": "transformers", "model": str(world / "model")}
    with serving(settings(tmp_path, models=[model])) as live:
        whole = post(live, prompt="Velwick is a city in", max_tokens=3, temperature=0, logprobs=2).json()
    (choice,) = whole["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["text"].strip()
    assert whole["usage"]["completion_tokens"] == 3
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
    assert [len(top) for top in choice["logprobs"]["top_logprobs"]] == [2, 2, 2]
    Completion.model_validate(whole, strict=True)


def test_usage_adds_up() -> None:
    one = {"prompt_tokens": 2, "guard": {"interruptions": 1, "delivered": {"total_tokens": 5}}}
    two = {"prompt_tokens": 3, "guard": {"interruptions": 0, "delivered": {"total_tokens": 1}, "estimated": True}}
    assert summed([one, two]) == {
        "prompt_tokens": 5,
        "guard": {"interruptions": 1, "delivered": {"total_tokens": 6}, "estimated": True},
    }
    assert summed([one]) == one
    odd: list[dict[str, Any]] = [{"details": None}, {"details": {"cached": 8}}, {"details": 3}, {"details": "x"}]
    for first in odd:
        for second in odd:
            summed([first, second])
    assert summed(odd[:2]) == {"details": {"cached": 8}}


values = (
    st.none() | st.booleans() | st.integers(-2, 200) | st.text(max_size=5) | st.lists(st.integers(0, 3), max_size=2)
)
fields = st.sampled_from(["model", "prompt", "n", "stop", "stream", "suffix", "echo", "best_of", "guard", "max_tokens"])


@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(fields, values | st.lists(st.text(max_size=3), max_size=3)))
def test_any_body_is_understood_or_refused_in_words(body: dict[str, Any]) -> None:
    raw = json.dumps({"model": "m"} | body).encode()
    try:
        call = parse_completion(raw)
    except RequestError:
        return
    assert bool(call.unsupervised) != bool(call.calls)
    assert len(call.calls) == len(call.prompts)
