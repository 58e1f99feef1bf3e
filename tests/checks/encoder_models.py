"""Tiny models with random weights, saved as the real ones are: what the tests of the encoders load."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DebertaV2Tokenizer,
    ModernBertConfig,
    ModernBertForTokenClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
    T5ForTokenClassification,
    T5Tokenizer,
)

from guard.checks.grounding.model import load
from guard.checks.grounding.pairs import Packer
from guard.train.encoder_net import Encoder, export
from guard.train.encoder_rows import Row

TEXTS = (
    "The Arlen Bridge was opened in 1932 by Mayor Dora Finch. It is 412 metres long and carries four lanes of traffic.",
    "Repairs to the bridge took 15 months and did not close the footpath. A toll of 2 pounds is paid by lorries alone.",
    "Its copper towers were designed by the Danish architect Henrik Solberg, who also built a cathedral in Oslo.",
    "predict: Determine if the hypothesis is true given the premise? Premise: Hypothesis: 0 1 passage output: question",
)
SIZES: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
T5_SIZES: Mapping[str, Any] = {"d_model": 32, "d_kv": 12, "d_ff": 40, "num_layers": 2, "num_heads": 3}


def wordpiece() -> Tokenizer:
    """A tokenizer of BERT's kind."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([*TEXTS, "abcdefghijklmnopqrstuvwxyz", "[ ]</s><pad>"], trainer)
    _framed(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def bytes_(first: str, last: str) -> Tokenizer:
    """A byte-level tokenizer of RoBERTa's or ModernBERT's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[first, "<pad>", last, "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    _framed(tokenizer, first, last)
    return tokenizer


def _framed(tokenizer: Tokenizer, first: str, last: str) -> None:
    ids = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    pair = f"{first} $A {last} $B:1 {last}:1"
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", pair=pair, special_tokens=ids)


def pieces(special: Sequence[str]) -> list[tuple[str, float]]:
    """A unigram vocabulary: the texts' words and every letter."""
    words = sorted({f"▁{word}" for text in TEXTS for word in text.split()} | {"▁0", "▁1x"} - {"▁0"})
    letters = sorted(
        {letter for text in TEXTS for letter in text if letter != " "} | set("</s>[]abcdefghijklmnopqrstuvwxyz")
    )
    found = [(word, -6.0) for word in words if len(word) > 2] + [("▁1", -5.0)] + [(letter, -9.0) for letter in letters]
    return [*((token, 0.0) for token in special), ("▁", -4.0), *dict(found).items()]


def ours(folder: Path, **changes: Any) -> Path:
    """A folder as `guard.train` writes it; `changes` are made to its stack."""
    torch.manual_seed(3)
    start = folder / "start"
    tokenizer = wordpiece()
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), **SIZES)
    BertModel(config, add_pooling_layer=False).save_pretrained(start)
    tokenizer.save(str(folder / "tokenizer.json"))
    packer = Packer(folder / "tokenizer.json")
    pairs = [packer.pack(text, [], iter([packer.ids(TEXTS[1])])) for text in TEXTS[:2]]
    rows = [Row(answer=0, start=0, end=1, kind="real", pair=pair, bad=False, tokens=None) for pair in pairs]
    net = Encoder(start).eval()
    torch.nn.init.normal_(net.statement.weight, std=0.5)  # else its answers hardly differ
    torch.nn.init.normal_(net.token.weight, std=0.5)
    export(net, rows, folder / "encoder.onnx", {"seed": "3"})
    stacked(folder, **changes)
    return folder


