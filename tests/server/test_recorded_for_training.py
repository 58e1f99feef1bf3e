"""What an interruption's row holds to be trained on: the built-in model over HTTP, and SQLite afterwards."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer
from typer.testing import CliRunner

from guard.cli import app
from guard.core.records import InterruptionRecord
from guard.core.types import Spelled
from guard.settings import WORLD, built_in
from tests.server.live import Heard, Live, eventually, serving

QUESTION: Any = [{"role": "user", "content": "What is the birth country of Ada Velm?"}]
POLICY = {
    "name": "training",
    "watch": {"reasoning": {"release": "immediate", "correct": "interrupt"}},
    "checks": [{"check": "knowledge"}],
    "record": {"top_logprobs": 5, "counterfactual": 1.0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[Live]:
    (folder / "policy.yaml").write_text(yaml.safe_dump(POLICY), encoding="utf-8")
    policies = {"default": str(folder / "policy.yaml"), "allowed": ["default", "off"]}
    with serving(built_in(policies=policies, store={"url": f"sqlite:///{folder}/guard.db"})) as live:
        yield live


@pytest.fixture(scope="module")
def heard(world: Live) -> Heard:
    response = world.client.post("/v1/chat/completions", json=body(stream=True))
    return Heard(response.content)


@pytest.fixture(scope="module")
def record(world: Live, heard: Heard) -> InterruptionRecord:
    assert heard.events
    eventually(lambda: result(world, "stored") == 1)
    (found,) = world.interruptions()
    return found


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "guard-world", "messages": QUESTION, "temperature": 0, **fields}


def result(live: Live, name: str) -> float:
    return live.metric("guard_counterfactuals_total", model="guard-world", policy="training", result=name)


def spell(tokens: Spelled) -> str:
    return "".join(token.text for _, token in tokens)


def test_the_rows_tokens_are_the_models_with_their_alternatives(record: InterruptionRecord) -> None:
    closing = record.closing
    assert closing is not None
    assert (closing.outcome, closing.complete, closing.answer) == ("corrected", True, "Thuria.")
    tokenizer = AutoTokenizer.from_pretrained(WORLD / "model")
    for text, tokens in ((closing.followed, closing.followed_tokens), (closing.answer, closing.answer_tokens)):
        assert spell(tokens) == text != ""
        assert tokenizer.decode([token.id for _, token in tokens]) == text
        assert all(text.startswith(token.text, at) for at, token in tokens)
        for _, token in tokens:
            assert token.logprob is not None
            assert [len(token.top), len(token.top_texts)] == [5, 0]
            assert token.top[0] == (token.id, token.logprob)  # it was asked greedily
            assert sorted(token.top, key=lambda pair: -pair[1]) == list(token.top)


def test_the_counterfactual_is_the_rest_of_the_reasoning_as_the_model_writes_it_uncut(
    world: Live, record: InterruptionRecord
) -> None:
    plain = world.client.post("/v1/chat/completions", json=body(model="guard-world@off")).json()
    reasoning = plain["choices"][0]["message"]["reasoning_content"]
    cut = record.interruption
    assert record.counterfactual
    assert reasoning == cut.kept.get("reasoning", "") + cut.claim.text + record.counterfactual
    spent = world.metric(
        "guard_supervisor_tokens_total", model="guard-world", policy="training", check="counterfactual"
    )
    assert spent > 0


def test_the_client_sees_no_log_probabilities(heard: Heard) -> None:
    assert all(choice.get("logprobs") is None for chunk in heard.chunks for choice in chunk["choices"])


def test_a_client_that_asks_gets_as_many_alternatives_as_it_asked_for(world: Live) -> None:
    asked = body(model="guard-world@training", logprobs=True, top_logprobs=2)
    told = world.client.post("/v1/chat/completions", json=asked).json()["choices"][0]["logprobs"]["content"]
    assert told
    assert {len(token["top_logprobs"]) for token in told} == {2}
    closing = world.interruptions()[-1].closing
    assert closing is not None
    assert {len(token.top) for _, token in closing.followed_tokens} == {5}


def test_it_is_in_the_row_and_the_command_line_shows_it(folder: Path, world: Live, record: InterruptionRecord) -> None:
    key = record.interruption.id
    with sqlite3.connect(folder / "guard.db") as database:
        ((stored,),) = database.execute("SELECT record FROM interruption WHERE id = ?", (key,))
    row = json.loads(stored)
    assert row["counterfactual"] == record.counterfactual
    assert row["closing"]["followed_tokens"][0][1]["top"][0][0] == row["closing"]["followed_tokens"][0][1]["id"]
    words = ["interruptions", "show", key, "--tokens", "--store", f"sqlite:///{folder}/guard.db"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    printed = json.loads(shown.stdout)
    assert printed["counterfactual"] == row["counterfactual"]
    assert [at for at, _ in printed["closing"]["answer_tokens"]] == [at for at, _ in row["closing"]["answer_tokens"]]


def test_behind_an_openai_compatible_server_they_are_told_by_text(world: Live, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY), encoding="utf-8")
    model = {"name": "guard-world", "backend": "openai", "base_url": f"{world.url}/v1", "model": "guard-world@off"}
    changes: dict[str, Any] = {
        "models": [model],
        "policies": {"default": str(tmp_path / "policy.yaml"), "allowed": ["off"]},
        "store": {"url": f"sqlite:///{tmp_path}/guard.db"},
    }
    with serving(built_in(**changes)) as live:
        heard = Heard(live.client.post("/v1/chat/completions", json=body(stream=True)).content)
        assert all(choice.get("logprobs") is None for chunk in heard.chunks for choice in chunk["choices"])
        eventually(lambda: result(live, "stored") == 1)
        (found,) = live.interruptions()
    closing = found.closing
    assert closing is not None
    assert closing.continuation == "field_prefill"
    assert spell(closing.followed_tokens) == closing.followed != ""
    assert spell(closing.answer_tokens) == closing.answer == "Thuria."
    for _, token in closing.answer_tokens:
        assert (token.id, token.top_texts[0], len(token.top)) == (-1, token.text, 5)
    assert found.counterfactual
    plain = world.client.post("/v1/chat/completions", json=body(model="guard-world@off")).json()
    reasoning = plain["choices"][0]["message"]["reasoning_content"]
    assert (
        reasoning == found.interruption.kept.get("reasoning", "") + found.interruption.claim.text + found.counterfactual
    )
