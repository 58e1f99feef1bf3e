"""In front of a server that is not ours: interrupted and continued over its own `/v1/completions`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.conftest import MODEL, guard_server, run_guard
from tests.live.test_built_in import QUESTION, client

pytestmark = pytest.mark.xdist_group("live")


def test_a_foreign_server_is_interrupted_and_continued(transformers_serve: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'guard.db'}"
    words = ("--upstream", f"{transformers_serve}/v1", "--model", MODEL, "--tokenizer", MODEL)
    with guard_server(tmp_path / "log", *words, "--facts", "guard/world/facts.jsonl", "--store", store) as url:
        stream = client(url).chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, stream=True)
        chunks = list(stream)
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert content.endswith("Thuria.")
    assert [(c.model_extra or {})["guard"]["event"] for c in chunks if "guard" in (c.model_extra or {})] == [
        "interruption"
    ]
    assert len({chunk.id for chunk in chunks}) == 1
    (row,) = json.loads(run_guard("interruptions", "list", "--store", store, "--json").stdout)
    assert (row["outcome"], row["continuation"]) == ("corrected", "text_exact")


def test_it_goes_on_with_no_prefilled_message_and_the_probe_says_so(transformers_serve: str) -> None:
    told = json.loads(run_guard("probe", f"{transformers_serve}/v1", "--model", MODEL, "--json").stdout)
    assert {told[channel]["continuation"] for channel in ("content", "reasoning")} == {"reask"}
    assert not [
        trial for c in ("content", "reasoning") for trial in told[c]["trials"] if trial["verdict"] == "continues"
    ]
    assert told["completions"] == "works"
    exact = run_guard("probe", f"{transformers_serve}/v1", "--model", MODEL, "--tokenizer", MODEL, "--json")
    assert json.loads(exact.stdout)["reasoning"]["continuation"] == "text_exact"
