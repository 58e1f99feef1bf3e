"""Trains the tiny policy model from the data files and writes it as an ordinary transformers model folder.

    python -m guard.world.build

Two stages: *base* (it learns the known people and to talk) and *listen* (it learns to follow an
interruption). Some six minutes on one core, no downloads; single precision throughout, because half precision
is emulated, and slower, on processors without it. Knows torch and transformers; knows nothing of servers.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from guard.world.corpus import DOCUMENT_START, END, Row, base_row, listen_row, vocabulary_texts
from guard.world.learning import Course, Sample, train
from guard.world.world import HERE, World, load_world

MODEL = HERE / "model"
SEED = 7
VOCABULARY = 1024  # an upper bound: the world runs out of pairs to merge near 900
SPECIAL_TOKENS = [DOCUMENT_START, "<|user|>", "<|assistant|>", END]
# Not special, as in Qwen3: decoding with skip_special_tokens must keep what parts reasoning from answer.
THINK_TOKENS = [AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of training."""

    draw: Callable[[World, Random], Row]
    course: Course


# A row is some 50 tokens: short lines would be half padding.
_WHOLE = partial(Course, length=192, warm_up=50, half=False)
STAGES = (
    Stage(draw=base_row, course=_WHOLE(steps=800, rows=16, learning_rate=3e-3, seed=SEED)),
    Stage(draw=listen_row, course=_WHOLE(steps=240, rows=12, learning_rate=1e-3, seed=SEED + 1)),
)


def make_tokenizer(world: World, more: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the world's words and `more` texts, with the chat template that lies beside this file."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(chain(vocabulary_texts(world), more), trainer)
    bpe.add_tokens(THINK_TOKENS)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=DOCUMENT_START,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
        chat_template=(HERE / "chat_template.jinja").read_text(encoding="utf-8"),
    )


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int = SEED) -> Qwen3ForCausalLM:
    """An untrained model of about 0.75 million parameters."""
    torch.manual_seed(seed)
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
        final = train(model, _encoded(tokenizer, world, stage), stage.course)
        spent = time.process_time() - started
        report(f"{stage.draw.__name__}: {stage.course.steps} steps, loss {final:.3f}, {spent:.0f} CPU s")
    save(model, tokenizer, folder)
    torch.set_num_threads(threads)


def _encoded(tokenizer: PreTrainedTokenizerFast, world: World, stage: Stage) -> Iterator[Sample]:
    """Endless rows."""
    rng = Random(stage.course.seed)
    while True:
        row = [(tokenizer.encode(text, add_special_tokens=False), learnt) for text, learnt in stage.draw(world, rng)]
        weights = [float(learnt) for ids, learnt in row for _ in ids]
        yield Sample(ids=[token for ids, _ in row for token in ids], weights=weights)


if __name__ == "__main__":
    build()