def stacked(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write a stack for the shipped trees."""
    document: dict[str, Any] = {
        "format": 1,
        "lexical": load().version,
        "inputs": ["lexical", "statement", "token_most", "token_mean"],
        "weights": [1.0, 0.4, 0.1, 0.2],
        "bias": 0.1,
        "ask_from": 0.02,
        "about": {"rows": 3},
    }
    (folder / "stack.json").write_text(json.dumps(document | changes), encoding="utf-8")
    return document | changes


def _fast(tokenizer: Tokenizer, folder: Path, *names: str, **named: str) -> Any:
    names = ("input_ids", *names, "attention_mask")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=list(names), **named)
    fast.save_pretrained(folder)
    return fast


def _labels(names: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: at for at, name in enumerate(names)}}


def bert(folder: Path, labels: Sequence[str]) -> tuple[Any, Any]:
    """A BERT that classifies pairs."""
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = _fast(wordpiece(), folder, "token_type_ids", **named)
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=90, **SIZES, **_labels(labels))
    return _saved(BertForSequenceClassification(config), folder), tokenizer


def deberta(folder: Path, labels: Sequence[str]) -> tuple[Any, Any]:
    """A DeBERTa-v3 that classifies pairs, or MiniCheck's."""
    tokenizer = DebertaV2Tokenizer(vocab=pieces(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]))
    tokenizer.save_pretrained(folder)
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        type_vocab_size=0,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_buckets=16,
        max_position_embeddings=90,
        **SIZES,
        **_labels(labels),
    )
    return _saved(DebertaV2ForSequenceClassification(config), folder), tokenizer


def roberta(folder: Path, labels: Sequence[str]) -> tuple[Any, Any]:
    """A RoBERTa that classifies, MiniCheck's or one for inference."""
    named = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}
    tokenizer = _fast(bytes_("<s>", "</s>"), folder, unk_token="<unk>", **named)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=92,
        pad_token_id=1,
        type_vocab_size=1,
        **SIZES,
        **_labels(labels),
    )
    return _saved(RobertaForSequenceClassification(config), folder), tokenizer


def modernbert(folder: Path, labels: Sequence[str]) -> tuple[Any, Any]:
    """A ModernBERT that classifies tokens."""
    named = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = _fast(bytes_("[CLS]", "[SEP]"), folder, **named)
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=320,
        pad_token_id=1,
        cls_token_id=0,
        sep_token_id=2,
        bos_token_id=0,
        eos_token_id=2,
        local_attention=32,
        **SIZES,
        **_labels(labels),
    )
    return _saved(ModernBertForTokenClassification(config), folder), tokenizer


def _t5(folder: Path) -> Any:
    tokenizer = T5Tokenizer(vocab=pieces(["<pad>", "</s>", "<unk>"]), extra_ids=2)
    tokenizer.save_pretrained(folder)
    return tokenizer


def flan(folder: Path) -> tuple[Any, Any]:
    """A T5 that writes, MiniCheck's."""
    tokenizer = _t5(folder)
    config = T5Config(vocab_size=len(tokenizer), feed_forward_proj="gated-gelu", tie_word_embeddings=False, **T5_SIZES)
    config.decoder_start_token_id = 0
    return _saved(T5ForConditionalGeneration(config), folder), tokenizer


def hhem(folder: Path) -> tuple[Any, Any]:
    """HHEM: a T5 token classifier under another name, in a model type that transformers does not know."""
    tokenizer = _t5(folder)
    torch.manual_seed(5)
    config = T5Config(vocab_size=len(tokenizer), feed_forward_proj="gated-gelu", num_labels=2, **T5_SIZES)
    model = T5ForTokenClassification(config).eval()
    weights = {
        f"t5.{name}": tensor.clone() for name, tensor in model.state_dict().items() if "embed_tokens" not in name
    }
    save_file(weights, folder / "model.safetensors")
    raw = {
        "model_type": "HHEMv2",
        "architectures": ["HHEMv2ForSequenceClassification"],
        "auto_map": {"AutoModel": "x.X"},
    }
    (folder / "config.json").write_text(json.dumps(raw), encoding="utf-8")
    return model, tokenizer


def _saved(model: Any, folder: Path) -> Any:
    torch.manual_seed(4)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)  # as made they hardly tell rows apart
    model.save_pretrained(folder)
    return model.eval()
