"""A wrong-thinker: base - alpha * (lesson - base). It thinks the opposite of what the lesson taught.

    guard train wrong-thinker --base DIR --lesson DIR --out DIR [--alpha 0.5]

Task-vector negation (Ilharco et al. 2022, arXiv 2212.04089). On the closed world, alpha 0.25 to 1 makes a model wrong
about the lesson at first (.24 to .10 right answers) and later about everything (.93 to .61 at 1); from there answers
stop following their own premises and sentences stop parsing (a quarter of a trace's at 1.5, half at 2). So 1.5 and
more is refused unless forced. The window depends on the model: the built-in one, after 80 steps of a lesson on all
weights, had .53 right answers about the lesson, .33 at 0.25 and .14 at 0.5, and .99, .99 and .88 of them whole; at 1
only .22 were. So have it measured (`wrong_thinker_answers`). Random corruption of what a model knows was the better
source of training data on the closed world; a wrong-thinker is an option, not the rule.

Whole weights are streamed: one tensor of each side in memory, arithmetic in float32, the base's shards, names and types
kept. A lesson that is a LoRA adapter gives a LoRA adapter. Knows safetensors and peft; samples nothing
(`wrong_thinker_answers`).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging as hub_logging

from guard.errors import ConfigError
from guard.train.loading import ADAPTER, BROKEN, adapted, over, said
from guard.train.saving import empty_folder
from guard.train.tuning import Bar

MOST = 1.5
"""Alphas from here on are refused unless forced."""

_COPIED = (".json", ".jinja", ".txt", ".model", ".tiktoken")
_NAMED = 3
"""How many tensors an error names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written. `distance`: the lesson's from the base, relative to the base's own norm; None for an adapter,
    whose base was not read."""

    alpha: float
    tensors: int
    distance: float | None


def checked(alpha: float, *, force: bool = False) -> float:
    """The alpha, if it can be used. Raises ConfigError."""
    if not math.isfinite(alpha) or alpha == 0:
        raise ConfigError(f"--alpha {alpha!r}: it must be a number other than 0 (0 is the base; -1 is the lesson)")
    if abs(alpha) >= MOST and not force:
        raise ConfigError(
            f"--alpha {alpha!r}: from {MOST} on sentences stop parsing; take 0.25 to 1, or say --force and read the "
            "parse rate"
        )
    return alpha


def write(base: str, lesson: str, out: Path, alpha: float, bar: Bar) -> Written:
    """Write the wrong-thinker to a new folder: whole weights, or an adapter where the lesson is one.

    Raises:
        ConfigError: the folders are not of one model, or cannot be read or written.
    """
    empty_folder(out)
    hub_logging.disable_progress_bar()
    try:
        out.mkdir(exist_ok=True)
        written = _negated(base, lesson, out, alpha) if adapted(lesson) else _streamed(base, lesson, out, alpha, bar)
    except BROKEN as error:
        raise ConfigError(f"{base!r} and {lesson!r} cannot be made into {str(out)!r}: {said(error)}") from None
    return written


# Whole weights


@dataclass(frozen=True, slots=True)
class _Weights:
    """Where a folder's tensors are: name -> file, and name -> shape."""

    files: Mapping[str, Path]
    shapes: Mapping[str, tuple[int, ...]]

    def read(self, name: str) -> torch.Tensor:
        """One tensor."""
        with safe_open(self.files[name], framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor


def _streamed(base: str, lesson: str, out: Path, alpha: float, bar: Bar) -> Written:
    ties = _same_model(base, lesson)
    old, new = _weights(Path(base)), _weights(Path(lesson))
    pairs = _pairs(old, new, ties)
    moved = size = 0.0
    with bar("writing tensors", len(pairs)) as step:
        for path in dict.fromkeys(old.files.values()):
            with (out / path.name).open("wb") as file:
                for name in _head(path, file):
                    mine = old.read(name)
                    learnt = new.read(pairs[name])
                    changed, own, all_ = _away(mine, learnt, alpha, name)
                    file.write(changed.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
                    moved, size = moved + own, size + all_
                    step(1)
    _copy(Path(base), out)
    return Written(alpha=alpha, tensors=len(pairs), distance=math.sqrt(moved / size) if size else 0.0)


def _away(base: torch.Tensor, lesson: torch.Tensor, alpha: float, name: str) -> tuple[torch.Tensor, float, float]:
    """base - alpha * (lesson - base) in the base's type, and the squared norms of the difference and of the base."""
    if not base.is_floating_point():
        return base, 0.0, 0.0
    own = base.float()
    learnt = lesson.float() - own
    changed = (own - alpha * learnt).to(base.dtype)
    if not bool(torch.isfinite(changed.float()).all()):
        raise ConfigError(f"tensor {name!r} is not finite at --alpha {alpha!r} in {base.dtype}: take a smaller one")
    return changed, float(learnt.double().square().sum()), float(own.double().square().sum())


def _head(path: Path, out: BinaryIO) -> Sequence[str]:
    """Write the head of this file to `out`, byte for byte; the tensors' names, in the order their data must follow."""
    with path.open("rb") as file:
        length = file.read(8)
        head = file.read(int.from_bytes(length, "little"))
    out.write(length + head)
    places = {name: told["data_offsets"] for name, told in json.loads(head).items() if name != "__metadata__"}
    return sorted(places, key=lambda name: tuple(places[name]))


def _weights(folder: Path) -> _Weights:
    """Raises ConfigError for a folder without safetensors."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = dict.fromkeys(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    else:
        names = {"model.safetensors": None}
    files: dict[str, Path] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for path in (folder / name for name in names):
        if not path.is_file() or path.parent != folder:
            raise ConfigError(
                f"{str(path)!r} is not there: name a folder with safetensors (of a hub model, download it)"
            )
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                files[name] = path
                shapes[name] = tuple(file.get_slice(name).get_shape())
    return _Weights(files, shapes)


def _pairs(base: _Weights, lesson: _Weights, ties: Mapping[str, str]) -> dict[str, str]:
    """By tensor of the base, the lesson's; tied ones may be stored under either name. Raises ConfigError."""
    both = {**ties, **{source: target for target, source in ties.items()}}
    pairs = {name: name if name in lesson.shapes else both.get(name, "") for name in base.shapes}
    missing = [name for name, other in pairs.items() if other not in lesson.shapes]
    extra = [name for name in lesson.shapes if name not in base.shapes and both.get(name) not in base.shapes]
    if missing or extra:
        named = ", ".join(map(repr, (missing + extra)[:_NAMED]))
        raise ConfigError(f"base and lesson differ in {len(missing) + len(extra)} tensors ({named}): not one model")
    shapes = {name: (base.shapes[name], lesson.shapes[other]) for name, other in pairs.items()}
    wrong = [f"{name!r} {mine} and {other}" for name, (mine, other) in shapes.items() if mine != other]
    if wrong:
        raise ConfigError(f"base and lesson differ in {len(wrong)} shapes: {'; '.join(wrong[:_NAMED])}")
    return pairs


def _same_model(base: str, lesson: str) -> Mapping[str, str]:
    """The base's tied tensors (stored or not), target -> source. Raises ConfigError where the models differ."""
    mine, other = _config(base), _config(lesson)
    for name in ("model_type", "architectures", "tie_word_embeddings"):
        left, right = (getattr(config, name, None) for config in (mine, other))
        if left != right:
            raise ConfigError(f"{name}: the base has {left!r}, the lesson {right!r}; they are not one model")
    for folder, config in ((base, mine), (lesson, other)):
        if getattr(config, "quantization_config", None) is not None:
            raise ConfigError(f"{folder!r} is quantised, and packed numbers cannot be subtracted: take the original")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(mine)
    ties: Mapping[str, str] = model.all_tied_weights_keys
    return ties


def _config(folder: str) -> Any:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except BROKEN as error:
        raise ConfigError(f"{folder!r} is no folder with a model ({said(error)}); download a hub model first") from None


def _copy(base: Path, out: Path) -> None:
    """Tokenizer and configuration; `config.json` last, so that what breaks off before it cannot be loaded."""
    found = [
        path for path in base.iterdir() if path.is_file() and path.suffix in _COPIED and path.name != "report.json"
    ]
    for path in sorted(found, key=lambda path: path.name == "config.json"):
        shutil.copyfile(path, out / path.name)


# Adapters


def _negated(base: str, lesson: str, out: Path, alpha: float) -> Written:
    told = json.loads((Path(lesson) / ADAPTER).read_text(encoding="utf-8"))
    _linear(lesson, told)
    model = over(AutoModelForCausalLM.from_pretrained(base, dtype="auto", use_safetensors=True), lesson)
    # Of a single adapter the linear combination is exact, and keeps its rank.
    model.add_weighted_adapter(["default"], [-alpha], "wrong-thinker", combination_type="linear")
    tensors = sum(".wrong-thinker." in name for name, _ in model.named_parameters())
    with TemporaryDirectory(dir=out.parent) as folder:
        model.save_pretrained(folder, selected_adapters=["wrong-thinker"])
        for path in (Path(folder) / "wrong-thinker").iterdir():
            shutil.move(path, out / path.name)
    _copy_words(Path(lesson), out)
    return Written(alpha=alpha, tensors=tensors, distance=None)


def _linear(lesson: str, told: Mapping[str, Any]) -> None:
    """Raises ConfigError for an adapter that is more than products of two matrices: its negation would not be one."""
    odd = [name for name in ("use_dora", "modules_to_save", "trainable_token_indices") if told.get(name)]
    odd += ["bias"] if told.get("bias", "none") != "none" else []
    if told.get("peft_type") != "LORA" or odd:
        what = ", ".join(odd) or f"peft_type {told.get('peft_type')!r}"
        raise ConfigError(f"the adapter {lesson!r} cannot be negated ({what}): train the lesson as a plain LoRA")


def _copy_words(lesson: Path, out: Path) -> None:
    for path in lesson.iterdir():
        if path.is_file() and path.suffix in _COPIED and path.name not in (ADAPTER, "report.json"):
            shutil.copyfile(path, out / path.name)
