"""Loading, refusing, and what the engine offers beside text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from guard.backends.transformers import plugin
from guard.backends.transformers.backend import LocalOptions
from guard.core.types import Resume
from guard.errors import ConfigError, MissingExtra, RequestError, UpstreamError
from tests.backends.tiny_models import (
    Script,
    answer,
    collect,
    local,
    request,
    running,
    text,
    tiny,
    tokenizer,
    usage,
)


async def test_it_loads_from_a_folder_and_says_what_it_is(tmp_path: Path) -> None:
    tiny("qwen3").save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    backend = plugin(LocalOptions(model=str(tmp_path), device="cpu"))
    assert backend.count("12345") == 2
    with pytest.raises(UpstreamError):
        backend.begin(request())
    await backend.start()
    try:
        items = await answer(backend, request(max_tokens=4))
        assert usage(items)["completion_tokens"] == 4
        assert backend.count("the river") == len(tokenizer().encode("the river"))
        assert await backend.ready() == {
            "ok": True,
            "continuation": "token_exact",
            "model": str(tmp_path),
            "device": "cpu",
        }
    finally:
        await backend.close()


async def test_what_cannot_be_loaded_is_a_config_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        await plugin(LocalOptions(model=str(tmp_path))).start()
    with pytest.raises(ConfigError, match="device"):
        await plugin(LocalOptions(model=str(tmp_path), device="teapot")).start()
    monkeypatch.setattr(tokenizer(), "chat_template", None)
    with pytest.raises(ConfigError, match="chat template"):
        async with running(Script(), monkeypatch):
            pass


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("guard.backends.transformers")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"premise-guard\[local\]"):
        __import__("guard.backends.transformers")


async def test_hidden_states_come_with_the_same_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = local("llama", hidden=True)
    with torch.inference_mode():
        output = model.forward([1, 2, 3], model.cache())
    assert output.hidden is not None
    assert output.hidden.shape == (48,)
    with torch.inference_mode():
        assert torch.allclose(tiny("llama").lm_head(output.hidden), output.logits, atol=1e-5)
    async with running(model, monkeypatch) as backend:
        seen: list[Any] = []
        model.forwards = 0
        backend.on_step = seen.append
        await answer(backend, request(max_tokens=4, logit_bias={str(tokenizer().eos_token_id): -100}))
    assert [step.hidden.shape for step in seen] == [(48,)] * 4
    assert model.forwards == 4


@pytest.mark.parametrize("calls", [True, False])
async def test_tool_calls_cannot_be_resumed(calls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("a"), monkeypatch) as backend:
        turn = backend.begin(request())
        kept: Any = {"tool_calls": "x"} if not calls else {}
        told: Any = ((object(), "no"),) if calls else ()
        with pytest.raises(RequestError, match="tools"):
            await collect(turn, 1, 0, Resume(kept=kept, open_channel="content", put_in="", calls=told))


async def test_a_template_that_opens_reasoning_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("so</think>Yes.", think=False), monkeypatch, reasoning="inline_open") as backend:
        items = await answer(backend, request(chat_template_kwargs={"think": False}))
        assert (text(items, "reasoning"), text(items, "content")) == ("so", "Yes.")


async def test_a_turn_that_did_not_begin_here_can_be_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script("", think=False), monkeypatch) as backend:
        turn = backend.begin(request(chat_template_kwargs={"think": False}))
        kept = Resume(kept={"reasoning": "So.", "content": "Yes"}, open_channel="content", put_in="", max_tokens=1)
        items = await collect(turn, 1, 0, kept)
        ids = turn._choices[0].sequence.ids[: usage(items)["prompt_tokens"]]
        assert tokenizer().decode(ids).endswith("assistant\n<think>So.</think>Yes")


async def test_no_choices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Script(), monkeypatch) as backend:
        with pytest.raises(RequestError, match="at least 1"):
            backend.begin(request(n=0))
