"""Encoders that cannot be used, and packages that are not there: one line each, and nothing loaded in vain."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from guard.checks.grounding.encoders import folder_of, load
from guard.checks.grounding.model import SHIPPED
from guard.errors import ConfigError, MissingExtra
from guard.evaluation.cases import check_file
from tests.checks import encoder_models as tiny
from tests.checks.encoder_cases import built, grounded, with_stack

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no network", r"^the encoder '.*' holds neither encoder\.onnx nor config\.json; "),
        ("no tokenizer", r"^the encoder '.*' cannot be read: No such file or directory: .*tokenizer\.json"),
        ("no stack", r"^the stack '.*stack\.json' cannot be read: "),
        ("other trees", r"^the stack '.*' was fitted with the lexical model 'x', not with '"),
        ("spoilt network", r"^the encoder '.*encoder\.onnx' is not valid: "),
        ("spoilt tokenizer", r"^the tokenizer '.*tokenizer\.json' cannot be used: "),
        ("another network", r"^the encoder '.*encoder\.onnx' takes \['x'\] and gives \['y'\], not "),
        ("another tokenizer", r"^the encoder '.*' does not run: "),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(folder: Path, tmp_path: Path, how: str, told: str) -> None:
    spoilt = with_stack(folder, tmp_path / "spoilt")
    match how:
        case "no network":
            (spoilt / "encoder.onnx").unlink()
        case "no tokenizer":
            (spoilt / "tokenizer.json").unlink()
        case "no stack":
            (spoilt / "stack.json").unlink()
        case "other trees":
            tiny.stacked(spoilt, lexical="x")
        case "spoilt network":
            (spoilt / "encoder.onnx").write_bytes((folder / "encoder.onnx").read_bytes()[:-50])
        case "spoilt tokenizer":
            (spoilt / "tokenizer.json").write_text("{}")
        case "another network":
            _identity(spoilt / "encoder.onnx")
        case "another tokenizer":
            _larger(spoilt / "tokenizer.json")
    with pytest.raises(ConfigError, match=told) as raised:
        built(spoilt)
    assert "\n" not in str(raised.value)


def _identity(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def _larger(path: Path) -> None:
    """A tokenizer whose words the network has no numbers for."""
    raw = json.loads(path.read_text())
    vocabulary = raw["model"]["vocab"]
    raw["model"]["vocab"] = {word: at if word[0] == "[" else at + 9000 for word, at in vocabulary.items()}
    path.write_text(json.dumps(raw))


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere-at-all", "a/b/c", "", "a\\b"])
def test_a_path_that_is_no_folder_is_refused_and_not_looked_up(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is no folder; name one, a Hugging Face model, or 'shipped'$"):
        folder_of(name)


def test_names_of_published_models_are_no_folders(folder: Path) -> None:
    assert [folder_of(name) for name in ("org/name", "name")] == [None, None]
    assert folder_of(str(folder)) == folder


def test_an_unknown_published_model_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"^the encoder 'no-such/model-anywhere' cannot be used: .+$"):
        load("no-such/model-anywhere")


def test_trees_of_ones_own_need_a_stack_of_their_own(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "lexical.json"
    own.write_text(SHIPPED.read_text() + "\n")
    with pytest.raises(ConfigError, match="fitted with the lexical model"):
        built(folder, model=own)


@pytest.mark.parametrize(
    ("package", "extra"), [("onnxruntime", "encoder"), ("tokenizers", "encoder"), ("torch", "local")]
)
def test_a_missing_package_is_named_with_its_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    named = folder
    if extra == "local":
        tiny.bert(tmp_path, ["entailment", "not_entailment"])
        named = tmp_path
    for module in [name for name in sys.modules if name.startswith("guard.checks.grounding.encoders.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"'premise-guard\[{extra}\]'"):
        load(str(named))


def test_naming_no_encoder_loads_none(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom guard import registry\nfrom guard.checks import Resources\n"
        "check = registry.plugin('checks', 'grounding')\ncheck(check.Params(), Resources())\n"
        "heavy = ('onnxruntime', 'tokenizers', 'numpy', 'torch', 'transformers')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_guard_check_says_in_one_line_what_is_missing(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert list(check_file(grounded(tmp_path, folder), said.append)) == []
    assert len(said) == 1
    spoilt = with_stack(folder, tmp_path / "spoilt")
    (spoilt / "stack.json").unlink()
    (problem,) = check_file(grounded(tmp_path, spoilt), said.append)
    assert problem == f"the stack {str(spoilt / 'stack.json')!r} cannot be read: No such file or directory"
