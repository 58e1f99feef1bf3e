"""What the fine-tuning scripts share: loading a model to train, an adapter on it, the trainer's settings, a run.

Pickled weights are never read: safetensors only. Knows torch, transformers and peft; knows no rows
and no losses.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch
from peft import LoraConfig, get_peft_model
from transformers import PrinterCallback, TrainerCallback, set_seed

from guard.errors import ConfigError
from guard.train.loading import adapted as adapted_already
from guard.train.loading import load as load_model

RATES = {"lora": 2e-4, "full": 2e-5}
"""Learning rates where none is given. An adapter wants about ten times that of all weights (Schulman et al. 2025, "LoRA
Without Regret")."""


class Bar(Protocol):
    """A progress bar: entered, it gives a function that is told how much more of `total` is done."""

    def __call__(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A bar of that name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How to train.

    Attributes:
        model: a folder or a hub name.
        rank: of the LoRA adapter; None trains all weights.
        steps: optimizer steps, each of `batch` times `accumulate` rows; None: as `epochs` says.
        learning_rate: None takes that of RATES.
        max_length: tokens of the longest row; None takes the model's context.
        dtype: precision of the weights: auto, float32 or bfloat16.
        device: auto, cpu or cuda.
    """

    model: str
    rank: int | None = 16
    steps: int | None = None
    epochs: float = 1.0
    learning_rate: float | None = None
    batch: int = 8
    accumulate: int = 1
    max_length: int | None = None
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"

    @property
    def rows_a_step(self) -> int:
        """Rows of one optimizer step."""
        return self.batch * self.accumulate

    def steps_over(self, rows: float) -> int:
        """As many as were asked for, else those of so many epochs over so many rows."""
        return self.steps or max(1, math.ceil(self.epochs * rows / self.rows_a_step))

    @property
    def method(self) -> str:
        """What is trained, in words."""
        return f"LoRA, rank {self.rank}" if self.rank else "all weights"

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.learning_rate or RATES["lora" if self.rank else "full"]


def load(tuning: Tuning) -> tuple[Any, Any]:
    """The model in training precision on its device, and its tokenizer.

    Raises:
        ConfigError: they cannot be loaded, are not in safetensors, or are an adapter.
    """
    if adapted_already(tuning.model):
        raise ConfigError(
            f"--model {tuning.model!r} is an adapter: train it with --merge, and name the model that gives"
        )
    place = _device(tuning.device)
    model, tokenizer = load_model(tuning.model, dtype=_dtype(tuning.dtype, place, tuning.rank), device=place)
    _trainable(model, tokenizer, tuning.model)
    return model, tokenizer


def _trainable(model: Any, tokenizer: Any, name: str) -> None:
    """Raises ConfigError where the two do not belong together, or batches could not be filled up."""
    known, there = len(tokenizer), model.get_input_embeddings().num_embeddings
    if known > there:
        raise ConfigError(
            f"--model {name!r}: its tokenizer has {known} tokens and the model {there}: not its tokenizer"
        )
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise ConfigError(f"--model {name!r} has no tokenizer: put its tokenizer's files into the folder")
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        raise ConfigError(f"--model {name!r}: its tokenizer has no end token: name one in tokenizer_config.json")


def limit(tuning: Tuning, model: Any) -> int | None:
    """Tokens of the longest row. Raises ConfigError where that is more than the model's context."""
    context: int | None = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if tuning.max_length and context and tuning.max_length > context:
        raise ConfigError(f"--max-length {tuning.max_length!r}: the model's context has {context} tokens")
    return tuning.max_length or context


def adapted(model: Any, tuning: Tuning) -> Any:
    """The model with what is trained of it trainable: a fresh adapter on its linear layers, or all of it."""
    set_seed(tuning.seed)
    how = lora(tuning)
    if how is None:
        return model
    with _no_news_of_checkpointing():
        return get_peft_model(model, how)


def lora(tuning: Tuning) -> LoraConfig | None:
    """The adapter's configuration; None where all weights are trained."""
    if tuning.rank is None:
        return None
    return LoraConfig(r=tuning.rank, lora_alpha=2 * tuning.rank, target_modules="all-linear", task_type="CAUSAL_LM")


@contextmanager
def settings(tuning: Tuning, steps: int, schedule: str = "cosine") -> Iterator[dict[str, Any]]:
    """Arguments of the trainer's configuration (TrainingArguments, SFTConfig, DPOConfig); nothing is kept of a run
    but the model in memory."""
    cuda = _device(tuning.device) == "cuda"
    with TemporaryDirectory() as folder, _no_news_of_checkpointing():
        yield {
            "output_dir": folder,
            "max_steps": steps,
            "per_device_train_batch_size": tuning.batch,
            "gradient_accumulation_steps": tuning.accumulate,
            "learning_rate": tuning.rate,
            "lr_scheduler_type": schedule,
            "warmup_steps": steps // 10,
            "seed": tuning.seed,
            "use_cpu": not cuda,
            "bf16": cuda,
            "activation_checkpointing": cuda,
            "dataloader_pin_memory": cuda,
            "logging_steps": max(1, steps // 50),
            "logging_nan_inf_filter": False,  # it would log numbers in place of a loss that is none
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
        }


class Ticks(TrainerCallback):  # type: ignore[misc]
    """Tells a bar of every step; raises ConfigError as soon as the loss is no number."""

    def __init__(self, step: Callable[[int], None]) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """One more."""
        self._step(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """What follows a loss that is no number would be none either."""
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            raise ConfigError(f"the loss is not a number: lower --learning-rate {args.learning_rate:g}")


def run(trainer: Any, bar: Bar, steps: int) -> list[dict[str, float]]:
    """Train to the end; the losses as they were logged: {"step", "loss"}. Raises ConfigError where one is no number."""
    trainer.remove_callback(PrinterCallback)  # standard output is the report's
    with bar("training", steps) as step:
        trainer.add_callback(Ticks(step))
        trainer.train()
    log = trainer.state.log_history
    return [{"step": entry["step"], "loss": float(entry["loss"])} for entry in log if "loss" in entry]


@contextmanager
def _no_news_of_checkpointing() -> Iterator[None]:
    """peft and TRL ask a model for a property whose name transformers has changed; nobody here can do about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {name!r} is none of auto, cpu, cuda; choose among GPUs with CUDA_VISIBLE_DEVICES")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ConfigError("--device 'cuda': torch finds none here")
    if name != "cpu" and torch.cuda.device_count() > 1:
        raise ConfigError("several GPUs are visible: make one visible with CUDA_VISIBLE_DEVICES")
    return "cuda" if there and name != "cpu" else "cpu"


def _dtype(name: str, device: str, rank: int | None) -> str:
    if name == "auto":
        # Small steps vanish in bfloat16 weights; under an adapter they are frozen.
        return "bfloat16" if device == "cuda" and rank else "float32"
    if name not in ("float32", "bfloat16"):
        raise ConfigError(f"--dtype {name!r} is none of auto, float32, bfloat16; gradients overflow in float16")
    return name
