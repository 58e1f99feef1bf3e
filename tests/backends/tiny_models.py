"""Small models made in code: a byte-level tokenizer, four random architectures, and one that says what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from guard.backends import Batch, ChatRequest, Item, Usage
from guard.backends.transformers import backend as plug_in
from guard.backends.transformers.model import LocalModel, Output
from guard.backends.transformers.turn import LocalTurn
from guard.core.events import Delta, Finished, Opened
from guard.core.types import Resume

torch.set_num_threads(1)

TEMPLATE = (
    "{%- for m in messages %}{%- if m.role not in ['system', 'user', 'assistant', 'tool'] %}"
    "{{ raise_exception('no role ' ~ m.role) }}{%- endif %}"
    "{{ '<|im_start|>' ~ m.role ~ '\\n' }}"
    "{%- if m.reasoning_content %}{{ '<think>\\n' ~ m.reasoning_content ~ '\\n</think>\\n' }}{%- endif %}"
    "{{ m.content }}{{ '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{%- if think | default(true) %}{{ '<think>\\n' }}{%- endif %}{%- endif %}"
)
_CORPUS = [
    "The river runs through the city where she was born. No, that is wrong: the city lies on another river.",
    "Therefore the answer is 42, because six times seven is forty-two. I do not know that. assistant user system",
    "Wait, let me think about it again. Die Hauptstadt von Frankreich ist Paris. 东京是日本的首都。 😀🎉",
] * 4


@cache
def tokenizer() -> Any:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        _CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    bpe.add_special_tokens([AddedToken(word, special=True) for word in ("<|im_start|>", "<|im_end|>")])
    bpe.add_tokens([AddedToken(word, special=False) for word in ("<think>", "</think>")])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>")
    fast.chat_template = TEMPLATE
    return fast


def size() -> int:
    return len(tokenizer())


@cache
def tiny(name: str) -> Any:
    """A random transformers model: `llama`, `qwen3`, `sliding` (Mistral) or `hybrid` (Qwen3-Next)."""
    torch.manual_seed(7)
    common = {
        "vocab_size": size(),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": tokenizer().eos_token_id,
    }
    t = transformers
    made = {
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**common)),
        "qwen3": lambda: t.Qwen3ForCausalLM(t.Qwen3Config(**common, head_dim=12)),
        "sliding": lambda: t.MistralForCausalLM(t.MistralConfig(**common, sliding_window=24)),
        "hybrid": lambda: t.Qwen3NextForCausalLM(
            t.Qwen3NextConfig(
                **{**common, "num_hidden_layers": 4, "initializer_range": 0.1},
                head_dim=12,
                linear_num_key_heads=2,
                linear_num_value_heads=2,
                linear_key_head_dim=12,
                linear_value_head_dim=12,
                num_experts=2,
                num_experts_per_tok=1,
                moe_intermediate_size=32,
                shared_expert_intermediate_size=32,
            )
        ),
    }[name]().eval()
    made.generation_config.eos_token_id = tokenizer().eos_token_id
    return made


def local(name: str, **how: Any) -> LocalModel:
    return LocalModel(tiny(name), **how)


class _Ids:
    """A cache that is the ids it has seen."""

    layers: tuple[()] = ()

    def __init__(self) -> None:
        self.ids: list[int] = []

    def crop(self, remove: int) -> None:
        del self.ids[remove:]

    def get_seq_length(self) -> int:
        return len(self.ids)


class Script:
    """A model that says the ids it is told, counted from the end of the generation prompt; then it ends the turn."""

    def __init__(self, said: str | Sequence[int] = "", *, think: bool = True, positions: int | None = 4096) -> None:
        told = tokenizer().encode(said, add_special_tokens=False) if isinstance(said, str) else list(said)
        self.said = [*told, tokenizer().eos_token_id]
        head = "<|im_start|>assistant\n" + ("<think>\n" if think else "")
        self.head = len(tokenizer().encode(head, add_special_tokens=False))
        self.positions = positions
        self.vocabulary = size()
        self.generation = SimpleNamespace(eos_token_id=tokenizer().eos_token_id)
        self.device = torch.device("cpu")
        self.forwards = 0
        self.broken: Callable[[list[int]], float | None] = lambda ids: None

    def cache(self) -> _Ids:
        return _Ids()

    def forward(self, ids: Sequence[int], cache: _Ids) -> Output:
        self.forwards += 1
        cache.ids += ids
        logits = torch.zeros(self.vocabulary)
        if (value := self.broken(cache.ids)) is not None:
            return Output(logits + value)
        start = len(cache.ids) - cache.ids[::-1].index(tokenizer().convert_tokens_to_ids("<|im_start|>")) - 1
        written = len(cache.ids) - start - self.head
        logits[self.said[min(written, len(self.said) - 1)] if written >= 0 else 0] = 20.0
        return Output(logits)


@asynccontextmanager
async def running(model: Any, patch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[Any]:
    patch.setattr(plug_in, "load", lambda *a, **k: (model, tokenizer()))
    backend = plug_in.TransformersBackend(plug_in.LocalOptions(model="tiny", **options))
    await backend.start()
    try:
        yield backend
    finally:
        await backend.close()


def request(text: Any = "Where was she born?", *, n: int = 1, **body: Any) -> ChatRequest:
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    return ChatRequest(body={"messages": messages, "temperature": 0, **body}, n=n)


async def collect(turn: LocalTurn, number: int = 0, choice: int = 0, resume: Resume | None = None) -> list[Item]:
    return [item async for batch in turn.attempt(number, choice, resume) for item in batch]


async def answer(backend: Any, asked: ChatRequest) -> list[Item]:
    turn = backend.begin(asked)
    items = await collect(turn)
    await turn.close()
    return items


def deltas(items: Batch, choice: int = 0) -> list[Delta]:
    return [i[1] for i in items if isinstance(i, tuple) and i[0] == choice and isinstance(i[1], Delta)]


def text(items: Batch, channel: str, choice: int = 0) -> str:
    return "".join(d.text for d in deltas(items, choice) if d.channel == channel)


def reasons(items: Batch, choice: int = 0) -> list[str]:
    return [i[1].reason for i in items if isinstance(i, tuple) and i[0] == choice and isinstance(i[1], Finished)]


def opened(items: Batch, choice: int = 0) -> list[Opened]:
    return [i[1] for i in items if isinstance(i, tuple) and i[0] == choice and isinstance(i[1], Opened)]


def usage(items: Batch) -> dict[str, Any]:
    """The last that an attempt tells: before it come the tokens it began with, for one that is cut."""
    *before, told = [item for item in items if isinstance(item, Usage)]
    assert all(early.counts == {"prompt_tokens": told.counts["prompt_tokens"]} for early in before)
    return dict(told.counts)


def greedy(model: LocalModel, ids: Sequence[int], count: int) -> list[int]:
    """The reference: everything read at once, then one best token after the other."""
    held, out = model.cache(), []
    with torch.inference_mode():
        logits = model.forward(ids, held).logits
        for _ in range(count):
            out.append(int(logits.argmax()))
            logits = model.forward(out[-1:], held).logits
    return out
