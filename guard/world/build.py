"""Trains the tiny policy model from the data files and writes it as an ordinary transformers model folder.

    python -m guard.world.build

Two stages: *base* (it learns the known people and to talk) and *listen* (it learns to follow an
interruption). Some six minutes on one core, no downloads; single precision throughout, because half precision
is emulated, and slower, on processors without it. Knows torch and transformers; knows nothing of servers.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from guard.world.corpus import DOCUMENT_START, END, Row, base_row, listen_row, vocabulary_texts
from guard.world.world import HERE, World, load_world

MODEL = HERE / "model"
SEED = 7
VOCABULARY = 1024  # an upper bound: the world runs out of pairs to merge near 900
SPECIAL_TOKENS = [DOCUMENT_START, "<|user|>", "<|assistant|>", END]
# Not special, as in Qwen3: decoding with skip_special_tokens must keep what parts reasoning from answer.
THINK_TOKENS = [AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of training: `rows` packed rows of `length` tokens a step."""

    draw: Callable[[World, Random], Row]
    steps: int
    rows: int
    learning_rate: float
    seed: int
    length: int = 192  # a row is some 50 tokens: short lines would be half padding
    warm_up: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Packed rows, each of shape (rows, length); a document begins where `positions` is 0."""

    ids: Tensor
    weights: Tensor
    positions: Tensor


STAGES = (
    Stage(draw=base_row, steps=800, rows=16, learning_rate=3e-3, seed=SEED),
    Stage(draw=listen_row, steps=240, rows=12, learning_rate=1e-3, seed=SEED + 1),
)


def make_tokenizer(world: World) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the world's words, with the chat template that lies beside this file."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(vocabulary_texts(world), trainer)
    bpe.add_tokens(THINK_TOKENS)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=DOCUMENT_START,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
        chat_template=(HERE / "chat_template.jinja").read_text(encoding="utf-8"),
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """An untrained model of about 0.75 million parameters."""
    torch.manual_seed(SEED)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        intermediate_size=384,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="eager",  # 1.8 times as fast as sdpa with a mask at this size
    )
    return Qwen3ForCausalLM(config)


def pack(rows: Iterator[list[tuple[int, float]]], count: int, length: int) -> Batch:
    """Fills `count` lines of `length` tokens with whole rows; a row longer than a line is cut."""
    ids = torch.zeros(count, length, dtype=torch.long)
    weights = torch.zeros(count, length)
    positions = torch.arange(length).repeat(count, 1)
    line, at = 0, 0
    for whole_row in rows:
        row = whole_row[:length]
        if at + len(row) > length:
            # The padding left at the end counts as a document of its own.
            positions[line, at:] -= at
            line, at = line + 1, 0
        if line == count:
            break
        end = at + len(row)
        ids[line, at:end] = torch.tensor([token for token, _ in row])
        weights[line, at:end] = torch.tensor([weight for _, weight in row])
        positions[line, at:end] = torch.arange(len(row))
        at = end
    return Batch(ids=ids, weights=weights, positions=positions)


def loss(model: Qwen3ForCausalLM, batch: Batch) -> Tensor:
    """Mean cross-entropy of the learnt tokens; attention stays inside a document."""
    document = (batch.positions == 0).cumsum(1)
    size = batch.ids.shape[1]
    visible = (document[:, :, None] == document[:, None, :]) & torch.ones(size, size, dtype=torch.bool).tril()
    # Eager attention *adds* the mask: a boolean one would silently lift causality.
    mask = torch.where(visible[:, None], 0.0, -1e9)
    logits = model(input_ids=batch.ids, attention_mask=mask, position_ids=batch.positions, use_cache=False).logits
    weights = batch.weights[:, 1:] * (batch.positions[:, 1:] != 0)
    each = F.cross_entropy(logits[:, :-1].flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none")
    return (each.view_as(weights) * weights).sum() / weights.sum().clamp(min=1)


def train(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, world: World, stage: Stage) -> float:
    """Runs one stage in place and returns the mean loss of its last twenty steps."""
    torch.manual_seed(stage.seed)
    rows = _encoded(tokenizer, world, stage)
    optimizer = torch.optim.AdamW(model.parameters(), stage.learning_rate, (0.9, 0.98), weight_decay=0.01, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, stage))
    losses = []
    model.train()
    for _ in range(stage.steps):
        batch = pack(rows, stage.rows, stage.length)
        step_loss = loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(step_loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(step_loss.item())
    model.eval()
    return sum(losses[-20:]) / len(losses[-20:])


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes the model in half precision, with its tokenizer and its generation defaults."""
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, max_new_tokens=256
    )
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def build(folder: Path = MODEL, report: Callable[[str], None] = print) -> None:
    """Trains from nothing and writes the model into `folder`."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model this small is slower on many, and one gives the same sums every time
    started = time.process_time()
    world = load_world()
    tokenizer = make_tokenizer(world)
    model = make_model(tokenizer)
    for stage in STAGES:
        final = train(model, tokenizer, world, stage)
        spent = time.process_time() - started
        report(f"{stage.draw.__name__}: {stage.steps} steps, loss {final:.3f}, {spent:.0f} CPU s")
    save(model, tokenizer, folder)
    torch.set_num_threads(threads)


def _rate(step: int, stage: Stage) -> float:
    """Linear warm-up, then cosine down to a twentieth."""
    warm = min(1.0, (step + 1) / stage.warm_up)
    return warm * max(0.05, 0.5 * (1 + math.cos(math.pi * step / stage.steps)))


def _encoded(tokenizer: PreTrainedTokenizerFast, world: World, stage: Stage) -> Iterator[list[tuple[int, float]]]:
    """Endless rows of (token, weight)."""
    rng = Random(stage.seed)
    while True:
        row = stage.draw(world, rng)
        yield [
            (token, float(learnt)) for text, learnt in row for token in tokenizer.encode(text, add_special_tokens=False)
        ]


if __name__ == "__main__":
    build()
