"""What a newcomer does first: the built-in model, asked with the real client, and the log it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from transformers import AutoTokenizer

from tests.live.conftest import ROOT, run_guard

pytestmark = pytest.mark.xdist_group("live")
QUESTION: Any = [{"role": "user", "content": "What is the birth country of Ada Velm?"}]


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)


def test_a_streamed_answer_is_interrupted_and_right(built_in: tuple[str, str]) -> None:
    stream = client(built_in[0]).chat.completions.create(
        model="guard-world", messages=QUESTION, temperature=0, stream=True
    )
    reasoning, content, events, finishes = "", "", [], []
    for chunk in stream:
        delta = chunk.choices[0].delta
        reasoning += (delta.model_extra or {}).get("reasoning_content") or ""
        content += delta.content or ""
        events += [event] if (event := (chunk.model_extra or {}).get("guard")) else []
        finishes += [chunk.choices[0].finish_reason] if chunk.choices[0].finish_reason else []
    assert content == "Thuria."
    assert [event["event"] for event in events] == ["interruption"]
    start, end = events[0]["span"]
    claim = reasoning[start:end]
    assert claim.startswith("Ada Velm was born in")
    assert reasoning[end:].startswith(f" No, Ada Velm was not born in {claim.split()[-1]}")
    assert finishes == ["stop"]


def test_the_whole_answer_is_the_collected_stream(built_in: tuple[str, str]) -> None:
    whole = client(built_in[0]).chat.completions.create(model="guard-world", messages=QUESTION, temperature=0)
    assert whole.choices[0].message.content == "Thuria."
    assert whole.usage is not None
    usage = (whole.usage.model_extra or {})["guard"]
    assert usage["interruptions"] == 1
    assert usage["delivered"]["prompt_tokens"] < whole.usage.prompt_tokens
    assert "estimated" not in usage


def test_unsupervised_it_believes_what_it_made_up(built_in: tuple[str, str]) -> None:
    whole = client(built_in[0]).chat.completions.create(model="guard-world@off", messages=QUESTION, temperature=0)
    assert whole.choices[0].message.content != "Thuria."


def test_retracted_the_claim_is_never_seen(built_in: tuple[str, str]) -> None:
    whole = client(built_in[0]).chat.completions.create(model="guard-world@retract", messages=QUESTION, temperature=0)
    message = whole.choices[0].message
    assert (message.model_extra or {})["reasoning_content"] == (
        "Ada Velm was born in Velwick. Velwick is a city in Thuria."
    )
    assert message.content == "Thuria."


def test_too_long_a_prompt_is_the_clients_error(built_in: tuple[str, str]) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client(built_in[0]).chat.completions.create(
            model="guard-world", messages=[{"role": "user", "content": "Ada Velm " * 3000}]
        )
    assert raised.value.code == "context_length_exceeded"


def test_the_log_is_listed_shown_and_exported(built_in: tuple[str, str], tmp_path: Path) -> None:
    url, store = built_in
    client(url).chat.completions.create(model="guard-world", messages=QUESTION, temperature=0)
    listed = json.loads(run_guard("interruptions", "list", "--store", store, "--json").stdout)
    corrected = next(row for row in listed if row["outcome"] == "corrected" and row["correct"] == "interrupt")
    shown = json.loads(run_guard("interruptions", "show", corrected["id"], "--tokens", "--store", store).stdout)
    assert shown["interruption"]["claim"]["text"] == corrected["claim"]
    assert shown["interruption"]["claim"]["tokens"]
    out = tmp_path / "rows.jsonl"
    words = ("--out", str(out), "--store", store, "--tokenizer", str(ROOT / "guard/world/model"), "--unreviewed")
    # Others have asked the same.
    exported = run_guard("export", "prompt_completion", *words, "--dedupe", "none")
    assert exported.returncode == 0, exported.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    row = next(row for row in rows if row["id"] == corrected["id"])
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "guard/world/model")
    trained = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100]
    target = tokenizer.decode(trained)
    assert target.startswith(" No, Ada Velm was not born in")
    assert target.endswith("</think>Thuria.<|end|>")
    assert corrected["claim"] in tokenizer.decode(row["input_ids"])
    assert corrected["claim"] not in target


def test_the_demonstration_shows_the_interruption_as_plain_text() -> None:
    shown = run_guard("demo")
    assert shown.returncode == 0, shown.stderr
    assert "[-Ada Velm was born in" in shown.stdout
    assert "[+No, Ada Velm was not born in" in shown.stdout
    assert "answer: Thuria." in shown.stdout
