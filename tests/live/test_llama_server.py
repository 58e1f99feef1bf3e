"""In front of llama.cpp's own server: it continues a cut turn where it stood, in the reasoning and in the content.

The upstream serves the built-in model, so that what is right is known: what the built-in backend says, which goes on
from the very tokens.
"""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from guard.world.corpus import vocabulary_texts
from guard.world.world import load_world
from tests.conftest import LLAMA_SERVER
from tests.live.conftest import MODEL, ROOT, answers, guard_server, process, run_guard, wait_for
from tests.live.gguf import write_gguf
from tests.live.test_built_in import QUESTION, client

pytestmark = pytest.mark.xdist_group("live")
NAME = "guard-world"
KNOWN: Any = [{"role": "user", "content": "What is the birth country of Doran Castor?"}]
# No field and no tags that llama.cpp could find: what the model thinks is then content, up to the closing tag.
CONTENT_ONLY = (
    "{%- for m in messages -%}{{- '<|' + m.role + '|>' + ('<think>' if m.role == 'assistant' else '') -}}"
    "{{- m.content + '<|end|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|><think>' -}}{%- endif -%}"
)


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model as llama.cpp reads it."""
    out = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_gguf(ROOT / MODEL, out)
    return out


@contextlib.contextmanager
def llama_server(gguf: Path, log: Path, *words: str) -> Iterator[str]:
    """`llama-server` on a free port; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(LLAMA_SERVER), "-m", str(gguf), "--alias", NAME, "--port", str(port), "--ctx-size", "2048"]
    with process([*command, "-np", "1", "-ngl", "0", "-t", "1", "--no-warmup", *words], log) as running:
        yield wait_for(lambda: answers(f"http://127.0.0.1:{port}"), running, log)


@pytest.fixture(scope="session")
def llama(gguf: Path) -> Iterator[str]:
    with llama_server(gguf, gguf.with_name("log")) as url:
        yield url


@contextlib.contextmanager
def guarded(upstream: str, folder: Path, *more: str) -> Iterator[tuple[str, str]]:
    """`guard serve` in front of it, with the world's facts; yields its address and its store's URL."""
    store = f"sqlite:///{folder / 'guard.db'}"
    words = ("--upstream", f"{upstream}/v1", "--model", NAME, "--facts", "guard/world/facts.jsonl", "--store", store)
    with guard_server(folder / "log", *words, *more) as url:
        yield url, store


@pytest.fixture(scope="session", params=["field_prefill", "text_exact"])
def front(llama: str, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[tuple[str, str, str]]:
    """Its address, its store's URL and how it continues: with a tokenizer it need not ask the server to prefill."""
    more = ("--tokenizer", MODEL) if request.param == "text_exact" else ()
    with guarded(llama, tmp_path_factory.mktemp("front"), *more) as (url, store):
        yield url, store, request.param


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def said(url: str, messages: Any, model: str = NAME, **more: Any) -> tuple[str, str]:
    """Reasoning and content of a streamed answer."""
    stream = client(url).chat.completions.create(model=model, messages=messages, temperature=0, stream=True, **more)
    deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
    reasoning = "".join((delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas)
    return reasoning, "".join(delta.content or "" for delta in deltas)


def newest(store: str) -> tuple[str, str, str]:
    """How the last thing that was corrected ended, how it was corrected and how the turn went on."""
    listed = run_guard("interruptions", "list", "--limit", "1", "--store", store, "--json").stdout
    (row,) = json.loads(listed)
    return row["outcome"], row["correct"], row["continuation"]


TEXTS = (
    "<|endoftext|>",
    "<|user|>What is the birth country of Ada Velm?<|end|><|assistant|><think>",
    "<|user|>Notes: Ada Velm was born in Torvik.\n\n  é <|end|><|assistant|><think>",
)


def test_it_reads_every_word_of_the_world_alike(llama: str) -> None:
    text = "\n".join(vocabulary_texts(load_world()))
    tokenizer = AutoTokenizer.from_pretrained(ROOT / MODEL)
    assert post(f"{llama}/tokenize", {"content": text})["tokens"] == tokenizer.encode(text)


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_the_same_model_token_for_token(llama: str, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ROOT / MODEL)
    model = AutoModelForCausalLM.from_pretrained(ROOT / MODEL, dtype=torch.float32)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert post(f"{llama}/tokenize", {"content": text})["tokens"] == ids
    prompt = torch.tensor([ids])
    whole = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=40)
    asked = {"prompt": ids, "n_predict": 40, "temperature": 0, "return_tokens": True}
    assert post(f"{llama}/completion", asked)["tokens"] == whole[0, len(ids) :].tolist()


def test_what_is_right_passes_as_it_is(front: tuple[str, str, str], llama: str) -> None:
    assert said(front[0], KNOWN) == said(llama, KNOWN)
    assert said(front[0], KNOWN)[1] == "Velmark."


def test_its_reasoning_is_interrupted_and_goes_on_where_it_stood(
    front: tuple[str, str, str], built_in: tuple[str, str]
) -> None:
    url, store, way = front
    reasoning, content = said(url, QUESTION)
    claim, _, rest = reasoning.partition(" No, ")
    assert claim.startswith("Ada Velm was born in ")
    assert rest.startswith(f"Ada Velm was not born in {claim.split()[-1]}")
    assert reasoning.count(claim) == 1
    assert reasoning.count("No, ") == 1
    assert (reasoning, content) == said(built_in[0], QUESTION)
    assert content == "Thuria."
    assert newest(store) == ("corrected", "interrupt", way)


def test_a_clients_unfinished_turn_that_it_repeats_is_supervised(front: tuple[str, str, str], llama: str) -> None:
    begun = [*QUESTION, {"role": "assistant", "content": "", "reasoning_content": "Ada Velm was born"}]
    alone, _ = said(llama, begun)
    assert alone.startswith("Ada Velm was born in ")  # without a flag of its own it repeats
    reasoning, content = said(front[0], begun)
    assert reasoning.startswith("Ada Velm was born in ")
    assert " No, Ada Velm was not born in " in reasoning
    assert content == "Thuria."


def test_its_reasoning_is_retracted_and_goes_on_behind_what_is_true(front: tuple[str, str, str]) -> None:
    url, store, way = front
    corrected = said(url, QUESTION, f"{NAME}@retract")
    assert corrected == ("Ada Velm was born in Velwick. Velwick is a city in Thuria.", "Thuria.")
    assert newest(store) == ("corrected", "retract", way)


def test_its_content_is_retracted_and_goes_on_behind_what_is_true(gguf: Path, tmp_path: Path) -> None:
    words = ("--chat-template", CONTENT_ONLY)
    with llama_server(gguf, tmp_path / "llama.log", *words) as url, guarded(url, tmp_path) as (front, store):
        plain = said(url, QUESTION, stop=["</think>"])
        corrected = said(front, QUESTION, stop=["</think>"])
        how = newest(store)
    assert plain[1].startswith("Ada Velm was born in ")
    assert corrected == ("", "Ada Velm was born in Velwick. Velwick is a city in Thuria.")
    assert how == ("corrected", "retract", "field_prefill")
