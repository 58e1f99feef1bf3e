"""A probe in the decode loop: the same tokens, a probability with each, and no file but this model's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from guard.backends.transformers.head import FORMAT, Fitted, fingerprint, fold, read, sigmoid, write
from guard.backends.transformers.model import LocalModel
from guard.core.types import Resume, Token
from guard.errors import ConfigError
from tests.backends.tiny_models import answer, collect, deltas, local, request, running, text, tiny, tokenizer

WIDTH = 48


def fitted(layer: int = 1, **changes: Any) -> Fitted:
    """A head of chance, strong enough for its probabilities to differ."""
    torch.manual_seed(3)
    made = Fitted(
        layer=layer,
        weights=torch.randn(WIDTH),
        mean=torch.randn(WIDTH),
        scale=torch.rand(WIDTH) + 0.5,
        bias=0.3,
        calibration=(0.2, -0.1),
        about={"trained on": "tiny"},
    )
    return replace(made, **changes)


def written(folder: Path, model: LocalModel, **changes: Any) -> str:
    path = folder / "probe.safetensors"
    write(path, fitted(**changes), model)
    return str(path)


def tokens(items: Any) -> list[Token]:
    return [token for delta in deltas(items) for token in delta.tokens]


def expected(model: LocalModel, head: Fitted, prompt: tuple[int, ...], said: list[int]) -> list[float]:
    """As the file says it, over one pass with everything at once."""
    with torch.inference_mode():
        states = model.states([(*prompt, *said)], head.layer)[0, len(prompt) - 1 : -1]
    z = ((states - head.mean) / head.scale) @ head.weights + head.bias
    return torch.sigmoid(head.calibration[0] * z + head.calibration[1]).tolist()


@pytest.mark.parametrize("name", ["qwen3", "llama", "sliding", "hybrid"])
@pytest.mark.parametrize("layer", [0, 1, 2])
async def test_every_token_tells_what_the_head_makes_of_the_state_it_was_predicted_from(
    name: str, layer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = local(name)
    path = written(tmp_path, model, layer=layer)
    async with running(local(name), monkeypatch, reasoning="none", probe=path) as backend:
        turn = backend.begin(request(max_tokens=12, seed=1, temperature=1.0))
        items = await collect(turn)
        prompt = (await turn._prepared()).prompt.ids
        said = tokens(items)
        wanted = expected(model, fitted(layer), prompt, [token.id for token in said])
    assert len(said) > 5
    assert [token.probe for token in said] == pytest.approx(wanted, abs=1e-4)
    if layer:  # the embedding of one and the same token is always the same
        assert len({round(token.probe or 0, 6) for token in said}) > 3


async def test_tokens_and_log_probabilities_are_those_without_a_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def said(**options: Any) -> list[Token]:
        async with running(local("qwen3"), monkeypatch, reasoning="none", **options) as backend:
            return tokens(await answer(backend, request(max_tokens=30, seed=5, temperature=1.0, n=2)))

    plain = await said()
    probed = await said(probe=written(tmp_path, local("qwen3")))
    assert all(token.probe is None for token in plain)
    assert [replace(token, probe=None) for token in probed] == plain


async def test_a_turn_that_goes_on_after_a_cut_is_probed_on_what_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = local("qwen3")
    async with running(local("qwen3"), monkeypatch, reasoning="none", probe=written(tmp_path, model)) as backend:
        turn = backend.begin(request(max_tokens=8))
        kept = text(await collect(turn), "content") + " No."
        resume = Resume(kept={"content": kept}, open_channel="content", put_in=" No.", max_tokens=8)
        items = await collect(turn, 1, 0, resume)
        prompt = (await turn._prepared()).prompt.ids
        track = turn._choices[0].track.ids
    said = tokens(items)
    before = track[: len(track) - len(said)]
    assert [token.id for token in said] == track[len(before) :]
    wanted = expected(model, fitted(), (*prompt, *before), [token.id for token in said])
    assert [token.probe for token in said] == pytest.approx(wanted, abs=1e-4)


def test_a_file_says_what_was_fitted(tmp_path: Path) -> None:
    model = local("llama")
    head, told = read(Path(written(tmp_path, model)), model), fold(fitted(), torch.device("cpu"))
    assert head.layer == told.layer
    assert head.bias == pytest.approx(told.bias, abs=1e-5)
    assert torch.allclose(head.weights, told.weights)
    assert 0 <= head(torch.full((WIDTH,), 1e6)) <= 1


@pytest.mark.parametrize("value", [-1e300, -800.0, 0.0, 800.0, 1e300])
def test_no_value_is_too_large(value: float) -> None:
    assert 0 <= sigmoid(value) <= 1


def test_a_fingerprint_is_of_the_weights_whatever_their_precision() -> None:
    model = local("llama")
    assert fingerprint(model) == fingerprint(local("llama"))
    assert fingerprint(model) != fingerprint(local("qwen3"))
    other = type(tiny("llama"))(tiny("llama").config)
    other.load_state_dict(tiny("llama").state_dict())
    assert fingerprint(LocalModel(other.to(torch.float64))) == fingerprint(model)
    with torch.no_grad():
        next(iter(other.parameters()))[0, 0] += 1
    assert fingerprint(LocalModel(other)) != fingerprint(model)


def _broken(folder: Path, model: LocalModel, how: str) -> Path:
    path = Path(written(folder, model))
    tensors = load_file(path)
    metadata = {"format": FORMAT, "layer": "1", "model": fingerprint(model), "trained on": "tiny"}
    if how == "missing":
        return folder / "none.safetensors"
    if how == "text":
        path.write_text("no tensors")
        return path
    if how == "format":
        metadata["format"] = "other"
    elif how == "model":
        metadata["model"] = "0" * 64
    elif how == "layer":
        metadata["layer"] = "3"
    elif how == "width":
        tensors["weights"] = torch.zeros(WIDTH - 1)
    elif how == "absent":
        del tensors["calibration"]
    elif how == "nan":
        tensors["bias"] = torch.tensor([float("nan")])
    elif how == "scale":
        tensors["scale"][3] = 0.0
    save_file(tensors, path, metadata)
    return path


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "cannot be read"),
        ("text", "cannot be read"),
        ("format", "is no probe"),
        ("model", "is of another model ('tiny')"),
        ("layer", "there is no layer '3', 0 to 2 are"),
        ("width", r"'weights' must be (48,) finite numbers, not (47,)"),
        ("absent", "'calibration' must be (2,) finite numbers, not None"),
        ("nan", "'bias' must be (1,) finite numbers"),
        ("scale", "every 'scale' must be above 0"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(how: str, says: str, tmp_path: Path) -> None:
    model = local("llama")
    path = _broken(tmp_path, model, how)
    with pytest.raises(ConfigError) as error:
        read(path, model)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert repr(str(path)) in str(error.value)


def test_another_models_probe_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start() -> None:
        async with running(local("qwen3"), monkeypatch, probe=written(tmp_path, local("llama"))):
            pass

    with pytest.raises(ConfigError, match="is of another model"):
        asyncio.run(start())


def test_it_cannot_be_written_into_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write(tmp_path / "none" / "p.safetensors", fitted(), local("llama"))


def test_a_batch_reads_each_text_as_if_alone() -> None:
    model = local("qwen3")
    rows = [tokenizer().encode(words) for words in ("The river", "The river runs through the city. Wait,")]
    with torch.inference_mode():
        both = model.states(rows, 2)
        for number, row in enumerate(rows):
            assert torch.allclose(both[number, : len(row)], model.states([row], 2)[0], atol=1e-5)
