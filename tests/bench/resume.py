"""What resuming costs: cut the cache and read what was put in, against reading everything again.

Run ``python -m tests.bench.resume``: one line of JSON. Times are CPU seconds of this thread, both ways measured in
turn in the same process, on a random Qwen3 of about 27M parameters with one torch thread. The wanted `ratio` is at
most 1/8.
"""

from __future__ import annotations

import json
import statistics
import time
from random import Random
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from guard.backends.transformers.choice import PIECE
from guard.backends.transformers.model import LocalModel
from guard.backends.transformers.sequence import Sequence

VOCABULARY = 8192


def build() -> LocalModel:
    """A random Qwen3 of about 27M parameters."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LocalModel(Qwen3ForCausalLM(config).eval())


def read(sequence: Sequence) -> int:
    """Read all that is pending and say the best next id."""
    while (output := sequence.feed(PIECE)) is None:
        pass
    return int(output.logits.argmax())


def measure(*, tokens: int = 1000, rewind: int = 32, put_in: int = 16, rounds: int = 5) -> dict[str, Any]:
    """CPU seconds (medians) of a resume `tokens` tokens in, after cutting `rewind`, and of reading its ids again."""
    torch.set_num_threads(1)
    random, model = Random(0), build()
    resumed, again, same = list[float](), list[float](), 0
    with torch.inference_mode():
        for _ in range(rounds + 1):
            ids = [random.randrange(VOCABULARY) for _ in range(tokens)]
            context = ids[: tokens - rewind] + [random.randrange(VOCABULARY) for _ in range(put_in)]
            warm, cold = Sequence(model), Sequence(model)
            warm.retarget(ids)
            read(warm)
            one, first = _timed(warm, context)
            two, second = _timed(cold, context)
            resumed.append(one)
            again.append(two)
            same += first == second
    return _report(model, resumed[1:], again[1:], same == rounds + 1, tokens, put_in)  # the first round warms up


def _timed(sequence: Sequence, context: list[int]) -> tuple[float, int]:
    start = time.thread_time()
    sequence.retarget(context)
    best = read(sequence)
    return time.thread_time() - start, best


def _report(
    model: LocalModel, resumed: list[float], again: list[float], same: bool, tokens: int, put_in: int
) -> dict[str, Any]:
    one, two = statistics.median(resumed), statistics.median(again)
    return {
        "parameters": sum(p.numel() for p in model._model.parameters()),
        "tokens": tokens,
        "put_in": put_in,
        "resume_s": round(one, 4),
        "read_again_s": round(two, 4),
        "ratio": round(one / two, 4),
        "worst_ratio": round(max(a / b for a, b in zip(resumed, again, strict=True)), 4),
        "same_next_token": same,
        "rounds": len(resumed),
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
