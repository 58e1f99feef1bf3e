"""Records and tokenizers that the exporters are tried with."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import strategies as st

from guard.core.records import InterruptionRecord, Provenance
from guard.core.types import Claim, Closing, Interruption, Token
from guard.exporters import Exporter, Row, prompt_completion
from guard.targets.tokens import IGNORED

transformers = pytest.importorskip("transformers", reason="rows with a tokenizer need the `local` extra")
tokenizers = pytest.importorskip("tokenizers")

HISTORY = (
    "{%- for message in messages %}{%- if not (loop.last and message.role == 'assistant') %}"
    "{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
)
QWEN = (
    HISTORY + "{%- set last = messages[-1] %}{%- if last.role == 'assistant' %}"
    "{%- set thought = last.reasoning_content or '' %}"
    "{{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}"
    "{{- last.content.lstrip('\\n') + '<|im_end|>\\n' }}{%- endif %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and not enable_thinking %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{%- endif %}"
)
OPEN = (  # like DeepSeek-R1's: the prompt opens the reasoning, and reasoning in a message is dropped
    "{%- for message in messages %}{%- set text = message.content or '' %}"
    "{%- if message.role == 'assistant' and '</think>' in text %}"
    "{%- set text = text.split('</think>')[-1] %}{%- endif %}"
    "{{- '<|im_start|>' + message.role + '\\n' + text + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"
)
PLAIN = (
    HISTORY.replace(" if not (loop.last and message.role == 'assistant')", " if true")
    + "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
TEMPLATES = {"qwen": QWEN, "open": OPEN, "plain": PLAIN}


def make(template: str) -> Any:
    """Byte-level BPE as Qwen's, with a handful of merges."""
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=340,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    core.train_from_iterator(["No, the capital of Australia is Canberra. Sydney is not the capital."] * 4, trainer)
    core.add_tokens(["<think>", "</think>"])
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")
    made.chat_template = template
    return made


TOKENIZERS = {name: make(template) for name, template in TEMPLATES.items()}


def record(**changes: Any) -> InterruptionRecord:
    """A record; a change goes to whichever of the four values has a field of that name."""
    claim = Claim(channel="reasoning", start=0, end=0, text=" It is Sydney.")
    cut = Interruption(
        id="s.0.1",
        choice=0,
        number=1,
        attempt=0,
        correct="interrupt",
        late=False,
        claim=claim,
        kept={"reasoning": "They ask for the capital."},
        discarded={"reasoning": " Sydney has an opera house."},
        put_in=" No, the capital is Canberra.",
        reason="Sydney is not the capital.",
        correction="The capital is Canberra.",
        check="knowledge",
        verdicts=(),
        delay=0,
        tokens_wasted=0,
    )
    closing = Closing(
        id="s.0.1",
        outcome="corrected",
        continuation="token_exact",
        followed=" So I say that.",
        answer="Canberra.",
        complete=True,
    )
    source = Provenance(
        session="s",
        started=1.0,
        conversation="c",
        user="",
        model="m",
        policy_model="pm",
        backend="scripted",
        policy="default",
        policy_hash="h",
        messages=[{"role": "user", "content": "Capital of Australia?"}],
    )
    whole = InterruptionRecord(interruption=cut, provenance=source, at=1.0, delay_s=0, closing=closing)

    def changed(value: Any) -> Any:
        names = {field.name for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: changes[name] for name in names & set(changes)})

    cut = dataclasses.replace(changed(cut), claim=changed(claim))
    parts = {"interruption": cut, "closing": changed(closing), "provenance": changed(source)}
    final = changed(whole)
    assert isinstance(final, InterruptionRecord)
    return dataclasses.replace(final, **{k: v for k, v in parts.items() if k not in changes})


IN_CONTENT: dict[str, Any] = {
    "channel": "content",
    "kept": {"reasoning": "They ask for the capital.", "content": "Well."},
    "answer": "",
}


WORDS = st.lists(
    st.sampled_from(["It", "is", "Sydney", "sydney.", "No,", "so", "\n", "ok", "é", "<think>", "12", "2"]), max_size=6
).map(" ".join)

CLAIMS = WORDS.filter(lambda text: text.strip() and "<think>" not in text)
"""None that a template's own words complete."""


def sampled(text: str, tokenizer: Any, **changes: Any) -> tuple[tuple[int, Token], ...]:
    """The text's tokens as a policy model's, each with two alternatives."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True)
    spelt = []
    for id_, (start, end) in zip(found["input_ids"], found["offset_mapping"], strict=True):
        token = Token(id=id_, text=text[start:end], logprob=-0.5, top=((id_, -0.5), (7, -2.0)))
        spelt.append((start, dataclasses.replace(token, **changes)))
    return tuple(spelt)


def told(of: InterruptionRecord, tokenizer: Any, **changes: Any) -> InterruptionRecord:
    """The record with the tokens of its model text."""
    closing = of.closing
    assert closing is not None
    followed, answer = (sampled(text, tokenizer, **changes) for text in (closing.followed, closing.answer))
    return dataclasses.replace(of, closing=dataclasses.replace(closing, followed_tokens=followed, answer_tokens=answer))


def one(of: InterruptionRecord, tokenizer: Any = None, exporter: Exporter = prompt_completion.plugin) -> Row:
    """The only row of a record."""
    skipped: Counter[str] = Counter()
    rows = list(exporter.rows([of], tokenizer=tokenizer, skipped=skipped))
    assert not skipped
    return rows[0]


def why(of: InterruptionRecord, tokenizer: Any = None, exporter: Exporter = prompt_completion.plugin) -> str:
    skipped: Counter[str] = Counter()
    assert list(exporter.rows([of], tokenizer=tokenizer, skipped=skipped)) == []
    return "".join(skipped)


def spans(row: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """(who wrote it, the text, whether it is trained) of a canonical row."""
    return [(s["kind"], row["assistant"][s["channel"]][s["start"] : s["end"]], s["train"]) for s in row["spans"]]


def trained(row: Mapping[str, Any], tokenizer: Any) -> str:
    return str(tokenizer.decode([token for token in row["labels"] if token != IGNORED]))
