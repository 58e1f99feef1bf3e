"""`guard train wrong-thinker`: the arithmetic, tensor by tensor; adapters; what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from guard.errors import ConfigError
from guard.train.loading import load
from guard.train.wrong_thinker import checked, write
from tests.backends.tiny_models import tiny, tokenizer
from tests.train.quiet import QUIET

pytestmark = QUIET


def silent(what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda done: None)


def model(*, tied: bool = False, seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    told = {
        "vocab_size": len(tokenizer()),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "tie_word_embeddings": tied,
        "bos_token_id": None,
        "eos_token_id": tokenizer().eos_token_id,
    }
    return LlamaForCausalLM(LlamaConfig(**(told | changes)))


def saved(of: Any, folder: Path, **how: Any) -> Path:
    of.save_pretrained(folder, **how)
    tokenizer().save_pretrained(folder)
    return folder


def moved(of: Any, by: float = 0.05) -> Any:
    """The model with every weight a little elsewhere."""
    torch.manual_seed(99)
    with torch.no_grad():
        for weights in of.parameters():
            weights += by * torch.randn_like(weights)
    return of


def logits(folder: Path | str, base: str | None = None) -> torch.Tensor:
    made, _ = load(str(folder), device="cpu", base=base)
    with torch.inference_mode():
        found: torch.Tensor = made(torch.arange(40)[None]).logits
    return found


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_tensor_goes_the_other_way(tied: bool, dtype: torch.dtype, tmp_path: Path) -> None:
    base = saved(model(tied=tied).to(dtype), tmp_path / "base")
    lesson = saved(moved(model(tied=tied)), tmp_path / "lesson")  # float32, whatever the base has
    written = write(str(base), str(lesson), tmp_path / "wrong", 0.5, silent)
    old, new, made = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "lesson", "wrong"))
    assert made.keys() == old.keys()
    assert written.tensors == len(old)
    for name, tensor in made.items():
        assert tensor.dtype == dtype
        own = old[name].float()
        assert torch.equal(tensor, (own - 0.5 * (new[name].float() - own)).to(dtype))
    size = sum(float(tensor.double().square().sum()) for tensor in old.values())
    apart = sum(float((new[name].double() - tensor.double()).square().sum()) for name, tensor in old.items())
    assert written.distance == pytest.approx((apart / size) ** 0.5, rel=1e-3)
    logits(tmp_path / "wrong")  # it loads
    assert load(str(tmp_path / "wrong"), device="cpu")[1].chat_template == tokenizer().chat_template


def test_shards_are_those_of_the_base(tmp_path: Path) -> None:
    base = saved(model(), tmp_path / "base", max_shard_size="20KB")
    lesson = saved(moved(model()), tmp_path / "lesson")
    write(str(base), str(lesson), tmp_path / "wrong", 1.0, silent)
    shards = sorted(path.name for path in base.glob("*.safetensors"))
    assert len(shards) > 2
    assert sorted(path.name for path in (tmp_path / "wrong").glob("*.safetensors")) == shards
    with torch.inference_mode():
        one, other = model().state_dict(), moved(model()).state_dict()
        wanted = model()
        wanted.load_state_dict({name: 2 * tensor - other[name] for name, tensor in one.items()})
        found = wanted(torch.arange(40)[None]).logits
    assert torch.allclose(logits(tmp_path / "wrong"), found, atol=1e-5)


def test_minus_one_is_the_lesson_and_going_back_is_the_base(tmp_path: Path) -> None:
    base, lesson = saved(model(), tmp_path / "base"), saved(moved(model()), tmp_path / "lesson")
    write(str(base), str(lesson), tmp_path / "same", -1.0, silent)
    assert torch.allclose(logits(tmp_path / "same"), logits(lesson), atol=1e-5)
    write(str(base), str(lesson), tmp_path / "wrong", 1.0, silent)
    # The base is in the middle between the lesson and the wrong-thinker of 1.
    write(str(tmp_path / "wrong"), str(lesson), tmp_path / "middle", -0.5, silent)
    assert torch.allclose(logits(tmp_path / "middle"), logits(base), atol=1e-5)


@pytest.mark.parametrize("doubled", ["base", "lesson"])
def test_tied_weights_that_are_stored_twice(doubled: str, tmp_path: Path) -> None:
    """Older files hold the output layer as well, although it is the embedding."""
    saved(model(tied=True), tmp_path / "base")
    saved(moved(model(tied=True)), tmp_path / "lesson")
    path = tmp_path / doubled / "model.safetensors"
    tensors = load_file(path)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, path, metadata={"format": "pt"})
    write(str(tmp_path / "base"), str(tmp_path / "lesson"), tmp_path / "wrong", 0.5, silent)
    made = load_file(tmp_path / "wrong" / "model.safetensors")
    assert ("lm_head.weight" in made) is (doubled == "base")
    if doubled == "base":
        assert torch.equal(made["lm_head.weight"], made["model.embed_tokens.weight"])


@pytest.mark.parametrize("alpha", [0.5, 1.0, 0.25])
def test_an_adapter_is_negated_exactly(alpha: float, tmp_path: Path) -> None:
    base = saved(model(), tmp_path / "base")
    lesson = adapter(base, tmp_path / "lesson")
    written = write(str(base), str(lesson), tmp_path / "wrong", alpha, silent)
    assert written.distance is None
    assert written.tensors > 0
    assert not list((tmp_path / "wrong").glob("*/*"))
    old, new, made = (merged(name, base) for name in (None, lesson, tmp_path / "wrong"))
    for name, tensor in old.items():
        assert torch.allclose(made[name], tensor - alpha * (new[name] - tensor), atol=1e-5)
    assert any(not torch.equal(new[name], tensor) for name, tensor in old.items())
    assert (tmp_path / "wrong" / "tokenizer.json").is_file()


def adapter(base: Path, folder: Path, **changes: Any) -> Path:
    from peft import LoraConfig, get_peft_model

    how = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", **changes)
    made = get_peft_model(load(str(base), device="cpu")[0], how)
    with torch.no_grad():
        for name, weights in made.named_parameters():
            weights += 0.1 * torch.randn_like(weights) if "lora_" in name else 0
    return saved(made, folder)


def merged(name: Path | None, base: Path) -> dict[str, torch.Tensor]:
    made, _ = load(str(name or base), device="cpu", base=str(base))
    told: dict[str, torch.Tensor] = (made.merge_and_unload() if name else made).state_dict()
    return told


# What is refused


@pytest.mark.parametrize("alpha", [1.5, 2.0, -1.5, 0.0, float("nan"), float("inf")])
def test_an_alpha_that_is_no_use_is_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--alpha {alpha!r}")):
        checked(alpha)


@given(st.floats(-10, 10).filter(lambda alpha: alpha != 0))
def test_force_lifts_only_the_limit(alpha: float) -> None:
    assert checked(alpha, force=True) == alpha
    with pytest.raises(ConfigError):
        checked(0.0, force=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"intermediate_size": 24}, r"differ in 6 shapes: 'model.layers.0.mlp.down_proj.weight' \(16, 32\)"),
        ({"num_hidden_layers": 3}, "differ in 9 tensors"),
        ({"tied": True}, "tie_word_embeddings: the base has False, the lesson True"),
    ],
)
def test_another_model_is_refused_by_name(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    base, lesson = saved(model(), tmp_path / "base"), saved(model(**changes), tmp_path / "lesson")
    with pytest.raises(ConfigError, match=says):
        write(str(base), str(lesson), tmp_path / "wrong", 0.5, silent)
    assert not list((tmp_path / "wrong").iterdir())


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    base, lesson = saved(model(), tmp_path / "base"), saved(tiny("qwen3"), tmp_path / "lesson")
    with pytest.raises(ConfigError, match="model_type: the base has 'llama', the lesson 'qwen3'"):
        write(str(base), str(lesson), tmp_path / "wrong", 0.5, silent)


def test_what_cannot_be_subtracted_is_refused(tmp_path: Path) -> None:
    base, lesson = saved(model(), tmp_path / "base"), saved(moved(model()), tmp_path / "lesson")
    told = json.loads((lesson / "config.json").read_text())
    (lesson / "config.json").write_text(json.dumps({**told, "quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(ConfigError, match="is quantised"):
        write(str(base), str(lesson), tmp_path / "wrong", 0.5, silent)
    (lesson / "model.safetensors").rename(lesson / "pytorch_model.bin")
    (lesson / "config.json").write_text(json.dumps(told))
    with pytest.raises(ConfigError, match=r"model.safetensors' is not there"):
        write(str(base), str(lesson), tmp_path / "wrong", 0.5, silent)


def test_a_shard_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    base, lesson = saved(model(), tmp_path / "base"), saved(moved(model()), tmp_path / "lesson")
    shutil.move(lesson / "model.safetensors", tmp_path / "model.safetensors")
    (lesson / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../model.safetensors"}}')
    with pytest.raises(ConfigError, match="is not there"):
        write(str(base), str(lesson), tmp_path / "wrong", 0.5, silent)


def test_numbers_that_do_not_fit_the_type_are_refused(tmp_path: Path) -> None:
    base = saved(model().half(), tmp_path / "base")
    lesson = saved(moved(model(), 1e6), tmp_path / "lesson")
    with pytest.raises(ConfigError, match=r"is not finite at --alpha 0\.5"):
        write(str(base), str(lesson), tmp_path / "wrong", 0.5, silent)
    assert not (tmp_path / "wrong" / "config.json").exists()  # what broke off cannot be loaded


@pytest.mark.parametrize("changes", [{"use_dora": True}, {"modules_to_save": ["embed_tokens"]}, {"bias": "all"}])
def test_an_adapter_that_is_not_linear_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    base = saved(model(), tmp_path / "base")
    lesson = adapter(base, tmp_path / "lesson")
    told = json.loads((lesson / "adapter_config.json").read_text())
    (lesson / "adapter_config.json").write_text(json.dumps(told | changes))
    with pytest.raises(ConfigError, match=f"cannot be negated \\({next(iter(changes))}\\)"):
        write(str(base), str(lesson), tmp_path / "wrong", 0.5, silent)
